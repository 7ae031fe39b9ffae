"""Capture: a capture's one canonical form, which has passed its schema and its rules.

Every capture that enters the store or leaves an importer passes `seal`; the rule numbers are those
of docs/format/capture.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kolm import canonical, digest, schema
from kolm.capture import limits
from kolm.capture.rules import (
    check_answer,
    check_rare,
    check_rules,
    check_sizes,
    check_tags,
    check_turns,
)
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
    return _sealed(document, where)


def seal_document(document: CaptureDocument, *, where: str) -> Sealed:
    """As `seal`, for a capture that is still a plain document."""
    schema.check(kinds.CAPTURE, document, where=where)
    return _sealed(document, where)


def _sealed(document: CaptureDocument, where: str) -> Sealed:
    """Of a document that fits its schema."""
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
_HOLE, _FORM = "a text", "a form"
_RARE = ("references", "rejected", "corrections")
_DIGEST = digest.EMPTY
_PICTURE = Image(1, _DIGEST, 1, "image/png", 1, _DIGEST, 1)

# Of each message its role, and of each part the number of its image, or None for a text.
_Turns = tuple[tuple[Role, tuple[int | None, ...]], ...]


def _filled(capture: Capture, where: str) -> bytes | None:
    """The canonical bytes of a capture that breaks no rule; None: it breaks one.

    Raises:
        Refused: an answer that says nothing or was never filled.
    """
    texts, turns = list[str](), list[tuple[Role, tuple[int | None, ...]]]()
    for role, content in capture.messages:
        found = [part.text for part in content if isinstance(part, TextPart)]
        parts = tuple([part.image if isinstance(part, ImagePart) else None for part in content])
        if role == "assistant" and found:
            check_answer(found[0], where=where)
        texts += found
        turns.append((role, parts))
    pieces = _written(len(capture.images), tuple(turns))
    if "" in texts or len(pieces) != len(texts) + 1:
        return None
    written = [pieces[0]]
    for text, piece in zip(texts, pieces[1:], strict=True):
        written += (canonical.text(text), piece)
    images, license_, _, source, split, tags, *rare = capture
    try:
        members = {
            "images": _images(images),
            "license": _kept("license", license_),
            "messages": "".join(written),
            "source": _kept("source", source),
            "split": _kept("split", split),
            "tags": _tags(tags),
        }
        if rare != [None, None, None]:
            members |= _rare(rare, response=texts[-1])
        data = f"{{{','.join([members[key] for key in sorted(members)])}}}".encode()
    except (Refused, ValueError):
        return None
    return data if len(data) <= limits.MAX_CAPTURE_BYTES else None


# What a capture states under a key, as it stands in the canonical bytes. What few captures have
# are texts of their own, which are not kept.


@lru_cache(maxsize=_FORMS)
def _images(images: tuple[Image, ...]) -> str:
    plain = _plain(images)
    check_sizes(plain, _FORM)
    return _member("images", plain)


@lru_cache(maxsize=_FORMS)
def _tags(tags: tuple[str, ...]) -> str:
    check_tags(tags, _FORM)
    return _member("tags", _plain(tags))


@lru_cache(maxsize=_FORMS)
def _kept(key: str, value: object) -> str:
    return _member(key, _plain(value))


def _rare(values: Iterable[object], *, response: str) -> dict[str, str]:
    stated = {
        key: _plain(value) for key, value in zip(_RARE, values, strict=True) if value is not None
    }
    check_rare(cast("CaptureDocument", stated), response, _FORM)
    return {key: _member(key, value) for key, value in stated.items()}


def _member(key: str, plain: object) -> str:
    if schema.checker(kinds.CAPTURE, f"/properties/{key}")(plain) is not None:
        raise Refused("E_SCHEMA", key, where=_FORM)
    return f'"{key}":{canonical.dumps(plain).decode()}'


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
        seal_document(document, where=_FORM)
    except Refused:
        return []
    return _member("messages", document["messages"]).split(canonical.text(_HOLE))


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
    stated = {
        key: _plain(value)
        for key, value in zip(Capture._fields, capture, strict=True)
        if value is not None or key not in _RARE
    }
    stated["messages"] = [_message_document(message) for message in capture.messages]
    return cast("CaptureDocument", stated)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return value._asdict() if hasattr(value, "_asdict") else [_plain(item) for item in value]
    return value


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
