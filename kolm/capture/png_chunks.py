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
_GREY_BITS = {"L;2": 2, "L;4": 4}  # what Pillow calls grey of so many bits before it is decoded


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
        raise _deep_colour(where)
    if colour == _GREY:
        _scale(opened, depth)


def with_scaled_transparency(opened: Pillow.Image, *, where: str) -> Pillow.Image:
    """A picture that Python holds, its transparent value in the numbers that its pixels have.

    How many bits its file had is known as long as nobody has looked at the pixels. Afterwards,
    grey of 2 or 4 bits can be any whose values are multiples of 17.

    Raises:
        Refused: ``E_IMAGE_MODE``: as `scale_transparency`, or the number of bits makes a
            difference and is not known.
    """
    clear = opened.info.get("transparency")
    tiles = getattr(opened, "tile", None)
    stored = str(tiles[0][3]) if tiles and getattr(opened, "format", None) == "PNG" else ""
    if isinstance(clear, tuple) and (stored == "RGB;16B" or max(clear) > 0xFF):
        raise _deep_colour(where)
    if opened.mode != "L" or not isinstance(clear, int) or not 0 < clear < 1 << 4:
        return opened
    if stored in _GREY_BITS:
        scaled = opened.copy()
        _scale(scaled, _GREY_BITS[stored])
        return scaled
    values = [value for value, count in enumerate(opened.histogram()) if count]
    if not stored and all(value % 17 == 0 for value in values):
        raise Refused(
            "E_IMAGE_MODE",
            "which grey is transparent depends on the bit depth of the picture's file",
            where=where,
            hint="hand over the file's path or its bytes, or convert the picture to RGBA",
        )
    return opened


def _scale(opened: Pillow.Image, depth: int) -> None:
    if depth < 8:
        top = (1 << depth) - 1
        opened.info["transparency"] = opened.info["transparency"] * 255 // top


def _deep_colour(where: str) -> Refused:
    return Refused(
        "E_IMAGE_MODE",
        "a PNG of 16-bit colour with one transparent colour cannot be read exactly",
        where=where,
        hint="save it with an alpha channel, or in 8 bits",
    )
