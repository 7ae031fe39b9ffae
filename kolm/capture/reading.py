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
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from kolm import canonical, system
from kolm.capture import limits
from kolm.capture.drafts import BadRow
from kolm.errors import Refused, Unreadable

STDIN = Path("-")
_BOM = b"\xef\xbb\xbf"  # which editors add
_GZIP = b"\x1f\x8b"
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)

Located = tuple[str, dict[str, Any] | BadRow]


def name_of(path: Path) -> str:
    """What a file is called in messages and as a source, packed or not."""
    if path == STDIN:
        return "stdin"
    return path.name.removesuffix(".gz") if path.name != ".gz" else path.name


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
        stream: Any = raw if hasattr(raw, "peek") else stack.enter_context(_buffered(raw))
        try:
            if stream.peek(2)[:2] == _GZIP:
                stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
                stream = stack.enter_context(_buffered(stream))
            _demand_utf8(stream.peek(2)[:2], path)
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Refused(
                "E_IMPORT_GZIP", f"the gzip data are broken: {error}", where=name_of(path)
            ) from None


def _demand_utf8(start: bytes, path: Path) -> None:
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise Refused(
            "E_IMPORT_ENCODING",
            "the file is UTF-16, and rows are UTF-8",
            where=name_of(path),
            hint="iconv -f UTF-16 -t UTF-8 FILE > NEW",
        )


def _buffered(stream: Any) -> Any:
    return io.BufferedReader(stream)


def lines(path: Path) -> Iterator[Located]:
    """The objects of a JSON Lines file with their places; blank lines are skipped."""
    with opened(path) as stream:
        number = 0
        while line := stream.readline(limits.MAX_ROW_BYTES + 1):
            number += 1
            where = f"{name_of(path)}:{number}"
            if len(line) > limits.MAX_ROW_BYTES:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(limits.MAX_ROW_BYTES)
                reason = f"the row is longer than {limits.MAX_ROW_BYTES} bytes"
                yield where, BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)
                continue
            if number == 1:
                line = line.removeprefix(_BOM)
            if line.strip():
                yield where, _object(line, where)


def objects(path: Path) -> Iterator[Located]:
    """The objects of a JSON array, of an object that wraps one, or of lines: by what is there."""
    if path == STDIN or not path.is_file():  # a pipe is read once
        yield from lines(path)
        return
    with opened(path) as stream:
        start = stream.read(4096).removeprefix(_BOM).lstrip()
        if not start.startswith(b"[") and not _is_wrapped(start):
            listed = None
        else:
            listed = start + stream.read(limits.MAX_IMPORT_BYTES + 1)
    if listed is None:
        yield from lines(path)
        return
    if len(listed) > limits.MAX_IMPORT_BYTES:
        raise Refused(
            "E_IMPORT_TOO_LARGE",
            "the JSON array is larger than its limit",
            where=name_of(path),
            expected=f"at most {limits.MAX_IMPORT_BYTES} bytes",
            hint="write one object a line instead: lines are read one at a time",
        )
    for number, text in enumerate(_elements(listed, name_of(path)), 1):
        where = f"{name_of(path)} row {number}"
        yield where, _object(text, where)


def _is_wrapped(start: bytes) -> bool:
    """Whether an object begins whose first value is a list of objects: {"data": [{…}, …]}."""
    return re.match(rb'\{\s*"(?:[^"\\]|\\.)*"\s*:\s*\[\s*\{', start) is not None and not re.match(
        rb'\{\s*"(?:image|images|conversations|messages)"', start
    )


def _elements(data: bytes, name: str) -> Iterator[bytes]:
    """The text of each element of the outermost array.

    Raises:
        Refused: the array does not end, or something else follows an element.
    """
    depth, start = 0, 0
    for token in _TOKEN.finditer(data, data.index(b"[")):
        sign = token.group()[:1]
        if sign in b"[{":
            depth += 1
            if depth == 1:
                start = token.end()
        elif sign in b"]}":
            depth -= 1
        if (sign == b"," and depth == 1) or (sign == b"]" and depth == 0):
            element = data[start : token.start()].strip()
            start = token.end()
            if element or sign == b",":
                yield element
            if depth == 0:
                return
    raise Refused("E_JSON_SYNTAX", "the JSON array does not end", where=name)


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
