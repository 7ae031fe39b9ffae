"""Capture: pairs as RLHF-V's rows, one JSON object per line; see importers/rlhf_v.py.

A row holds one question and two answers. Its ``corrections`` are those of the capture, or null, so
that an import does not take the difference of the answers for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kolm import canonical
from kolm.capture.exporters import llava
from kolm.capture.exporters.jsonl import common, image_paths
from kolm.capture.exporting import Images
from kolm.capture.markers import PLACEHOLDER
from kolm.capture.store import StoredCapture
from kolm.errors import Refused


def pieces(rows: Iterable[StoredCapture], images: Images) -> Iterator[bytes]:
    """The lines of the file.

    Raises:
        Refused: ``E_EXPORT_SHAPE``: a capture has several turns.
    """
    for row in rows:
        yield canonical.dumps(_row(row, images)) + b"\n"


def _row(row: StoredCapture, images: Images) -> dict[str, object]:
    capture = row.capture
    placeholder = llava.placeholder_of(capture)
    *system, asked, chosen = llava.turns(capture, placeholder)
    if any(turn["from"] != "system" for turn in system):
        raise Refused(
            "E_EXPORT_SHAPE",
            "a row of RLHF-V holds one question, and the capture has several",
            where=row.id,
            found=f"{len(capture.messages)} messages",
            hint="export it as trl or llama-factory",
        )
    said = {
        "question": asked["value"], "chosen": chosen["value"], "rejected": capture.rejected,
    }  # fmt: skip
    document: dict[str, object] = {
        **{key: value for key, value in common(capture).items() if key != "rejected"},
        "image": image_paths(capture, images),
        "text": canonical.dumps(said).decode(),
    }
    document.setdefault("corrections", None)
    if system:
        document["system"] = system[0]["value"]
    return document if placeholder == PLACEHOLDER else {**document, "placeholder": placeholder}
