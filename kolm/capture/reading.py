"""Capture: files to import as streams of rows: lines, arrays, gzip, and what a pipe hands over.

One broken row costs that row. Nothing here knows what a row means.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from kolm import canonical, system
from kolm.capture import arrays, file_limits
from kolm.capture.drafts import BadRow
from kolm.errors import Refused, Unreadable

STDIN = Path("-")
_BOM = b"\xef\xbb\xbf"  # which editors add
_GZIP = b"\x1f\x8b"
_BLOCK_BYTES = 1024 * 1024  # read at a time
_PEEKED = 4096  # bytes: enough to tell an array from lines
# An object whose first value is a list of objects, {"data": [{…}, …]}, unless it is a row itself.
_WRAPPED = re.compile(rb'\{\s*"((?:[^"\\]|\\.)*)"\s*:\s*\[\s*\{')
_ROW_KEYS = (
    b"image", b"images", b"conversations", b"messages", b"prompt", b"chosen", b"rejected",
    b"corrections",
)  # fmt: skip

Located = tuple[str, dict[str, object] | BadRow]


def name_of(path: Path) -> str:
    """What a file is called in messages and as a source, packed or not."""
    if path == STDIN:
        return "stdin"
    return path.name.removesuffix(".gz") if path.name != ".gz" else path.name


def demand_distinct(columns: Sequence[str], where: str) -> None:
    """Refuse a table two of whose columns have one name: only one of them would be read."""
    seen = set[str]()
    for name in columns:
        if name in seen:
            problem = f"two columns are called {name[:60]!r}"
            raise Refused("E_IMPORT_COLUMNS", problem, where=where)
        seen.add(name)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A file or standard input, unpacked if it is gzip.

    Raises:
        Unreadable: there is no such file.
        Refused: ``E_IMPORT_ENCODING``: the bytes are UTF-16.
    """
    with contextlib.ExitStack() as stack:
        if path == STDIN:
            raw: IO[bytes] = sys.stdin.buffer
        else:
            if path.is_dir() or not path.exists():
                raise Unreadable(
                    "E_IMPORT_FILE", "there is no such file to import", where=str(path)
                )
            try:
                raw = stack.enter_context(path.open("rb"))
            except OSError as error:
                raise system.error_of(error, where=path) from None
        packed = Counted(raw, name=name_of(path), size=0 if path == STDIN else path.stat().st_size)
        stream: Any = stack.enter_context(io.BufferedReader(packed))
        try:
            if stream.peek(2)[:2] == _GZIP:
                unpacked = stack.enter_context(gzip.GzipFile(fileobj=stream))
                bounded = Counted(unpacked, packed=packed, name=name_of(path))
                stream = stack.enter_context(io.BufferedReader(bounded))
            _demand_utf8(stream.peek(2)[:2], path)
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Refused(
                "E_IMPORT_GZIP", f"the gzip data are broken: {error}", where=name_of(path)
            ) from None


def search(
    stream: IO[bytes], pattern: re.Pattern[bytes], *, longest: int
) -> re.Match[bytes] | None:
    """The first place in a stream where a pattern fits that takes so many bytes at the most."""
    held = b""
    while block := stream.read(_BLOCK_BYTES):
        held += block
        if found := pattern.search(held):
            return found
        held = held[-longest:]
    return None


def _demand_utf8(start: bytes, path: Path) -> None:
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise Refused(
            "E_IMPORT_ENCODING",
            "the file is UTF-16, and rows are UTF-8",
            where=name_of(path),
            hint="iconv -f UTF-16 -t UTF-8 FILE > NEW",
        )


class Counted(io.RawIOBase):
    """A stream that knows how much was read, and what was unpacked from little is refused."""

    def __init__(
        self, stream: Any, *, packed: Counted | None = None, name: str, size: int = 0
    ) -> None:
        self._stream = stream
        self._size = size
        self._packed = packed
        self._name = name
        self.count = 0
        self._lines = self._values = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes.

        Raises:
            Refused: ``E_IMPORT_UNPACKS``: too many were unpacked from too few.
        """
        read: int = self._stream.readinto(buffer)
        self.count += read
        if self._packed is not None:
            block = bytes(buffer[:read])
            self._lines += max(block.count(b"\n"), block.count(b"\r"))
            self._values += values(block)
            self.demand_few(self._lines)
        return read

    def demand_few(self, rows: int) -> None:
        """Refuse a stream that holds so many rows, if it is too short for them."""
        if self._packed is None:
            size = max(self.count, self._size)  # a pipe has none
            if rows > unpacked(size).rows:
                raise _short_rows(self._name, size)
            return
        most = unpacked(self._packed.count)
        if self.count > most.bytes or rows > most.rows or self._values > most.values:
            hint = "if you trust the file, unpack it with gunzip first"
            raise unpacks(self._name, self._packed.count, hint=hint)


def counted_of(stream: IO[bytes]) -> Counted:
    """What counts the bytes of a stream that was `opened`."""
    return cast("Counted", stream.raw)  # type: ignore[attr-defined]


def values(text: bytes) -> int:
    """How many values JSON text may hold at the most: each has a sign of these before it."""
    return sum(map(text.count, (b",", b"[", b"{")))


class Unpacked(NamedTuple):
    """How many bytes, rows, and values in lists and structures of rows there may be."""

    bytes: int
    rows: int
    values: int


def unpacked(size: int) -> Unpacked:
    """What a packed file of a size may unpack to."""
    return Unpacked(
        file_limits.MAX_UNPACKED_TIMES * size + file_limits.MAX_UNPACKED_BYTES,
        size // file_limits.MIN_ROW_BYTES + file_limits.MAX_UNPACKED_ROWS,
        size // file_limits.MIN_VALUE_BYTES + file_limits.MAX_UNPACKED_VALUES,
    )


def unpacks(name: str, size: int, *, more: str = "", hint: str) -> Refused:
    """The error of a file that unpacks to more than one of its size may."""
    most = unpacked(size)
    return Refused(
        "E_IMPORT_UNPACKS",
        "the file unpacks to more than an import takes in from a file of its size",
        where=name,
        expected=f"at most, of {size:,} bytes: {more}{most.bytes >> 20:,} MiB, {most.rows:,} rows "
        f"and {most.values:,} values in all",
        hint=hint,
    )


def _short_rows(name: str, size: int) -> Refused:
    return Refused(
        "E_IMPORT_SHORT_ROWS",
        "the table has more rows than an import takes in from a file of its size",
        where=name,
        expected=f"at most, of {size:,} bytes: {unpacked(size).rows:,} rows",
        hint=f"if you trust the file, cut it into files of {file_limits.MAX_UNPACKED_ROWS:,} rows",
    )


def lines(path: Path) -> Iterator[Located]:
    """The objects of a JSON Lines file with their places; blank lines are skipped."""
    name = name_of(path)
    with opened(path) as stream:
        for number, line in enumerate(_split(stream), 1):
            where = f"{name}:{number}"
            if len(line) > file_limits.MAX_ROW_BYTES:
                reason = f"the row is longer than {file_limits.MAX_ROW_BYTES} bytes"
                yield where, BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)
                continue
            if number == 1:
                line = line.removeprefix(_BOM)
            if line.strip():
                yield where, _object(line, where)


def _split(stream: IO[bytes]) -> Iterator[bytes]:
    r"""The lines of a stream, ended by \n, \r\n or \r; what is over the limit is cut off."""
    held, most = b"", file_limits.MAX_ROW_BYTES + 1
    while block := stream.readline(most):
        start, ended = 0, block.endswith(b"\n")
        if ended:
            block = block.removesuffix(b"\n").removesuffix(b"\r")
        while (end := block.find(b"\r", start)) >= 0:  # as old Macintosh programs write
            yield (held + block[start:end])[:most]
            held, start = b"", end + 1
        held = (held + block[start:])[:most]
        if ended:
            yield held
            held = b""
    if held:
        yield held


def objects(path: Path) -> Iterator[Located]:
    """The objects of a JSON array, of an object that wraps one, or of lines: by what is there."""
    if path == STDIN or not path.is_file():  # a pipe is read once
        yield from lines(path)
        return
    with opened(path) as stream:
        start = stream.peek(_PEEKED)[:_PEEKED].removeprefix(_BOM).lstrip()  # type: ignore[attr-defined]
    if start.startswith(b"["):
        yield from _array(path, None)
    elif (wrapped := _WRAPPED.match(start)) and wrapped.group(1) not in _ROW_KEYS:
        yield from _array(path, wrapped.group(1))
    else:
        yield from lines(path)


def members(path: Path, key: str) -> Iterator[Located]:
    """The objects of the array that a JSON file's object has under a key.

    Raises:
        Refused: it has none.
    """
    return _array(path, key.encode())


def _array(path: Path, key: bytes | None) -> Iterator[Located]:
    name = name_of(path)
    with opened(path) as stream:
        counted = counted_of(stream)
        for number, text in enumerate(arrays.elements(stream, key, name), 1):
            counted.demand_few(number)
            where = f"{name} row {number}"
            yield where, _object(text, where)


def _object(line: bytes, where: str) -> dict[str, object] | BadRow:
    # A value is a byte or two of text and much more when it is parsed. Base64 holds none of these.
    if values(line) > file_limits.MAX_ROW_VALUES:
        reason = f"the row holds more than {file_limits.MAX_ROW_VALUES} values"
        return BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)
    try:
        value = canonical.loads(
            line, where=where, max_bytes=file_limits.MAX_ROW_BYTES, floats=True, integers=True
        )
    except Refused as error:
        return BadRow.of(error, where)
    if not isinstance(value, dict):
        hint = "is the file one array? --format llava" if isinstance(value, list) else ""
        reason = "the row is not a JSON object"
        return BadRow(where=where, code="E_ROW_FIELD", reason=reason, hint=hint)
    return value
