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


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def made_png(depth: int, colour: int, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of 2 × 1 pixels by its chunks."""
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0)),
    ]
    parts += [chunk(kind, body) for kind, body in more]
    parts += [chunk(b"IDAT", zlib.compress(b"\0" + rows)), chunk(b"IEND", b"")]
    return b"".join(parts)


LONG = zlib.compress(b" " * (3 << 20))


@pytest.mark.parametrize(
    "extra",
    [
        (b"eXIf", b"\x00\x08\x00\x02 no TIFF header"),
        (b"eXIf", b""),
        (b"zTXt", b"Comment\0\0" + LONG),
        (b"iTXt", b"XML\0\1\0\0\0" + LONG),
        (b"iCCP", b"profile\0\0" + LONG),
        (b"iCCP", b"cut short"),
        (b"gAMA", b""),
    ],
    ids=["exif", "no_exif", "text", "international_text", "profile", "half_profile", "gamma"],
)
def test_a_chunk_that_changes_no_pixel_refuses_no_png(extra: tuple[bytes, bytes]) -> None:
    plain, odd = made_png(8, 2, b"\1\2\3\4\5\6"), made_png(8, 2, b"\1\2\3\4\5\6", extra)
    assert images.inspect(odd).pixels == images.inspect(plain).pixels
    assert images.inspect(odd).orientation == 1


@pytest.mark.parametrize(
    ("depth", "rows", "clear", "wanted"),
    [
        (1, b"\x40", 1, [0, 255]),
        (1, b"\x40", 0, [255, 255]),
        (2, b"\x10", 1, [0, 255]),
        (2, b"\x10", 2, [0, 85]),
        (4, b"\x5f", 5, [255, 255]),
        (4, b"\x56", 5, [255, 102]),
        (8, b"\x05\x06", 5, [255, 6]),
        (16, b"\x05\x01\x05\x02", 0x0501, [255, 5]),
    ],
)
def test_one_transparent_value_of_a_grey_png_is_white(depth, rows, clear, wanted) -> None:
    data = made_png(depth, 0, rows, (b"tRNS", struct.pack(">H", clear)))
    assert [pixel[0] for pixel in images.decode(data).get_flattened_data()] == wanted


def test_a_transparent_palette_entry_is_white() -> None:
    palette = (b"PLTE", b"\1\2\3\4\5\6")
    data = made_png(8, 3, b"\0\1", palette, (b"tRNS", b"\0\xff"))
    assert list(images.decode(data).get_flattened_data()) == [(255, 255, 255), (4, 5, 6)]


def test_sixteen_bit_colour_with_a_transparent_colour_is_refused_not_guessed() -> None:
    data = made_png(16, 2, bytes(12), (b"tRNS", bytes(6)))
    assert code_of(data) == "E_IMAGE_MODE"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_path_a_data_uri_and_an_opened_picture_show_the_same(form: str, tmp_path) -> None:
    import base64

    from kolm.capture.rows import read_image

    exif = Pillow.Exif()
    exif[images.ORIENTATION_TAG] = 6
    path = tmp_path / "picture"
    path.write_bytes(saved(CORNER, form, exif=exif, **({} if form == "PNG" else {"quality": 90})))
    uri = f"data:image/{form.lower()};base64,{base64.b64encode(path.read_bytes()).decode()}"
    with Pillow.open(path) as opened:
        ways = [str(path), path, uri, path.read_bytes(), opened]
        shown = {images.inspect(read_image(way)).pixels for way in ways}
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("mode", "code"),
    [("I", "E_IMAGE_MODE"), ("F", "E_IMAGE_MODE"), ("La", None), ("RGBa", None), ("I;16", None),
     ("HSV", None), ("LAB", None), ("PA", None), ("YCbCr", None)],
)  # fmt: skip
def test_every_mode_of_a_picture_from_python_is_scaled_or_refused(mode: str, code) -> None:
    made = Pillow.new(mode, (3, 2))
    if code is None:
        assert images.decode(png.encode(made)).size == (3, 2)
        return
    with pytest.raises(Refused) as caught:
        png.encode(made, where="row 7")
    assert (caught.value.code, caught.value.where) == (code, "row 7")


def test_animations_and_broken_pictures_from_python_are_bad_rows_with_their_numbers(
    tmp_path,
) -> None:
    from kolm.capture.rows import from_python

    moving, cut = tmp_path / "moving.gif", tmp_path / "cut.png"
    frames = [CORNER, CORNER.transpose(Pillow.Transpose.ROTATE_180)]
    frames[0].save(moving, save_all=True, append_images=frames[1:])
    cut.write_bytes(saved(Pillow.effect_noise((64, 64), 50))[:900])
    with Pillow.open(moving) as first, Pillow.open(cut) as second:
        rows = [
            {"image": image, "prompt": "What?", "response": "a"}
            for image in (CORNER, first, second)
        ]
        _, animated, broken = from_python(rows)
    assert (animated.code, animated.where) == ("E_IMAGE_ANIMATED", "row 2")
    assert (broken.code, broken.where) == ("E_IMAGE_BROKEN", "row 3")


def test_a_large_picture_from_python_is_limited_by_its_pixels(monkeypatch) -> None:
    assert limits.MAX_IMAGE_BYTES >= 3.01 * limits.MAX_IMAGE_PIXELS
    monkeypatch.setattr(limits, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(Refused) as caught:
        png.encode(CORNER)
    assert caught.value.code == "E_IMAGE_PIXELS"


MEASURE = """
import resource, sys
from pathlib import Path
from kolm.capture import images, likeness
picture, _ = images.decode_with_facts(Path(sys.argv[1]).read_bytes())
likeness.signature(picture)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, picture.width * picture.height)
"""


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["rgba", "palette", "grey16", "progressive", "rotated", "webp"])
def test_taking_a_picture_in_needs_eight_bytes_a_pixel_and_128_mib(kind: str, tmp_path) -> None:
    import subprocess
    import sys

    size = (3200, 3200)  # 10 million pixels in a file of some KiB
    exif = Pillow.Exif()
    exif[images.ORIENTATION_TAG] = 6
    data = {
        "rgba": lambda: saved(Pillow.new("RGBA", size, (1, 2, 3, 128))),
        "palette": lambda: saved(Pillow.new("P", size), transparency=0),
        "grey16": lambda: saved(Pillow.new("I;16", size)),
        "progressive": lambda: saved(
            Pillow.new("RGB", size), "JPEG", progressive=True, subsampling=0
        ),
        "rotated": lambda: saved(Pillow.new("RGB", size), "JPEG", exif=exif),
        "webp": lambda: saved(Pillow.new("RGB", size), "WEBP", method=0),
    }[kind]()
    path = tmp_path / "picture"
    path.write_bytes(data)
    # A small process starts the one that is measured: a child's peak begins with its parent's.
    start = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {MEASURE!r}, sys.argv[1]], check=True)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", start, path], capture_output=True, text=True, check=True, timeout=60
    )
    used, pixels = map(int, ran.stdout.split())
    assert used <= 8 * pixels + (128 << 20)
