"""Capture: a JSON array as a stream of its elements, of which only one is in memory.

What is in an element is not looked at here: it is cut out where strings, lists and objects end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from kolm.capture import file_limits
from kolm.errors import Refused

_BLOCK_BYTES = 1024 * 1024  # read at a time
_VISIBLE = re.compile(rb"\S")
# What stands before the next sign that opens, closes or parts: strings, and lists and objects
# within which none opens, are passed over. A string that nobody closes runs to the end, and nothing
# is ever tried a third time, so that time grows with the size alone.
_STRING = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_FLAT = rb'[\[{](?:[^\[\]{}"]++|' + _STRING + rb")*+[\]}]"
_NEXT = re.compile(
    rb'(?:[^\[\]{},"]++|' + _STRING + rb"|" + _FLAT + rb")*+([\[\]{},]|\Z)", re.DOTALL
)


def elements(stream: IO[bytes], key: bytes | None, name: str) -> Iterator[bytes]:
    """The text of each element of the array that is there, or that an object has under a key.

    Raises:
        Refused: there is no such array, it does not end, or it stands alone and something follows
            it; ``E_IMPORT_TOO_LARGE``: an element is longer than a row may be.
    """
    scan = _Scan(stream, name)
    if key is None:
        scan.pass_over(b"[")
    else:
        _find(scan, key)
    yield from _elements(scan)
    if key is None and scan.something_follows():
        raise Refused("E_JSON_SYNTAX", "something follows the JSON array", where=name)


class _Scan:
    """The part of a stream that is looked at, from sign to sign.

    Attributes:
        data: what was read and is still needed.
        start: where in it that begins which is being looked at.
        at: where in it the last sign ends.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self.name = name
        self.data = bytearray(stream.read(_BLOCK_BYTES))
        self.start = self.at = 0

    def pass_over(self, sign: bytes) -> None:
        """Go to after a sign that is near the beginning."""
        self.start = self.at = self.data.find(sign) + 1

    def next(self) -> tuple[int, bytes]:
        """Where the next sign stands, and which it is; none at the end."""
        while True:
            token = _NEXT.match(self.data, self.at)
            assert token is not None  # it matches nothing at all too
            if token[1] or not self._read_on():
                break
        self.at = token.end()
        return token.start(1), token[1]

    def _read_on(self) -> bool:
        """Read more; a string that goes on is then passed again from its beginning.

        With what is kept grows what is read, so that all of it is passed a few times and no more.
        """
        self._drop()
        self._demand_short(len(self.data))
        block = self._stream.read(max(_BLOCK_BYTES, len(self.data) // 2))
        self.data += block
        return bool(block)

    def cut(self, end: int) -> bytes:
        """What was looked at, up to a place before the last sign."""
        self._demand_short(end - self.start)
        with memoryview(self.data) as data:
            found = bytes(data[self.start : end])
        self.start = self.at
        if len(found) > _BLOCK_BYTES:
            self._drop()
        return found

    def _drop(self) -> None:
        """Forget what nobody looks at any more."""
        del self.data[: self.start]
        self.at -= self.start
        self.start = 0

    def _demand_short(self, size: int) -> None:
        """Refuse an element that is too long."""
        if size > file_limits.MAX_ROW_BYTES:
            raise Refused(
                "E_IMPORT_TOO_LARGE",
                "an element of the JSON array is longer than a row may be",
                where=self.name,
                expected=f"at most {file_limits.MAX_ROW_BYTES} bytes",
                hint="write one object per line instead: a line that is too long costs only itself",
            )

    def something_follows(self) -> bool:
        """Whether anything but white space is left."""
        block: bytes | bytearray = self.data[self.at :]
        while block:
            if _VISIBLE.search(block):
                return True
            block = self._stream.read(_BLOCK_BYTES)
        return False


def _find(scan: _Scan, key: bytes) -> None:
    """Go to where the elements begin of the list that the outermost object has under a key."""
    named = re.compile(rb'\s*"%b"\s*:\s*\[' % re.escape(key))
    scan.pass_over(b"{")
    depth, sign, first = 1, b"{", True
    while sign:
        scan.start = scan.at
        _, sign = scan.next()
        if first and (found := named.match(scan.data, scan.start)):
            scan.start = scan.at = found.end()
            return
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        first = sign == b"," and depth == 1
    raise Refused("E_JSON_SYNTAX", f"the file has no list {key.decode()!r}", where=scan.name)


def _elements(scan: _Scan) -> Iterator[bytes]:
    depth, count = 1, 0
    while depth:
        place, sign = scan.next()
        if sign in (b"[", b"{"):
            depth += 1
        elif not sign:
            message = f"the JSON array does not end; its element {count + 1} does not"
            raise Refused("E_JSON_SYNTAX", message, where=scan.name)
        elif sign != b",":
            depth -= 1
        if depth == 0 or (sign == b"," and depth == 1):
            element = scan.cut(place)
            if sign == b"," or _VISIBLE.search(element):
                count += 1
                yield element
