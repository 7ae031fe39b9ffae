"""The bundle: the lines of `snapshot.jsonl`, read once for everything that needs them.

A snapshot may have a hundred thousand lines of one fixed form, so one regular expression accepts
a line that is canonical and fits the schema; a line it does not accept is read the long way,
which either refuses it with its reason or gives the same values. A property test holds the two
ways equal.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kolm import canonical, schema
from kolm.digest import Digest
from kolm.format.names import LINES
from kolm.records import kinds

if TYPE_CHECKING:
    from kolm.format.pictures import Pictures
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
_CAPTURE = slice(len('{"capture":"'), len('{"capture":"sha256:') + 64)  # canonical: it comes first


_Value = TypeVar("_Value")

# The columns of a larger text are read out of its lines each time that they are asked for: taken
# apart, a line needs five times its bytes.
KEPT_BYTES = 16 * 1024 * 1024


class SnapshotLines:
    """The snapshot by line: parallel columns. Callers change nothing; equal images are shared."""

    def __init__(
        self,
        captures: Sequence[Digest],
        splits: Sequence[SnapshotRowSplit],
        images: Sequence[Images],
        leaves: Sequence[bytes],
    ) -> None:
        self.captures = captures
        self.splits = splits
        self.images = images
        self.leaves = leaves

    def __len__(self) -> int:
        return len(self.splits)

    @cached_property
    def pictures(self) -> Pictures:
        """The pictures of all lines, numbered."""
        from kolm.format.pictures import LOOKS, Pictures

        def look(picture: SnapshotRowImage, kind: int) -> Digest | None:
            return cast("dict[str, Digest]", picture).get(LOOKS[kind])

        return Pictures(self.images, look)

    def rows(self) -> Iterator[SnapshotRow]:
        """The lines as plain rows, made as they are asked for."""
        for capture, split, images in zip(self.captures, self.splits, self.images, strict=True):
            yield {"capture": capture, "images": images, "split": split}

    def place(self, number: int) -> str:
        """Where a line (from 0) stands, and its capture, as a finding says it."""
        return f"{LINES}:{number + 1}: {self.captures[number]}"

    def of_split(self, split: str) -> Sequence[int]:
        """The line numbers (from 0) of one split."""
        return array("Q", (number for number, side in enumerate(self.splits) if side == split))


class _Leaves(Sequence[bytes]):
    """The lines where they stand: `starts` has the place of each, and of what would follow."""

    def __init__(self, data: memoryview, starts: array[int]) -> None:
        self._data = data
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: Any) -> Any:
        return bytes(self._data[self._starts[number] : self._starts[number + 1] - 1])


class _Column(Sequence[_Value]):
    """What a function reads out of each line."""

    def __init__(self, leaves: _Leaves, read: Callable[[bytes], _Value]) -> None:
        self._leaves = leaves
        self._read = read

    def __len__(self) -> int:
        return len(self._leaves)

    def __getitem__(self, number: Any) -> Any:
        return self._read(self._leaves[number])


def read_snapshot_lines(data: bytes | memoryview, *, where: str) -> SnapshotLines:
    """Read the member.

    Raises:
        Refused: a line that is not canonical JSON or does not fit the schema.
    """
    kept = len(data) <= KEPT_BYTES
    captures: list[Digest] = []
    splits: list[SnapshotRowSplit] = []
    images: list[Images] = []
    leaves: list[bytes] = []
    starts = array("Q", [0])
    known: dict[str, Images] = {}
    for number, leaf in enumerate(canonical.split_lines(data, where=where), 1):
        match = _match(leaf)
        if match is not None:
            stored, split = match[2], match[3]
            shown = known.get(stored)
        else:
            row = _read_the_long_way(leaf, f"{where}:{number}")
            shown, split = row["images"], row["split"]
        splits.append(_SPLITS[split])
        if not kept:
            starts.append(starts[-1] + len(leaf) + 1)
            continue
        if shown is None:
            shown = known[stored] = _images(stored)
        captures.append(_capture_of(leaf))
        images.append(shown)
        leaves.append(leaf)
    if kept:
        return SnapshotLines(captures, splits, images, leaves)
    stand = _Leaves(memoryview(data), starts)
    return SnapshotLines(_Column(stand, _capture_of), splits, _Column(stand, _images_of), stand)


def _match(leaf: bytes) -> re.Match[str] | None:
    return _LINE.fullmatch(leaf.decode("latin-1"))  # one character a byte; the pattern is ASCII


def _capture_of(leaf: bytes) -> Digest:
    return Digest(leaf[_CAPTURE].decode("ascii"))


def _images_of(leaf: bytes) -> Images:
    match = _match(leaf)
    found: Images = _images(match[2]) if match else canonical.loads(leaf, where=LINES)["images"]
    return found


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


def _read_the_long_way(line: bytes, where: str) -> SnapshotRow:
    return schema.check(
        kinds.SNAPSHOT_ROW, canonical.loads_canonical(line, where=where), where=where
    )
