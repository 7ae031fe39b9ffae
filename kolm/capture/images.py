"""Capture: image files under limits. One decoder for intake, encoding and evaluation.

A picture is decoded the same way everywhere: first frame, upright (EXIF orientation applied),
transparency over white, 8-bit RGB. Colour profiles are not applied: models see stored values.
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm import digest
from kolm.capture import extras, limits, png_chunks
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.records.capture import Image, MediaType

if TYPE_CHECKING:
    from PIL import Image as Pillow

# MPO is a JPEG with more pictures behind the first: what many phones write.
MEDIA_TYPES: dict[str, MediaType] = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",
    "WEBP": "image/webp",
}
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
PIXELS_LABEL = b"kolm-pixels-v1\0"
ORIENTATION_TAG = 0x0112  # EXIF 2.32, section 4.6.4, "Orientation"

_HEIF = (b"avif", b"heic", b"heix", b"hevc", b"mif1", b"msf1")  # ISO/IEC 23008-12, brands
_OTHER_STARTS = (
    (b"BM", "a BMP picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF-", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"version https://git-lfs", "a Git LFS pointer, whose picture was not downloaded"),
)

_UNSCALED = ("I", "F")  # 32-bit numbers whose white is whatever their maker meant
_STRIP_PIXELS = 1 << 20

# What Pillow's decoders raise on bytes that are not what their header says; found by fuzzing.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


def inspect(data: bytes, *, where: str = "image") -> Image:
    """What a capture records of an image file; decodes it once.

    Raises:
        Refused: as `decode`.
    """
    return facts(data, *_decode(data, where))


def decode(data: bytes, *, where: str = "image") -> Pillow.Image:
    """The upright RGB picture of an image file.

    Raises:
        Refused: over a limit, another format than PNG, JPEG or WebP, animated, or broken.
        Lacking: Pillow is not installed.
    """
    return _decode(data, where)[0]


def facts(data: bytes, picture: Pillow.Image, media_type: MediaType, orientation: int) -> Image:
    """The record of a file whose picture has been decoded."""
    return Image(
        bytes=len(data),
        file=digest.of_bytes(data),
        height=picture.height,
        media_type=media_type,
        orientation=orientation,
        pixels=pixels_digest(picture),
        width=picture.width,
    )


def decode_with_facts(data: bytes, *, where: str = "image") -> tuple[Pillow.Image, Image]:
    """The upright picture and its record, from one decoding.

    Raises:
        Refused: as `decode`.
    """
    picture, media_type, orientation = _decode(data, where)
    return picture, facts(data, picture, media_type, orientation)


def pixels_digest(picture: Pillow.Image) -> Digest:
    """The digest of an upright RGB picture (docs/format/capture.md, rule C6)."""
    hasher = digest.Hasher(PIXELS_LABEL)
    hasher.update(struct.pack("<II", picture.width, picture.height))
    for _, strip in _strips(picture):
        hasher.update(strip.tobytes())
    return hasher.digest()


def flatten(picture: Pillow.Image, *, where: str = "image") -> Pillow.Image:
    """Any Pillow picture as 8-bit RGB: transparency over white, 16-bit grey by its high byte.

    Works strip by strip, so that beside the two pictures hardly any memory is used.

    Raises:
        Refused: ``E_IMAGE_MODE``: nobody can tell which number is white in this mode.
    """
    if picture.mode in _UNSCALED:
        raise Refused(
            "E_IMAGE_MODE",
            f"mode {picture.mode} does not define which value is white",
            where=where,
            expected="a mode of 8 bits per channel, or I;16",
            found=picture.mode,
            hint="scale the values to 0 to 255, then convert the picture to L or RGB",
        )
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    flat: Pillow.Image = extras.pillow().new("RGB", picture.size)
    for top, strip in _strips(picture):
        flat.paste(_flat(strip), (0, top))
    return flat


def upright_rgb(picture: Pillow.Image, *, where: str) -> Pillow.Image:
    """A picture that Python holds, as its file would be decoded: one frame, upright, RGB.

    Raises:
        Refused: as `decode`.
    """
    with _decoding(where):
        _demand_size(picture, where)
        _demand_one_frame(picture, where)
        scaled = png_chunks.with_scaled_transparency(picture, where=where)
        return _upright(flatten(scaled, where=where), _orientation(picture))


def _strips(picture: Pillow.Image) -> Iterator[tuple[int, Pillow.Image]]:
    """A picture cut into strips of about `_STRIP_PIXELS`, each with its top row."""
    height = max(1, _STRIP_PIXELS // max(1, picture.width))
    for top in range(0, picture.height, height):
        yield top, picture.crop((0, top, picture.width, min(picture.height, top + height)))


def _flat(strip: Pillow.Image) -> Pillow.Image:
    pillow = extras.pillow()
    if strip.mode.startswith("I;16"):
        return _flat_grey_16(strip)
    if strip.mode in ("La", "RGBa"):
        strip = strip.convert("LA" if strip.mode == "La" else "RGBA")
    if strip.has_transparency_data:
        cover = strip.convert("RGBA")
        white = pillow.new("RGBA", cover.size, (255, 255, 255, 255))
        strip = pillow.alpha_composite(white, cover)
    rgb: Pillow.Image = strip.convert("RGB")
    return rgb


def _flat_grey_16(strip: Pillow.Image) -> Pillow.Image:
    """16-bit grey by its high byte; the one transparent value, where there is one, is white."""
    numpy = extras.numpy()
    values = numpy.asarray(strip)
    high = (values >> 8).astype("uint8")
    clear = strip.info.get("transparency")
    if isinstance(clear, int):
        high[values == clear] = 255
    rgb: Pillow.Image = extras.pillow().fromarray(high, "L").convert("RGB")
    return rgb


def _decode(data: bytes, where: str) -> tuple[Pillow.Image, MediaType, int]:
    if not data:
        raise Refused("E_IMAGE_EMPTY", "the image file is empty", where=where)
    if len(data) > limits.MAX_IMAGE_BYTES:
        raise Refused(
            "E_IMAGE_TOO_LARGE",
            "the image file is larger than its limit",
            where=where,
            expected=f"at most {limits.MAX_IMAGE_BYTES} bytes",
            found=f"{len(data)} bytes",
        )
    with _decoding(where, data), warnings.catch_warnings():
        # Our own limits, below, are stricter than the sizes that Pillow warns of.
        warnings.simplefilter("ignore")
        kept = io.BytesIO(png_chunks.needed(data))
        with extras.pillow().open(kept, formats=("PNG", "JPEG", "WEBP")) as opened:
            media_type = _check_header(opened, where)
            orientation = _orientation(opened)
            opened.load()
            png_chunks.scale_transparency(opened, data, where=where)
            return _upright(flatten(opened, where=where), orientation), media_type, orientation


@contextlib.contextmanager
def _decoding(where: str, data: bytes = b"") -> Iterator[None]:
    """What Pillow says of a picture that it cannot decode, as our errors."""
    pillow = extras.pillow()
    try:
        yield
    except pillow.UnidentifiedImageError:
        raise Refused(
            "E_IMAGE_FORMAT",
            "not an image in a known format",
            where=where,
            expected="PNG, JPEG or WebP",
            found=_kind_of(data) or f"bytes that begin with {data[:8].hex(' ')}",
            hint="convert it to PNG, if it is a picture",
        ) from None
    except pillow.DecompressionBombError:
        raise _too_many_pixels(where, "over 178 million pixels", limits.MAX_IMAGE_PIXELS) from None
    except _DECODER_ERRORS as error:
        raise Refused(
            "E_IMAGE_BROKEN", f"the image cannot be decoded: {error}", where=where
        ) from None


def _check_header(opened: Pillow.Image, where: str) -> MediaType:
    _demand_size(opened, where)
    _demand_one_frame(opened, where)
    return MEDIA_TYPES[str(opened.format)]


def _demand_size(picture: Pillow.Image, where: str) -> None:
    width, height = picture.size
    form = str(getattr(picture, "format", None))
    most = limits.MAX_FORMAT_PIXELS.get(form, limits.MAX_IMAGE_PIXELS)
    if max(width, height) > limits.MAX_IMAGE_SIDE or width * height > most:
        raise _too_many_pixels(where, f"{width} x {height}", most)


def _demand_one_frame(picture: Pillow.Image, where: str) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and getattr(picture, "format", None) != "MPO":
        raise Refused(
            "E_IMAGE_ANIMATED",
            "the image is animated",
            where=where,
            expected="one frame",
            found=f"{frames} frames",
            hint="save the frame that the prompt is about as PNG",
        )


def _kind_of(data: bytes) -> str | None:
    """What a file of a kind that is not taken is called."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return "a HEIC or AVIF picture"
    return next((kind for start, kind in _OTHER_STARTS if data.startswith(start)), None)


def _too_many_pixels(where: str, found: str, most: int) -> Refused:
    return Refused(
        "E_IMAGE_PIXELS",
        "the image is larger than its limit",
        where=where,
        expected=f"sides up to {limits.MAX_IMAGE_SIDE}, {most} pixels in all",
        found=found,
        hint="make it smaller" if most == limits.MAX_IMAGE_PIXELS else "make it smaller, or a PNG",
    )


def _orientation(opened: Pillow.Image) -> int:
    """The EXIF orientation; 1 where there is none, it means nothing, or the EXIF is broken."""
    try:
        value = opened.getexif().get(ORIENTATION_TAG, 1)
    except _DECODER_ERRORS:
        return 1  # the pixels are whole all the same
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(picture: Pillow.Image, orientation: int) -> Pillow.Image:
    if orientation == 1:
        return picture
    turn = extras.pillow().Transpose
    steps = {
        2: turn.FLIP_LEFT_RIGHT,
        3: turn.ROTATE_180,
        4: turn.FLIP_TOP_BOTTOM,
        5: turn.TRANSPOSE,
        6: turn.ROTATE_270,
        7: turn.TRANSVERSE,
        8: turn.ROTATE_90,
    }
    return picture.transpose(steps[orientation])
