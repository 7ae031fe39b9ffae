"""Capture: the chunks of a PNG file (PNG 3, W3C 2025, sections 5 and 11) that decide its pixels.

Texts and colour profiles change no stored value, and Pillow refuses a whole picture over a long or
broken one: they are left out before it decodes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm.errors import Refused

if TYPE_CHECKING:
    from PIL import Image as Pillow

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Header, palette, pixels, end; transparency, orientation, and what tells an animation.
_NEEDED = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
)
_GREY, _COLOUR = 0, 2  # colour types without palette or alpha


def needed(data: bytes) -> bytes:
    """A PNG file without the chunks that change no pixel; any other file as it is."""
    if not data.startswith(_SIGNATURE):
        return data
    kept = [_SIGNATURE]
    for kind, start, end in _chunks(data):
        if kind in _NEEDED or not kind[:1].islower():  # a critical chunk that nobody knows stays
            kept.append(data[start:end])
    return b"".join(kept)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk; what is cut short comes last, as long as it is."""
    position = len(_SIGNATURE)
    while position < len(data):
        length = int.from_bytes(data[position : position + 4])
        end = min(len(data), position + 12 + length)
        yield data[position + 4 : position + 8], position, end
        position = end


def scale_transparency(opened: Pillow.Image, data: bytes, *, where: str) -> None:
    """Give the transparent value of a PNG in the numbers that its decoded pixels have.

    Pillow widens grey of less than 8 bits to 8 and leaves the transparent value as it is stored.

    Raises:
        Refused: ``E_IMAGE_MODE``: 16-bit colour with a transparent colour, which can be told from
            its neighbours only before the low bytes are dropped.
    """
    if not data.startswith(_SIGNATURE) or "transparency" not in opened.info:
        return
    depth, colour = struct.unpack_from(">BB", data, 24)
    if colour == _COLOUR and depth == 16:
        raise Refused(
            "E_IMAGE_MODE",
            "a PNG of 16-bit colour with one transparent colour cannot be read exactly",
            where=where,
            hint="save it with an alpha channel, or in 8 bits",
        )
    if colour == _GREY and depth < 8:
        top = (1 << depth) - 1
        opened.info["transparency"] = opened.info["transparency"] * 255 // top
