"""All rules by which the members of a bundle refer to one another, in one go."""

from __future__ import annotations

from collections.abc import Iterator

from kolm.bundle import references
from kolm.bundle.documents import Documents
from kolm.errors import KolmError, Refused
from kolm.format.names import RECEIPT


def members_agree(documents: Documents) -> Iterator[KolmError]:
    """Every digest, root, count and chain that one member states wrongly of another."""
    yield from _receipt_agrees(documents)
    yield from references.snapshot_counts_rows(documents)
    for _, rule in references.RULES:
        yield from rule(documents)
    yield from references.card_is_derived(documents)


def _receipt_agrees(documents: Documents) -> Iterator[KolmError]:
    try:
        for difference in references.receipt_differences(documents):
            yield Refused("E_BUNDLE_REFERENCE", "the receipt", where=difference.where(RECEIPT))
    except Refused as error:
        yield error
