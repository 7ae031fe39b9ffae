"""Capture: pairs as LLaMA-Factory's preference rows in its ShareGPT shape, in one JSON array.

See importers/llama_factory.py. In the data set's description: ``"formatting": "sharegpt"``,
``"ranking": true``, and the columns ``conversations``, ``chosen``, ``rejected`` and ``images``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kolm.capture.exporters import llava
from kolm.capture.exporters.jsonl import common
from kolm.capture.exporting import Images
from kolm.capture.markers import PLACEHOLDER
from kolm.capture.store import StoredCapture


def pieces(rows: Iterable[StoredCapture], images: Images) -> Iterator[bytes]:
    """The text of the file, one row a line."""
    return llava.array(_row(row, images) for row in rows)


def _row(row: StoredCapture, images: Images) -> dict[str, object]:
    capture = row.capture
    placeholder = llava.placeholder_of(capture)
    *before, chosen = llava.turns(capture, placeholder)
    document = {
        **common(capture),
        "conversations": before,
        "chosen": chosen,
        "rejected": {"from": chosen["from"], "value": str(capture.rejected)},
        "images": [images.path(image) for image in capture.images],
    }
    return document if placeholder == PLACEHOLDER else {**document, "placeholder": placeholder}
