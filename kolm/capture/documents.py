"""Capture: a capture's one canonical form, which has passed its schema and its rules.

Every capture that enters the store or leaves an importer passes `seal`; the rule numbers are those
of docs/format/capture.md.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from kolm import canonical, digest, schema
from kolm.capture import limits
from kolm.capture.rules import check_answer, check_rules, check_turns
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.records import kinds
from kolm.records.capture import (
    Capture,
    Correction,
    Image,
    ImagePart,
    Message,
    Role,
    Source,
    TextPart,
)
from kolm.records.sides import Split

if TYPE_CHECKING:
    from kolm.records.documents import Capture as CaptureDocument
    from kolm.records.documents import CaptureMessage


class Sealed(NamedTuple):
    """A capture's id and its canonical bytes."""

    id: Digest
    data: bytes


def seal(capture: Capture, *, where: str) -> Sealed:
    """Check a capture against schema and rules, and give its id and canonical bytes.

    Most captures differ from one before in their texts alone: what stands around these is checked
    and written once. A property test holds both ways equal.

    Raises:
        Refused: the capture breaks a rule; `where` is in the error.
    """
    data = _filled(capture, where)
    if data is not None:
        return Sealed(digest.of_bytes(data), data)
    # Before the schema, which would say only that something is too short.
    check_turns([message.role for message in capture.messages], where)
    for message in capture.messages:
        if message.role == "assistant" and isinstance(message.content[0], TextPart):
            check_answer(message.content[0].text, where=where)
    document = to_document(capture)
    problem = schema.checker(kinds.CAPTURE)(document)
    if problem is not None:
        from kolm.capture import unfit  # only a refusal needs the words

        raise unfit.of_row(document, *problem, where=where)
    return seal_document(document, where=where)


def seal_document(document: CaptureDocument, *, where: str) -> Sealed:
    """As `seal`, for a capture that is still a plain document."""
    schema.check(kinds.CAPTURE, document, where=where)
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


_FORMS = 1024  # that are kept
_HOLE = "a text"
_DIGEST = digest.EMPTY
_PICTURE = Image(1, _DIGEST, 1, "image/png", 1, _DIGEST, 1)

# Of each message its role, and of each part the number of its image, or None for a text.
_Turns = tuple[tuple[Role, tuple[int | None, ...]], ...]


def _filled(capture: Capture, where: str) -> bytes | None:
    """The canonical bytes of a capture whose form is known and whose texts fit; None: no telling.

    Raises:
        Refused: an answer that says nothing or was never filled.
    """
    if capture[_RARE:] != (None, None, None):
        return None
    texts, turns = list[str](), list[tuple[Role, tuple[int | None, ...]]]()
    for role, content in capture.messages:
        found = [part.text for part in content if isinstance(part, TextPart)]
        parts = tuple([part.image if isinstance(part, ImagePart) else None for part in content])
        if role == "assistant" and found:
            check_answer(found[0], where=where)
        texts += found
        turns.append((role, parts))
    images, license_, _, source, split, tags, *_ = capture
    pieces = _written(len(images), tuple(turns))
    around = _around(images, license_, source, split, tags)
    if "" in texts or len(pieces) != len(texts) + 1 or around is None:
        return None
    written = [around[0], pieces[0]]
    for text, piece in zip(texts, pieces[1:], strict=True):
        written += (canonical.text(text), piece)
    try:
        data = "".join([*written, around[1]]).encode("utf-8")
    except UnicodeEncodeError:
        return None
    return data if len(data) <= limits.MAX_CAPTURE_BYTES else None


_RARE = Capture._fields.index("references")  # what follows few captures have


@lru_cache(maxsize=_FORMS)
def _written(images: int, turns: _Turns) -> list[str]:
    """What stands around the texts of messages; nothing where they break a rule."""
    messages = tuple(
        Message(role, tuple(TextPart(_HOLE) if part is None else ImagePart(part) for part in parts))
        for role, parts in turns
    )
    capture = Capture((_PICTURE,) * images, "", messages, Source("form", ""), None, ())
    document = to_document(capture)
    try:
        seal_document(document, where="a form")
    except Refused:
        return []
    return canonical.dumps(document["messages"]).decode().split(canonical.text(_HOLE))


@lru_cache(maxsize=_FORMS)
def _around(
    images: tuple[Image, ...],
    license_: str,
    source: Source,
    split: Split | None,
    tags: tuple[str, ...],
) -> tuple[str, str] | None:
    """What stands before and after the messages of a capture; None where it breaks a rule."""
    shown = tuple(ImagePart(number) for number in range(len(images))) or (TextPart(_HOLE),)
    messages = Message("user", shown), Message("assistant", (TextPart(_HOLE),))
    document = to_document(Capture(images, license_, messages, source, split, tags))
    try:
        schema.check(kinds.CAPTURE, document, where="a form")
        check_rules(document, where="a form")
        before = canonical.dumps({key: document[key] for key in _BEFORE})
        after = canonical.dumps({key: document[key] for key in _AFTER})
    except (Refused, ValueError):
        return None
    return f'{before[:-1].decode()},"messages":', f",{after[1:].decode()}"


# The keys that stand before messages in the canonical order, and after them.
_BEFORE: tuple[Literal["images", "license"], ...] = ("images", "license")
_AFTER: tuple[Literal["source", "split", "tags"], ...] = ("source", "split", "tags")


def read(data: bytes, *, where: str) -> Capture:
    """A capture from its canonical bytes.

    Raises:
        Refused: not canonical JSON, or a broken rule.
    """
    document = canonical.loads_canonical(data, where=where, max_bytes=limits.MAX_CAPTURE_BYTES)
    schema.check(kinds.CAPTURE, document, where=where)
    check_rules(document, where=where)
    return from_document(document)


def to_document(capture: Capture) -> CaptureDocument:
    """The plain JSON value of a capture."""
    document: dict[str, object] = {
        "images": [image._asdict() for image in capture.images],
        "license": capture.license,
        "messages": [_message_document(message) for message in capture.messages],
        "source": {"kind": capture.source.kind, "name": capture.source.name},
        "split": capture.split,
        "tags": list(capture.tags),
    }
    if capture.references is not None:
        document["references"] = list(capture.references)
    if capture.rejected is not None:
        document["rejected"] = capture.rejected
    if capture.corrections is not None:
        document["corrections"] = [edit._asdict() for edit in capture.corrections]
    return cast("CaptureDocument", document)


def _message_document(message: Message) -> dict[str, object]:
    # Not `_asdict`, which takes half the time that a row of a large import takes.
    parts = [
        {"text": part.text, "type": part.type}
        if isinstance(part, TextPart)
        else {"image": part.image, "type": part.type}
        for part in message.content
    ]
    return {"role": message.role, "content": parts}


def from_document(document: CaptureDocument) -> Capture:
    """A capture from a document that has been checked."""
    corrections, further = document.get("corrections"), document.get("references")
    return Capture(
        images=tuple(Image(**image) for image in document["images"]),
        license=document["license"],
        messages=tuple(_message(message) for message in document["messages"]),
        source=Source(**document["source"]),
        split=document["split"],
        tags=tuple(document["tags"]),
        references=None if further is None else tuple(further),
        rejected=document.get("rejected"),
        corrections=None if corrections is None else tuple(Correction(**c) for c in corrections),
    )


def _message(document: CaptureMessage) -> Message:
    parts = tuple(
        TextPart(text=part["text"]) if part["type"] == "text" else ImagePart(image=part["image"])
        for part in document["content"]
    )
    return Message(role=document["role"], content=parts)
