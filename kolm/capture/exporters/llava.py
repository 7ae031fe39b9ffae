"""Capture: captures as LLaVA conversations in one JSON array; see importers/llava.py.

Where a user's text holds ``<image>`` as mere text, the row names another placeholder, so that the
text does not turn into the place of an image when it is imported again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kolm import canonical
from kolm.capture.exporters.jsonl import common, image_paths
from kolm.capture.exporting import Images
from kolm.capture.markers import PLACEHOLDER, own_placeholder
from kolm.capture.store import StoredCapture
from kolm.digest import hex_of
from kolm.records.capture import Capture, ImagePart, Message, TextPart

SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def pieces(rows: Iterable[StoredCapture], images: Images) -> Iterator[bytes]:
    """The text of the file, one row a line."""
    return array(_row(row, images) for row in rows)


def array(rows: Iterable[dict[str, object]]) -> Iterator[bytes]:
    """The text of an array of rows, one a line."""
    lead = b"[\n"
    for row in rows:
        yield lead + canonical.dumps(row)
        lead = b",\n"
    yield b"[]\n" if lead == b"[\n" else b"\n]\n"


def turns(capture: Capture, placeholder: str) -> list[dict[str, str]]:
    """The turns of a capture, images at the places that the placeholder marks."""
    return [
        {"from": SPEAKERS[message.role], "value": _value(message, placeholder)}
        for message in capture.messages
    ]


def _row(row: StoredCapture, images: Images) -> dict[str, object]:
    capture = row.capture
    placeholder = placeholder_of(capture)
    document = {
        "id": hex_of(row.id),
        "conversations": turns(capture, placeholder),
        **common(capture),
    }
    if capture.images:
        document["image"] = image_paths(capture, images)
    if placeholder != PLACEHOLDER:
        document["placeholder"] = placeholder
    return document


def placeholder_of(capture: Capture) -> str:
    """What marks the places of images in a row: a word that no text of the capture holds."""
    spoken = [
        part.text
        for message in capture.messages
        for part in message.content
        if isinstance(part, TextPart)
    ]
    return own_placeholder(spoken) or PLACEHOLDER


def _value(message: Message, placeholder: str) -> str:
    return "\n".join(
        placeholder if isinstance(part, ImagePart) else part.text for part in message.content
    )
