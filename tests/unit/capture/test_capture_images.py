"""Image files are decoded under limits, upright and in RGB, and only in the formats taken."""

from __future__ import annotations

import struct
import warnings
import zlib

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from kolm import digest
from kolm.capture import images, limits, png
from kolm.errors import Refused
from tests.support.pictures import picture, saved

CORNER = Pillow.fromarray(numpy.arange(4 * 6 * 3, dtype=numpy.uint8).reshape(4, 6, 3))


def code_of(data: bytes) -> str:
    with pytest.raises(Refused) as caught:
        images.inspect(data)
    return caught.value.code


def test_facts_are_those_of_the_file_and_its_pixels() -> None:
    data = saved(CORNER)
    found = images.inspect(data)
    assert (found.width, found.height, found.media_type) == (6, 4, "image/png")
    assert (found.bytes, found.orientation) == (len(data), 1)
    assert found.file == digest.of_bytes(data)
    body = b"kolm-pixels-v1\0" + struct.pack("<II", 6, 4) + CORNER.tobytes()
    assert found.pixels == digest.of_bytes(body)


def test_files_that_look_the_same_share_the_pixels_digest_alone() -> None:
    small, large = saved(CORNER, compress_level=9), saved(CORNER, compress_level=0)
    left, right = images.inspect(small), images.inspect(large)
    assert left.file != right.file
    assert left.pixels == right.pixels
    assert images.inspect(saved(CORNER, "WEBP", lossless=True)).pixels == left.pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_noted_and_applied(orientation: int) -> None:
    from PIL import ImageOps

    exif = Pillow.Exif()
    exif[images.ORIENTATION_TAG] = orientation
    data = saved(CORNER, exif=exif)
    with Pillow.open(__import__("io").BytesIO(data)) as opened:
        wanted = ImageOps.exif_transpose(opened).tobytes()
    found = images.inspect(data)
    assert found.orientation == orientation
    assert images.decode(data).tobytes() == wanted
    assert (found.width, found.height) == ((6, 4) if orientation < 5 else (4, 6))


def test_an_orientation_outside_one_to_eight_counts_as_none() -> None:
    exif = Pillow.Exif()
    exif[images.ORIENTATION_TAG] = 9
    found = images.inspect(saved(CORNER, exif=exif))
    assert found.orientation == 1
    assert found.pixels == images.inspect(saved(CORNER)).pixels


def test_transparency_is_laid_over_white() -> None:
    cover = Pillow.new("RGBA", (2, 1))
    cover.putpixel((0, 0), (255, 0, 0, 255))
    cover.putpixel((1, 0), (9, 9, 9, 0))
    assert images.decode(saved(cover)).tobytes() == bytes([255, 0, 0, 255, 255, 255])
    palette = Pillow.new("P", (1, 1))
    palette.putpalette([1, 2, 3])
    assert images.decode(saved(palette, transparency=0)).tobytes() == bytes([255, 255, 255])


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    assert images.decode(saved(Pillow.new(mode, (3, 2)))).mode == "RGB"


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    grey = Pillow.fromarray(numpy.array([[0, 255, 256, 65535]], dtype=numpy.uint16))
    assert images.decode(saved(grey)).tobytes() == bytes([0] * 6 + [1] * 3 + [255] * 3)


def test_cmyk_jpeg_is_taken() -> None:
    assert images.decode(saved(Pillow.new("CMYK", (8, 8)), "JPEG")).mode == "RGB"


def test_a_phone_s_jpeg_with_more_pictures_counts_as_its_first() -> None:
    first, second = Pillow.new("RGB", (8, 8), "red"), Pillow.new("RGB", (8, 8), "blue")
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert images.inspect(data).media_type == "image/jpeg"
    assert images.decode(data).getpixel((4, 4))[0] > 200


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animations_are_refused(form: str) -> None:
    frames = [Pillow.new("RGB", (4, 4), color) for color in ("red", "blue")]
    data = saved(frames[0], form, save_all=True, append_images=frames[1:])
    assert code_of(data) == "E_IMAGE_ANIMATED"


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_refused(form: str) -> None:
    assert code_of(saved(CORNER, form)) == "E_IMAGE_FORMAT"


def test_what_is_no_image_is_refused() -> None:
    assert code_of(b"") == "E_IMAGE_EMPTY"
    assert code_of(b"<svg/>") == "E_IMAGE_FORMAT"
    assert code_of(saved(CORNER)[:-30]) == "E_IMAGE_BROKEN"


def test_large_files_and_sides_are_refused_before_they_are_decoded(monkeypatch) -> None:
    monkeypatch.setattr(limits, "MAX_IMAGE_BYTES", 100)
    assert code_of(b"\x89PNG" + bytes(200)) == "E_IMAGE_TOO_LARGE"


@pytest.mark.parametrize(("width", "height"), [(16385, 1), (9000, 9000), (60000, 60000)])
def test_a_header_that_claims_too_many_pixels_is_refused(width: int, height: int) -> None:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    body = (
        struct.pack(">I", 4)
        + b"IDAT"
        + bytes(4)
        + struct.pack(">I", zlib.crc32(b"IDAT" + bytes(4)))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert code_of(data + body) == "E_IMAGE_PIXELS"


SEEDS = [saved(CORNER), saved(CORNER, "JPEG"), saved(CORNER, "WEBP"), picture(0)]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_broken_files_raise_one_typed_error_or_decode(seed: bytes, data: st.DataObject) -> None:
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(1, len(broken))) :]
    try:
        found = images.inspect(bytes(broken))
    except Refused as error:
        code, size_bytes = error.code, len(broken)
    else:
        code, size_bytes = "E_IMAGE_", found.bytes
    assert code.startswith("E_IMAGE_")
    assert size_bytes == len(broken)


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_a_picture_from_python_is_kept_as_png_without_loss(width, height, chance) -> None:
    original = Pillow.frombytes("RGB", (width, height), chance.randbytes(width * height * 3))
    data = png.encode(original)
    assert images.decode(data).tobytes() == original.tobytes()
    assert data == png.encode(original.copy())


def test_a_large_picture_from_python_spans_several_stored_blocks() -> None:
    original = Pillow.effect_noise((300, 200), 50).convert("RGB")
    assert images.decode(png.encode(original)).tobytes() == original.tobytes()


def test_a_picture_from_python_has_these_very_bytes() -> None:
    # Frozen: the digest of this file is in the ids of captures that people have.
    data = png.encode(Pillow.new("RGB", (2, 1), (1, 2, 3)))
    assert data.hex() == (
        "89504e470d0a1a0a0000000d49484452000000020000000108020000007b40e8dd00000012494441"
        "547801010700f8ff00010203010203002d000d7a5b71100000000049454e44ae426082"
    )
