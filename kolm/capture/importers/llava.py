"""Capture: LLaVA conversations, as one JSON array or one object a line.

``{"id"?, "image"?: path or list, "conversations": [{"from": "human", "value": "<image>\\nWhat…"},
{"from": "gpt", "value": "…"}]}``. Each ``<image>`` in a user's turn is the place of the next image;
one line break on either side belongs to it. Where a row has images and no place for them, they
stand before the first user's turn. The id is not kept: a capture's id is its digest.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolm import canonical
from kolm.capture import fields, limits
from kolm.capture.drafts import BadRow, Defaults, Draft, Row
from kolm.capture.importers import jsonl
from kolm.capture.sources import Folder, image_source
from kolm.errors import Refused
from kolm.records.capture import ImagePart, Message, Part, Role, TextPart

PLACEHOLDER = "<image>"
ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
KEYS = ("id", "image", "conversations", "placeholder", *fields.COMMON)


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of a file.

    Raises:
        Refused: the file is neither a JSON array nor JSON lines.
    """
    for where, value in _objects(path):
        if isinstance(value, BadRow):
            yield value
            continue
        try:
            yield draft_of(value, folder, defaults, where=where)
        except Refused as error:
            yield BadRow.of(error, where)


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any] | BadRow]]:
    with path.open("rb") as stream:
        start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"["):
        yield from jsonl.lines(path)
        return
    if path.stat().st_size > limits.MAX_IMPORT_BYTES:
        raise Refused(
            "E_IMPORT_TOO_LARGE",
            "the JSON array is larger than its limit",
            where=path.name,
            expected=f"at most {limits.MAX_IMPORT_BYTES} bytes",
            hint="write one object a line instead: lines are read one at a time",
        )
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    listed = canonical.loads(data, where=path.name, max_bytes=limits.MAX_IMPORT_BYTES, floats=True)
    for number, value in enumerate(listed, 1):
        where = f"{path.name} row {number}"
        if isinstance(value, dict):
            yield where, value
        else:
            reason = "the row is not a JSON object"
            yield where, BadRow(where=where, code="E_ROW_FIELD", reason=reason)


def draft_of(row: Row, folder: Folder, defaults: Defaults, *, where: str) -> Draft:
    """The draft of one conversation.

    Raises:
        Refused: an unknown or missing key, a field of the wrong kind, or a number of places that
            is not the number of images.
    """
    fields.check_keys(row, KEYS, where=where)
    named = row.get("image")
    names = named if isinstance(named, list) else [] if named is None else [named]
    for name in names:
        if not isinstance(name, str):
            raise fields.wrong("image", "a path or a list of paths", name, where)
    placeholder = fields.optional_text(row, "placeholder", where=where) or PLACEHOLDER
    turns = _turns(row, where)
    places = sum(text.count(placeholder) for role, text in turns if role == "user")
    if places not in (0, len(names)):
        raise Refused(
            "E_CAPTURE_IMAGE_PLACES",
            f"the row has {len(names)} images and {places} places {placeholder!r} for them",
            where=where,
        )
    return Draft(
        where=where,
        images=tuple(image_source(name, folder, where=where) for name in names),
        messages=_messages(turns, placeholder, 0 if places else len(names)),
        **fields.common(row, defaults, where=where),
    )


def _turns(row: Row, where: str) -> list[tuple[Role, str]]:
    value = row.get("conversations")
    if not isinstance(value, list) or not value:
        raise fields.wrong("conversations", "a list of turns", value, where)
    turns: list[tuple[Role, str]] = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"from", "value"}:
            raise fields.wrong("conversations", 'a list of {"from", "value"}', item, where)
        role = ROLES.get(str(item["from"]))
        if role is None:
            raise fields.wrong("from", f"one of {', '.join(ROLES)}", item["from"], where)
        turns.append((role, fields.text(item, "value", where=where)))
    return turns


def _messages(
    turns: list[tuple[Role, str]], placeholder: str, unplaced: int
) -> tuple[Message, ...]:
    """The messages of the turns; `unplaced` images stand before the first user's turn."""
    messages, shown = [], 0
    for role, text in turns:
        if role != "user":
            messages.append(Message(role=role, content=(TextPart(text=text),)))
            continue
        parts: list[Part] = [ImagePart(image=number) for number in range(unplaced)]
        unplaced = 0
        pieces = text.split(placeholder)
        for number, piece in enumerate(pieces):
            if number:
                parts.append(ImagePart(image=shown))
                shown += 1
                piece = piece.removeprefix("\n")
            if number < len(pieces) - 1:
                piece = piece.removesuffix("\n")
            if piece:
                parts.append(TextPart(text=piece))
        messages.append(Message(role="user", content=tuple(parts)))
    return tuple(messages)
