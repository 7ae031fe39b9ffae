"""Run: the rows of examples.jsonl as a training writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolm.records.documents import (
        ExamplesRow,
        ExamplesRowDroppedDropped,
        ExamplesRowKept,
        ExamplesRowKeptRejected,
        ExamplesRowSide,
    )


def kept_row(
    side: ExamplesRowSide,
    *,
    tokens: int,
    labels: int,
    cut: int,
    image_tokens: int = 0,
    rejected: ExamplesRowKeptRejected | None = None,
    corrected: int | None = None,
) -> ExamplesRow:
    """The row of a capture that can be used; `cut` counts the prompt tokens taken out."""
    row: ExamplesRowKept = {"cut": cut, "labels": labels, "side": side, "tokens": tokens}
    if image_tokens:
        row["image_tokens"] = image_tokens
    if rejected is not None:
        row["rejected"] = rejected
    if corrected is not None:
        row["corrected"] = corrected
    return row


def dropped_row(side: ExamplesRowSide, reason: ExamplesRowDroppedDropped) -> ExamplesRow:
    """The row of a capture that cannot be used."""
    return {"dropped": reason, "side": side}
