"""Capture: pictures from Python written as PNG bytes that depend on nothing but the picture.

A compressor's output changes with its version, and the file's digest is part of a capture's id, so
the pixels are stored without compression (RFC 1951, section 3.2.4, inside RFC 1950 and PNG).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from kolm.capture import images

if TYPE_CHECKING:
    from PIL import Image as Pillow

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK_BYTES = 65535  # the longest stored block of RFC 1951


def encode(picture: Pillow.Image, *, where: str = "image") -> bytes:
    """An 8-bit RGB PNG of any Pillow picture, the same bytes on every machine.

    Raises:
        Refused: as `images.decode` for a file that shows the same.
    """
    rgb = images.upright_rgb(picture, where=where)
    width, height = rgb.size
    pixels, stride = rgb.tobytes(), width * 3
    rows = b"".join(b"\x00" + pixels[at : at + stride] for at in range(0, len(pixels), stride))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        [_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", _stored(rows)), _chunk(b"IEND", b"")]
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _stored(data: bytes) -> bytes:
    parts = [b"\x78\x01"]
    for start in range(0, len(data), _BLOCK_BYTES):
        block = data[start : start + _BLOCK_BYTES]
        last = start + _BLOCK_BYTES >= len(data)
        parts.append(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    parts.append(struct.pack(">I", zlib.adler32(data)))
    return b"".join(parts)
