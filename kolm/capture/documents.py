"""Capture: the rules of a capture beyond its schema, and its one canonical form.

Every capture that enters the store or leaves an importer passes `seal`; the rule numbers are those
of docs/format/capture.md.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, NamedTuple

from kolm import canonical, digest, schema
from kolm.capture import limits
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.records import codec
from kolm.records.capture import (
    Capture,
    Correction,
    Image,
    ImagePart,
    Message,
    Source,
    TextPart,
)

# An answer somebody meant to write: [ANNOTATE: …], [TODO], [FILL IN: …]. Upper case only, so that
# an answer may still speak of to-dos.
_UNFILLED = re.compile(r"\[\s*(?:ANNOTATE|TODO|TBD|FILL[ _]?IN|PLACEHOLDER)\b[^\]\n]*\]")


class Sealed(NamedTuple):
    """A capture's id and its canonical bytes."""

    id: Digest
    data: bytes


def seal(capture: Capture, *, where: str) -> Sealed:
    """Check a capture against schema and rules, and give its id and canonical bytes.

    Raises:
        Refused: the capture breaks a rule; `where` is in the error.
    """
    for message in capture.messages:
        # Before the schema, which would say of an empty answer only that it is too short.
        if message.role == "assistant" and isinstance(message.content[0], TextPart):
            check_answer(message.content[0].text, where=where)
    return seal_document(to_document(capture), where=where)


def seal_document(document: dict[str, Any], *, where: str) -> Sealed:
    """As `seal`, for a capture that is still a plain document."""
    schema.check("capture", document, where=where)
    check_rules(document, where=where)
    try:
        data = canonical.dumps(document)
    except ValueError as error:
        raise Refused("E_CAPTURE_TEXT", f"a text cannot be stored: {error}", where=where) from None
    if len(data) > limits.MAX_CAPTURE_BYTES:
        raise Refused(
            "E_CAPTURE_TOO_LARGE",
            "the capture's text is longer than its limit",
            where=where,
            expected=f"at most {limits.MAX_CAPTURE_BYTES} bytes",
            found=f"{len(data)} bytes",
            hint="split the conversation into several captures",
        )
    return Sealed(digest.of_bytes(data), data)


def read(data: bytes, *, where: str) -> Capture:
    """A capture from its canonical bytes.

    Raises:
        Refused: not canonical JSON, or a broken rule.
    """
    document = canonical.loads_canonical(data, where=where, max_bytes=limits.MAX_CAPTURE_BYTES)
    schema.check("capture", document, where=where)
    check_rules(document, where=where)
    return from_document(document)


def to_document(capture: Capture) -> dict[str, Any]:
    """The plain JSON value of a capture: what `codec.to_document` gives, five times as fast."""
    document: dict[str, Any] = {
        "images": [_image_document(image) for image in capture.images],
        "license": capture.license,
        "messages": [_message_document(message) for message in capture.messages],
        "source": {"kind": capture.source.kind, "name": capture.source.name},
        "split": capture.split,
        "tags": list(capture.tags),
    }
    if capture.rejected is not None:
        document["rejected"] = capture.rejected
    if capture.corrections is not None:
        document["corrections"] = [codec.to_document(edit) for edit in capture.corrections]
    return document


def from_document(document: dict[str, Any]) -> Capture:
    """A capture from a document that has been checked."""
    corrections = document.get("corrections")
    return Capture(
        images=tuple(Image(**image) for image in document["images"]),
        license=document["license"],
        messages=tuple(_message(message) for message in document["messages"]),
        source=Source(**document["source"]),
        split=document["split"],
        tags=tuple(document["tags"]),
        rejected=document.get("rejected"),
        corrections=None if corrections is None else tuple(Correction(**c) for c in corrections),
    )


def check_rules(document: dict[str, Any], *, where: str) -> None:
    """Demand the rules C7 to C12 of a document that fits its schema.

    Raises:
        Refused: ``E_CAPTURE_RULE`` and its siblings.
    """
    _check_order(document["tags"], where)
    _check_turns(document["messages"], where)
    _check_image_parts(document, where)
    for message in document["messages"]:
        if message["role"] == "assistant":
            check_answer(message["content"][0]["text"], where=where)
    if "rejected" in document or "corrections" in document:
        _check_rejected(document, where)


def check_answer(text: str, *, where: str) -> None:
    """Demand that an answer says something and is no template that was never filled.

    Raises:
        Refused: ``E_CAPTURE_EMPTY_RESPONSE`` or ``E_CAPTURE_UNFILLED``.
    """
    if not text.strip():
        raise Refused("E_CAPTURE_EMPTY_RESPONSE", "the response is empty", where=where)
    unfilled = _UNFILLED.search(text)
    if unfilled is not None:
        raise Refused(
            "E_CAPTURE_UNFILLED",
            "the response holds a template that was never filled",
            where=where,
            found=unfilled.group()[:80],
            hint="write the answer, or leave the row out",
        )


def apply_corrections(text: str, corrections: list[dict[str, Any]]) -> str:
    """The text after its corrections, whose offsets count characters of the original text."""
    parts, at = [], 0
    for edit in corrections:
        parts += [text[at : edit["start"]], edit["replacement"]]
        at = edit["end"]
    return "".join([*parts, text[at:]])


def _broken(where: str, message: str) -> Refused:
    return Refused("E_CAPTURE_RULE", message, where=where)


def _check_order(tags: list[str], where: str) -> None:
    if any(left >= right for left, right in pairwise(tags)):
        raise _broken(where, "tags are sorted and stand once each")


def _check_turns(messages: list[dict[str, Any]], where: str) -> None:
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[0] == "system" else roles
    wanted = ["user", "assistant"] * (len(turns) // 2)
    if not turns or turns != wanted:
        raise Refused(
            "E_CAPTURE_TURNS",
            "the turns are not user and assistant in alternation, ending with the assistant",
            where=where,
            expected="system (optional), then user, assistant, user, assistant, …",
            found=", ".join(roles[:12]),
        )


def _check_image_parts(document: dict[str, Any], where: str) -> None:
    places = []
    for message in document["messages"]:
        content = message["content"]
        kinds = [part["type"] for part in content]
        if message["role"] != "user" and kinds != ["text"]:
            raise _broken(where, f"a message of the {message['role']} is one text")
        if any(left == right == "text" for left, right in pairwise(kinds)):
            raise _broken(where, "two texts stand side by side; they are one text")
        places += [part["image"] for part in content if part["type"] == "image"]
    if places != list(range(len(document["images"]))):
        raise Refused(
            "E_CAPTURE_IMAGE_PLACES",
            "the messages do not show each image once, in order",
            where=where,
            expected=f"{len(document['images'])} places for images",
            found=f"places {places[:12]}",
        )


def _check_rejected(document: dict[str, Any], where: str) -> None:
    response = document["messages"][-1]["content"][0]["text"]
    rejected = document.get("rejected")
    if rejected is None:
        raise _broken(where, "corrections need the rejected answer that they correct")
    if not rejected.strip() or rejected == response:
        raise _broken(where, "the rejected answer is empty or the same as the response")
    corrections = document.get("corrections")
    if corrections is None:
        return
    at = 0
    for edit in corrections:
        if not at <= edit["start"] <= edit["end"] <= len(rejected):
            raise _broken(where, "corrections overlap, run backwards or pass the text's end")
        at = edit["end"]
    if apply_corrections(rejected, corrections) != response:
        raise _broken(where, "the corrections do not turn the rejected answer into the response")


def _image_document(image: Image) -> dict[str, Any]:
    return {
        "bytes": image.bytes,
        "file": image.file,
        "height": image.height,
        "media_type": image.media_type,
        "orientation": image.orientation,
        "pixels": image.pixels,
        "width": image.width,
    }


def _message_document(message: Message) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"image": part.image, "type": "image"}
        if isinstance(part, ImagePart)
        else {"text": part.text, "type": "text"}
        for part in message.content
    ]
    return {"content": parts, "role": message.role}


def _message(document: dict[str, Any]) -> Message:
    parts = tuple(
        TextPart(text=part["text"]) if part["type"] == "text" else ImagePart(image=part["image"])
        for part in document["content"]
    )
    return Message(role=document["role"], content=parts)
