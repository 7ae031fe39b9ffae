"""The `capture` document: one example of what a model should answer.

Its shape is schemas/capture.schema.json and its rules are docs/format/capture.md. Its id is the
digest of its canonical bytes and does not stand inside.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from kolm.digest import Digest
from kolm.records.sides import Split

MediaType = Literal["image/png", "image/jpeg", "image/webp"]
Role = Literal["system", "user", "assistant"]


class Image(NamedTuple):
    """What is known of one image file without opening it again.

    Attributes:
        bytes: size of the file.
        file: digest of the file's original bytes.
        height: of the upright picture, in pixels.
        media_type: ``image/png``, ``image/jpeg`` or ``image/webp``.
        orientation: the file's EXIF orientation, 1 to 8; 1 when it has none.
        pixels: digest of the decoded picture; files that look the same share it.
        width: of the upright picture, in pixels.
    """

    bytes: int
    file: Digest
    height: int
    media_type: MediaType
    orientation: int
    pixels: Digest
    width: int


class ImagePart(NamedTuple):
    """The place of an image in a message; `image` counts the capture's images from 0."""

    image: int
    type: Literal["image"] = "image"


class TextPart(NamedTuple):
    """Text in a message: data, whatever it looks like."""

    text: str
    type: Literal["text"] = "text"


Part = ImagePart | TextPart


class Message(NamedTuple):
    """One turn."""

    role: Role
    content: tuple[Part, ...]


class Source(NamedTuple):
    """Where a capture came from: the importer, and a data set or file name; never a path."""

    kind: str
    name: str


class Correction(NamedTuple):
    """Characters `start` to `end` of the rejected answer, and what replaces them."""

    start: int
    end: int
    replacement: str


class Capture(NamedTuple):
    """Images, a conversation whose last turn is the reference answer, and where it all came from.

    Attributes:
        license: an SPDX id, or empty when not stated.
        split: the side that the data's own makers chose, or None.
        references: further answers that are right, as others gave them, sorted; only evaluation
            reads them.
        rejected: an answer to the same prompt that is worse than the reference answer.
        corrections: the edits that turn `rejected` into the reference answer.
    """

    images: tuple[Image, ...]
    license: str
    messages: tuple[Message, ...]
    source: Source
    split: Split | None
    tags: tuple[str, ...]
    references: tuple[str, ...] | None = None
    rejected: str | None = None
    corrections: tuple[Correction, ...] | None = None
