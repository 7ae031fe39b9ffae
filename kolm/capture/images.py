"""Capture: image files under limits. One decoder for intake, encoding and evaluation.

A picture is decoded the same way everywhere: first frame, upright (EXIF orientation applied),
transparency over white, 8-bit RGB. Colour profiles are not applied: models see stored values.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING

from kolm import digest
from kolm.capture import extras, limits
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.records.capture import Image

if TYPE_CHECKING:
    from PIL import Image as Pillow

# MPO is a JPEG with more pictures behind the first: what many phones write.
MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "MPO": "image/jpeg", "WEBP": "image/webp"}
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
PIXELS_LABEL = b"kolm-pixels-v1\0"
ORIENTATION_TAG = 0x0112  # EXIF 2.32, section 4.6.4, "Orientation"

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


def facts(data: bytes, picture: Pillow.Image, media_type: str, orientation: int) -> Image:
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
    hasher.update(picture.tobytes())
    return hasher.digest()


def flatten(picture: Pillow.Image) -> Pillow.Image:
    """Any Pillow picture as 8-bit RGB: transparency over white, 16-bit grey by its high byte."""
    pillow = extras.pillow()
    if picture.mode.startswith("I"):
        numpy = extras.numpy()
        high = numpy.clip(numpy.asarray(picture).astype("int64") >> 8, 0, 255).astype("uint8")
        picture = pillow.fromarray(high, "L")
    if picture.has_transparency_data:
        cover = picture.convert("RGBA")
        white = pillow.new("RGBA", cover.size, (255, 255, 255, 255))
        picture = pillow.alpha_composite(white, cover)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _decode(data: bytes, where: str) -> tuple[Pillow.Image, str, int]:
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
    pillow = extras.pillow()
    try:
        with warnings.catch_warnings():
            # Our own limits, below, are stricter than the sizes that Pillow warns of.
            warnings.simplefilter("ignore")
            with pillow.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
                media_type = _check_header(opened, where)
                orientation = _orientation(opened)
                return flatten(_upright(opened, orientation)), media_type, orientation
    except pillow.UnidentifiedImageError:
        raise Refused(
            "E_IMAGE_FORMAT",
            "not an image in a known format",
            where=where,
            expected="PNG, JPEG or WebP",
            found=f"bytes that begin with {data[:8].hex(' ')}",
            hint="convert it to PNG",
        ) from None
    except pillow.DecompressionBombError:
        raise _too_many_pixels(where, "over 178 million pixels") from None
    except _DECODER_ERRORS as error:
        raise Refused(
            "E_IMAGE_BROKEN", f"the image cannot be decoded: {error}", where=where
        ) from None


def _check_header(opened: Pillow.Image, where: str) -> str:
    width, height = opened.size
    if max(width, height) > limits.MAX_IMAGE_SIDE or width * height > limits.MAX_IMAGE_PIXELS:
        raise _too_many_pixels(where, f"{width} x {height}")
    frames = getattr(opened, "n_frames", 1)
    if frames > 1 and opened.format != "MPO":
        raise Refused(
            "E_IMAGE_ANIMATED",
            "the image is animated",
            where=where,
            expected="one frame",
            found=f"{frames} frames",
            hint="save the frame that the prompt is about as PNG",
        )
    return MEDIA_TYPES[str(opened.format)]


def _too_many_pixels(where: str, found: str) -> Refused:
    return Refused(
        "E_IMAGE_PIXELS",
        "the image has more pixels than its limit",
        where=where,
        expected=f"sides up to {limits.MAX_IMAGE_SIDE}, {limits.MAX_IMAGE_PIXELS} pixels in all",
        found=found,
    )


def _orientation(opened: Pillow.Image) -> int:
    value = opened.getexif().get(ORIENTATION_TAG, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(opened: Pillow.Image, orientation: int) -> Pillow.Image:
    opened.load()
    if orientation == 1:
        return opened
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
    return opened.transpose(steps[orientation])
