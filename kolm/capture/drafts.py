"""Capture: a row on its way in, before its images have been read.

Importers yield drafts and bad rows; `intake` reads the images and seals the captures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from kolm.errors import Refused
from kolm.records.capture import (
    Correction,
    ImagePart,
    Message,
    Part,
    Source,
    TextPart,
)
from kolm.records.sides import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class FileImage:
    """An image in a file, which `intake` reads once however many rows name it."""

    path: Path
    told: str = ""  # where the row writes the name in another way


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineImage:
    """The bytes of an image file that a row carries itself."""

    data: bytes = field(repr=False)
    told: ClassVar[str] = ""


ImageSource = FileImage | InlineImage


class Draft(NamedTuple):
    """A row that could be read: a capture whose images are still sources."""

    where: str
    images: tuple[ImageSource, ...]
    messages: tuple[Message, ...]
    license: str
    source: Source
    split: Split | None
    tags: tuple[str, ...]
    references: tuple[str, ...] | None = None
    rejected: str | None = None
    corrections: tuple[Correction, ...] | None = None
    told: tuple[str, ...] = ()  # what the user should know of the row


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot become a capture, and why."""

    where: str
    code: str
    reason: str
    expected: str = ""
    hint: str = ""

    @classmethod
    def of(cls, error: Refused, where: str) -> BadRow:
        """The bad row that an error tells of."""
        found = f" (found {error.found})" if error.found else ""
        return cls(
            where=where,
            code=error.code,
            reason=error.message + found,
            expected=error.expected,
            hint=error.hint,
        )

    def error(self) -> Refused:
        """The error that it tells of."""
        return Refused(
            self.code, self.reason, where=self.where, expected=self.expected, hint=self.hint
        )

    def to_document(self) -> dict[str, str]:
        """A flat document, for lists of refused rows."""
        told = {"code": self.code, "reason": self.reason, "where": self.where}
        more = {"expected": self.expected, "hint": self.hint}
        return {**told, **{key: text for key, text in more.items() if text}}


Row = Mapping[str, object]


class Reshaped(NamedTuple):
    """Rows in a shape of their own, and what makes rows of `shapes` of them.

    Attributes:
        keys: that they have beside the keys of `shapes`; a table's other columns are not unpacked.
        own: the row under the keys of `shapes`; takes the row and its place.
    """

    keys: frozenset[str]
    own: Callable[[Row, str], Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a row says by not saying it.

    Attributes:
        source: where rows come from that do not name a source.
        license: SPDX id of rows that state none.
        split: side of rows that state none.
        tags: put on every row, beside its own.
        coerce: take a number, true or false where an answer's text is wanted, as JSON writes it.
        ignored: keys that are passed over.
        renamed: keys of rows and what they are called here.
        reshaped: where rows have a shape of their own.
    """

    source: Source
    license: str = ""
    split: Split | None = None
    tags: tuple[str, ...] = ()
    coerce: bool = False
    ignored: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    reshaped: Reshaped | None = None


def user_turn(images: Sequence[int], text: str) -> Message:
    """A user's message: the numbered images first, then the text, as far as there is any."""
    parts: list[Part] = [ImagePart(image=number) for number in images]
    if text:
        parts.append(TextPart(text=text))
    return Message(role="user", content=tuple(parts))


def prompt_and_response(image_count: int, prompt: str, response: str) -> tuple[Message, ...]:
    """The messages of one question and its answer."""
    answer = Message(role="assistant", content=(TextPart(text=response),))
    return user_turn(range(image_count), prompt), answer
