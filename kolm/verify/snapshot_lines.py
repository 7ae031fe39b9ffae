"""The lines of `snapshot.jsonl`, read once for every check that needs them.

A snapshot may have a hundred thousand lines of one fixed form, so one regular expression accepts
a line that is canonical and fits the schema; a line it does not accept is read the long way,
which either refuses it with its reason or gives the same values. A property test holds the two
ways equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kolm import canonical, schema

_DIGEST = rb"sha256:[0-9a-f]{64}"
_IMAGE = rb'\{"file":"' + _DIGEST + rb'","pixels":"' + _DIGEST + rb'"\}'
_LINE = re.compile(
    rb'\{"capture":"(' + _DIGEST + rb')","images":\[((?:' + _IMAGE + rb"(?:," + _IMAGE + rb")*)?)\]"
    rb',"split":"(eval|train|validation)"\}',
    re.ASCII,
)
_DIGESTS = re.compile(_DIGEST, re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image of a capture: the digest of its file and of its decoded pixels."""

    file: str
    pixels: str


@dataclass(slots=True)
class SnapshotLines:
    """The snapshot by line: parallel lists of capture id, split and pictures."""

    captures: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    pictures: list[tuple[Picture, ...]] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.captures)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The lines as plain rows, made as they are asked for."""
        for capture, split, pictures in zip(self.captures, self.splits, self.pictures, strict=True):
            images = [{"file": p.file, "pixels": p.pixels} for p in pictures]
            yield {"capture": capture, "images": images, "split": split}

    def of_split(self, split: str) -> list[int]:
        """The line numbers (from 0) of one split."""
        return [number for number, side in enumerate(self.splits) if side == split]


def read_snapshot_lines(data: bytes | memoryview, *, where: str) -> SnapshotLines:
    """Read the member.

    Raises:
        Refused: a line that is not canonical JSON or does not fit the schema.
    """
    lines = SnapshotLines()
    known: dict[bytes, tuple[Picture, ...]] = {}
    whole = bytes(data)
    body = whole[:-1] if whole.endswith(b"\n") else whole
    for number, line in enumerate(body.split(b"\n") if body else (), 1):
        match = _LINE.fullmatch(line)
        if match is None or len(line) > canonical.MAX_LINE_BYTES:
            _add_the_long_way(lines, line, f"{where}:{number}")
            continue
        capture, images, split = match.groups()
        pictures = known.get(images)
        if pictures is None:
            pictures = known[images] = _pictures(images)
        lines.captures.append(capture.decode())
        lines.splits.append(_SPLITS[split])
        lines.pictures.append(pictures)
        lines.leaves.append(line)
    if whole and not whole.endswith(b"\n"):
        for _ in canonical.read_lines(whole, where=where):
            pass  # reads up to the missing newline and refuses there
    return lines


_SPLITS = {b"eval": "eval", b"train": "train", b"validation": "validation"}


def _pictures(images: bytes) -> tuple[Picture, ...]:
    digests = [item.decode() for item in _DIGESTS.findall(images)]
    pairs = zip(digests[::2], digests[1::2], strict=True)
    return tuple(Picture(file=file, pixels=pixels) for file, pixels in pairs)


def _add_the_long_way(lines: SnapshotLines, line: bytes, where: str) -> None:
    for _, _, value in canonical.read_lines(line + b"\n", where=where):
        schema.check("snapshot_row", value, where=where)
        lines.captures.append(value["capture"])
        lines.splits.append(value["split"])
        lines.pictures.append(
            tuple(Picture(file=i["file"], pixels=i["pixels"]) for i in value["images"])
        )
        lines.leaves.append(line)
