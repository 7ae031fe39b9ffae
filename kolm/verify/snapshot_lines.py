"""The lines of `snapshot.jsonl`, read once for every check that needs them.

A snapshot may have a hundred thousand lines of one fixed form, so one regular expression accepts
a line that is canonical and fits the schema; a line it does not accept is read the long way,
which either refuses it with its reason or gives the same values. A property test holds the two
ways equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from kolm import canonical, schema
from kolm.digest import Digest
from kolm.format.names import LINES
from kolm.records import kinds

if TYPE_CHECKING:
    from kolm.records.documents import SnapshotRow, SnapshotRowImage, SnapshotRowSplit

    # ``file`` and ``pixels`` of each picture of a capture, ``twins`` where near twins are grouped
    Images = list[SnapshotRowImage]


_DIGEST = r"sha256:[0-9a-f]{64}"
_PAIR = r'\{"file":"' + _DIGEST + r'","pixels":"' + _DIGEST + r'"\}'
_TRIPLE = _PAIR.removesuffix(r"\}") + r',"twins":"' + _DIGEST + r'"\}'
_IMAGES = rf"(?:{_PAIR}(?:,{_PAIR})*|{_TRIPLE}(?:,{_TRIPLE})*)?"
_LINE = re.compile(
    r'\{"capture":"(' + _DIGEST + r')","images":\[(' + _IMAGES + r")\]"
    r',"split":"(eval|none|train|validation)"\}',
    re.ASCII,
)
_DIGESTS = re.compile(_DIGEST, re.ASCII)


class SnapshotLines:
    """The snapshot by line: parallel lists. Callers change nothing; equal images are shared."""

    def __init__(self) -> None:
        self.captures: list[Digest] = []
        self.splits: list[SnapshotRowSplit] = []
        self.images: list[Images] = []
        self.leaves: list[bytes] = []

    def __len__(self) -> int:
        return len(self.captures)

    def rows(self) -> Iterator[SnapshotRow]:
        """The lines as plain rows, made as they are asked for."""
        for capture, split, images in zip(self.captures, self.splits, self.images, strict=True):
            yield {"capture": capture, "images": images, "split": split}

    def place(self, number: int) -> str:
        """Where a line (from 0) stands, and its capture, as a finding says it."""
        return f"{LINES}:{number + 1}: {self.captures[number]}"

    def of_split(self, split: str) -> list[int]:
        """The line numbers (from 0) of one split."""
        return [number for number, side in enumerate(self.splits) if side == split]


def read_snapshot_lines(data: bytes | memoryview, *, where: str) -> SnapshotLines:
    """Read the member.

    Raises:
        Refused: a line that is not canonical JSON or does not fit the schema.
    """
    lines = SnapshotLines()
    known: dict[str, Images] = {}
    lines.leaves = bytes(data).split(b"\n")
    last = lines.leaves.pop()  # what follows the last newline: nothing
    for number, leaf in enumerate(lines.leaves, 1):
        text = leaf.decode("latin-1")  # one character a byte; the pattern is ASCII
        match = _LINE.fullmatch(text)
        if match is None or len(text) > canonical.MAX_LINE_BYTES:
            _add_the_long_way(lines, leaf, f"{where}:{number}")
            continue
        capture, stored, split = match.groups()
        images = known.get(stored)
        if images is None:
            images = known[stored] = _images(stored)
        lines.captures.append(Digest(capture))
        lines.splits.append(_SPLITS[split])
        lines.images.append(images)
    if last:
        for _ in canonical.read_lines(data, where=where):
            pass  # reads up to the missing newline and refuses there
    return lines


_SPLITS: dict[str, SnapshotRowSplit] = {  # one text of each
    "eval": "eval",
    "none": "none",
    "train": "train",
    "validation": "validation",
}


def _images(stored: str) -> Images:
    digests = _DIGESTS.findall(stored)
    keys = ("file", "pixels", "twins") if '"twins"' in stored else ("file", "pixels")
    looks = zip(*(digests[place :: len(keys)] for place in range(len(keys))), strict=True)
    return [cast("SnapshotRowImage", dict(zip(keys, look, strict=True))) for look in looks]


def _add_the_long_way(lines: SnapshotLines, line: bytes, where: str) -> None:
    for _, _, value in canonical.read_lines(line + b"\n", where=where):
        schema.check(kinds.SNAPSHOT_ROW, value, where=where)
        lines.captures.append(value["capture"])
        lines.splits.append(value["split"])
        lines.images.append(value["images"])
