"""The bundle: the tar grammar. A header is a pure function of a name and a size.

Belongs here: the bytes of ustar headers, padding and end, and the walk over a file that compares
each of them. What the entries mean is `layout.py`'s. Rules C1 to C6 of docs/format/container.md;
the format is POSIX.1-2017 pax, section "ustar Interchange Format".
"""

import re
from typing import Final, NamedTuple

from kolm.bundle import limits
from kolm.errors import KolmError, Refused

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
# 1980-01-01T00:00:00Z: a fixed time that no tar warns about ("implausibly old"), as it does at 0.
MTIME_SECONDS: Final = 315_532_800

_BLOB_PREFIX = "blobs/sha256/"
_NAME = re.compile(rb"oci-layout|index\.json|blobs/sha256/[0-9a-f]{64}", re.ASCII)
_ZEROS = bytes(BLOCK)


class TarEntry(NamedTuple):
    """One file of the tar: its name, and where its bytes lie in the bundle."""

    name: str
    offset: int
    size: int


class Walk(NamedTuple):
    """What a walk over the tar found: its entries, and each departure from the grammar.

    `complete` is false when the walk had to stop before the end of the file.
    """

    entries: tuple[TarEntry, ...]
    defects: tuple[KolmError, ...]
    complete: bool


def blob_name(hex_digits: str) -> str:
    """The entry name of a blob."""
    return _BLOB_PREFIX + hex_digits


def padding(size: int) -> bytes:
    """The zeros after an entry of `size` bytes."""
    return bytes(-size % BLOCK)


def header(name: str, size: int) -> bytes:
    """The 512 header bytes of a regular file (rule C2).

    Raises:
        Refused: ``E_CONTAINER_LIMIT`` for a size that eleven octal digits cannot hold.
    """
    limits.ENTRY_BYTES.hold(size, where=name)
    fields = (
        name.encode("ascii").ljust(100, b"\0"),
        b"0000644\0",  # mode
        b"0000000\0",  # uid
        b"0000000\0",  # gid
        b"%011o\0" % size,
        b"%011o\0" % MTIME_SECONDS,
        b" " * 8,  # the checksum is taken with its own field blank
        b"0",  # a regular file
        bytes(100),  # no link
        b"ustar\x0000",
        bytes(64),  # no user or group name
        b"0000000\0" * 2,  # device numbers
        bytes(155 + 12),  # no prefix; padding
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def walk(view: memoryview) -> Walk:
    """Walk a whole tar without trusting any of its fields; never raises.

    Each header is made again from its name and size and compared as 512 bytes, so links, devices,
    long names, odd modes and second spellings of a number all fail the same comparison.
    """
    entries: list[TarEntry] = []
    defects: list[KolmError] = []
    position = 0
    while True:
        block = view[position : position + BLOCK]
        if len(block) < BLOCK:
            defects.append(_tar("E_CONTAINER_TRUNCATED", "the file ends inside an entry", position))
            return Walk(entries=tuple(entries), defects=tuple(defects), complete=False)
        if block == _ZEROS:
            defects += _end_defects(view, position)
            return Walk(entries=tuple(entries), defects=tuple(defects), complete=True)
        try:
            limits.ENTRIES.hold(len(entries) + 1, where=f"byte {position}")
            entry = _entry(view, position)
        except KolmError as error:
            defects.append(error)
            return Walk(entries=tuple(entries), defects=tuple(defects), complete=False)
        entries.append(entry)
        end = entry.offset + entry.size
        position = end + -entry.size % BLOCK
        if any(view[end:position]):
            defects.append(_tar("E_CONTAINER_PADDING", "padding bytes are not zero", end))


def _entry(view: memoryview, position: int) -> TarEntry:
    block = bytes(view[position : position + BLOCK])
    raw_name = block[:100].rstrip(b"\0")
    if not _NAME.fullmatch(raw_name):
        raise _tar(
            "E_CONTAINER_NAME", f"{raw_name!r} is not the name of an entry of a bundle", position
        )
    digits = block[124:135]
    if not re.fullmatch(rb"[0-7]{11}", digits):
        raise _tar("E_CONTAINER_HEADER", "the size is not eleven octal digits", position)
    name, size = raw_name.decode("ascii"), int(digits, 8)
    if block != header(name, size):
        raise _tar("E_CONTAINER_HEADER", "the header differs from the one fixed header", position)
    offset = position + BLOCK
    if size > len(view) - offset:
        raise _tar("E_CONTAINER_TRUNCATED", f"{name} is cut short", position)
    return TarEntry(name=name, offset=offset, size=size)


def _end_defects(view: memoryview, position: int) -> list[KolmError]:
    rest = len(view) - position
    if rest < len(END) or any(view[position + BLOCK : position + len(END)]):
        return [_tar("E_CONTAINER_END", "the end is not two zero blocks", position)]
    if rest > len(END):
        message = f"{rest - len(END)} bytes follow the end"
        return [_tar("E_CONTAINER_TRAILING", message, position + len(END))]
    return []


def _tar(code: str, message: str, position: int) -> Refused:
    return Refused(code, message, where=f"byte {position}")
