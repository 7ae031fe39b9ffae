"""Capture: prompt/response rows, one JSON object a line.

``{"image": path | data URI | base64 | list of them, "prompt": text, "response": text}``, and
optionally tags, license, split, rejected, corrections, source. Images come before the prompt. A
conversation, or images between texts, is written with ``messages`` instead of prompt and response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kolm import canonical
from kolm.capture import fields, limits
from kolm.capture.drafts import (
    BadRow,
    Defaults,
    Draft,
    ImageSource,
    Row,
    prompt_and_response,
)
from kolm.capture.sources import Folder, image_source
from kolm.errors import Refused
from kolm.records.capture import ImagePart, Message, Part, TextPart

KEYS = ("image", "prompt", "response", "messages", *fields.COMMON)

ReadImage = Callable[[Any, str], ImageSource]


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of a file; blank lines are skipped."""

    def read_image(value: Any, where: str) -> ImageSource:
        if not isinstance(value, str):
            raise fields.wrong("image", "a path, a data URI or base64", value, where)
        return image_source(value, folder, where=where)

    for where, value in lines(path):
        if isinstance(value, BadRow):
            yield value
            continue
        try:
            yield draft_of(value, read_image, defaults, where=where)
        except Refused as error:
            yield BadRow.of(error, where)


def lines(path: Path) -> Iterator[tuple[str, dict[str, Any] | BadRow]]:
    """The objects of a JSON Lines file with their places; what is no object is a bad row."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(limits.MAX_ROW_BYTES + 1):
            number += 1
            where = f"{path.name}:{number}"
            if len(line) > limits.MAX_ROW_BYTES:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(limits.MAX_ROW_BYTES)
                reason = f"the row is longer than {limits.MAX_ROW_BYTES} bytes"
                yield where, BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, which editors add
            if line.strip():
                yield where, _object(line, where)


def _object(line: bytes, where: str) -> dict[str, Any] | BadRow:
    # A value is a byte or two of text and much more when it is parsed. Base64 holds none of these.
    if sum(map(line.count, (b",", b"[", b"{"))) > limits.MAX_ROW_VALUES:
        reason = f"the row holds more than {limits.MAX_ROW_VALUES} values"
        return BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)
    try:
        value = canonical.loads(line, where=where, max_bytes=limits.MAX_ROW_BYTES, floats=True)
    except Refused as error:
        return BadRow.of(error, where)
    if not isinstance(value, dict):
        return BadRow(where=where, code="E_ROW_FIELD", reason="the row is not a JSON object")
    return value


def draft_of(row: Row, read_image: ReadImage, defaults: Defaults, *, where: str) -> Draft:
    """The draft of one prompt/response or messages row.

    Raises:
        Refused: an unknown or missing key, or a field of the wrong kind.
    """
    fields.check_keys(row, KEYS, where=where)
    if "image" not in row:
        raise Refused(
            "E_ROW_MISSING_KEY",
            "the row has no 'image'",
            where=where,
            hint='a row without a picture says so: "image": []',
        )
    named = row["image"]
    values = named if isinstance(named, list | tuple) else [named]
    images = tuple(read_image(value, where) for value in values)
    if row.get("messages") is not None:
        if row.get("prompt") is not None or row.get("response") is not None:
            raise Refused(
                "E_ROW_FIELD", "the row has messages, and prompt or response too", where=where
            )
        messages = _messages(row["messages"], where)
    else:
        prompt = fields.text(row, "prompt", where=where)
        response = fields.text(row, "response", where=where)
        messages = prompt_and_response(len(images), prompt, response)
    return Draft(
        where=where, images=images, messages=messages, **fields.common(row, defaults, where=where)
    )


def _messages(value: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise fields.wrong("messages", "a list of messages", value, where)
    return tuple(_message(item, where) for item in value)


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict) or set(item) != {"role", "content"}:
        raise fields.wrong("messages", 'a list of {"role", "content"}', item, where)
    if item["role"] not in ("system", "user", "assistant"):
        raise fields.wrong("role", "system, user or assistant", item["role"], where)
    content = item["content"]
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list | tuple) or not content:
        raise fields.wrong("content", "a text or a list of parts", content, where)
    return Message(role=item["role"], content=tuple(_part(part, where) for part in content))


def _part(part: Any, where: str) -> Part:
    if isinstance(part, dict) and set(part) == {"type", "text"} and part["type"] == "text":
        return TextPart(text=fields.text(part, "text", where=where))
    if isinstance(part, dict) and set(part) == {"type", "image"} and part["type"] == "image":
        if type(part["image"]) is not int:
            raise fields.wrong("image", "the number of an image, from 0", part["image"], where)
        return ImagePart(image=part["image"])
    raise fields.wrong("content", "a list of text and image parts", part, where)
