"""Capture: pairs as TRL's preference rows, one JSON object per line; see importers/trl.py.

Every row has lists of messages whose parts say where images stand, so that a library which derives
the type of a column from its rows finds one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kolm import canonical
from kolm.capture.exporters.jsonl import common
from kolm.capture.exporting import Images
from kolm.capture.store import StoredCapture
from kolm.records.capture import ImagePart, Message, TextPart


def pieces(rows: Iterable[StoredCapture], images: Images) -> Iterator[bytes]:
    """The lines of the file."""
    for row in rows:
        *prompt, chosen = row.capture.messages
        rejected = Message(role="assistant", content=(TextPart(text=str(row.capture.rejected)),))
        document = {
            **common(row.capture),
            "images": [images.path(image) for image in row.capture.images],
            "prompt": [_turn(message) for message in prompt],
            "chosen": [_turn(chosen)],
            "rejected": [_turn(rejected)],
        }
        yield canonical.dumps(document) + b"\n"


def _turn(message: Message) -> dict[str, object]:
    parts = [
        {"type": "image"} if isinstance(part, ImagePart) else {"type": "text", "text": part.text}
        for part in message.content
    ]
    return {"role": message.role, "content": parts}
