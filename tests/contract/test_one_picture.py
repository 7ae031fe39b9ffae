"""One picture gives one result, whichever way it comes in."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image as Pillow

pytest.importorskip("pyarrow")

import pyarrow.ipc
import pyarrow.parquet

from kolm.capture import importers, intake, rows
from kolm.capture.drafts import BadRow, Draft
from kolm.capture.images import ORIENTATION_TAG
from kolm.capture.store import CaptureStore
from kolm.errors import Refused
from kolm.records.capture import Image
from tests.support.pictures import DEFAULTS, saved


def _turned(orientation: int) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[ORIENTATION_TAG] = orientation
    return exif


def _png(depth: int, colour: int, row: bytes, *clear: int) -> bytes:
    """Two pixels whose one transparent value is stated, in a depth that Pillow does not write."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 2, 1, depth, colour, 0, 0, 0)),
        (b"tRNS", struct.pack(f">{len(clear)}H", *clear)),
        (b"IDAT", zlib.compress(b"\0" + row)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


RAMP = numpy.arange(4 * 6, dtype=numpy.uint16).reshape(4, 6)
COLOURED = Pillow.fromarray(numpy.arange(4 * 6 * 3, dtype=numpy.uint8).reshape(4, 6, 3))
GREY = Pillow.fromarray((RAMP * 10).astype(numpy.uint8))
# A picture's file, and the code of its error where it is none that can be taken.
PICTURES: dict[str, tuple[bytes, str | None]] = {
    "rgb": (saved(COLOURED), None),
    "jpeg": (saved(COLOURED, "JPEG"), None),
    "webp": (saved(COLOURED, "WEBP"), None),
    "cmyk": (saved(COLOURED.convert("CMYK"), "JPEG"), None),
    "turned jpeg": (saved(COLOURED, "JPEG", exif=_turned(6)), None),
    "turned png": (saved(COLOURED, exif=_turned(7)), None),
    "turned webp": (saved(COLOURED, "WEBP", exif=_turned(3)), None),
    "transparent": (saved(Pillow.new("RGBA", (4, 3), (9, 8, 7, 100))), None),
    "grey and alpha": (saved(Pillow.new("LA", (4, 3), (90, 100))), None),
    "clear grey": (saved(GREY, transparency=50), None),
    "clear colour": (saved(COLOURED, transparency=(0, 1, 2)), None),
    "palette": (saved(GREY.convert("P"), transparency=b"\x00\x80"), None),
    "one bit": (saved(GREY.convert("1")), None),
    "sixteen bits": (saved(Pillow.fromarray(RAMP * 2000)), None),
    "clear sixteen bits": (saved(Pillow.fromarray(RAMP * 2000), transparency=4000), None),
    "clear bit": (_png(1, 0, b"\x40", 1), None),
    "clear two bits": (_png(2, 0, b"\x10", 1), None),
    "clear four bits": (_png(4, 0, b"\x5f", 5), None),
    "clear deep colour": (_png(16, 2, bytes(12), 0, 1, 2), "E_IMAGE_MODE"),
    "animated": (
        saved(COLOURED, save_all=True, append_images=[COLOURED.rotate(180)]), "E_IMAGE_ANIMATED",
    ),
    "cut short": (saved(Pillow.effect_noise((64, 64), 50))[:900], "E_IMAGE_BROKEN"),
}  # fmt: skip

WAYS = (
    "path", "data URI", "base64", "bytes", "Pillow",
    "lines", "parquet bytes", "parquet structures", "parquet paths", "arrow",
)  # fmt: skip


def came_in(way: str, data: bytes, folder: Path) -> list[Draft | BadRow]:
    """A picture's file as the image of one row, in one of the `WAYS`."""
    name = folder / "picture"
    name.write_bytes(data)
    packed = base64.b64encode(data).decode()
    from_python: dict[str, Any] = {
        "path": name,
        "data URI": f"data:image/png;base64,{packed}",
        "base64": packed,
        "bytes": data,
    }
    asked = {"prompt": "What?", "response": "a"}
    if way == "Pillow":
        with Pillow.open(io.BytesIO(data)) as opened:
            return list(rows.from_python([{**asked, "image": opened}]))
    if way in from_python:
        return list(rows.from_python([{**asked, "image": from_python[way]}]))
    return list(importers.rows(_written(way, data, asked, folder), defaults=DEFAULTS))


def _written(way: str, data: bytes, asked: dict[str, str], folder: Path) -> Path:
    if way == "lines":
        (folder / "rows.jsonl").write_text(json.dumps({**asked, "image": "picture"}))
        return folder / "rows.jsonl"
    image: Any = {"bytes": data, "path": "elsewhere.png"}
    image = {"parquet bytes": data, "parquet paths": "picture"}.get(way, image)
    table = pyarrow.Table.from_pylist([{**asked, "image": image}])
    if way != "arrow":
        pyarrow.parquet.write_table(table, folder / "rows.parquet")
        return folder / "rows.parquet"
    with pyarrow.ipc.new_stream(folder / "data.arrow", table.schema) as writer:
        writer.write_table(table)
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    return folder


def taken(way: str, data: bytes, folder: Path) -> Image | str:
    """What the store holds of the picture, or the code of the error."""
    with CaptureStore.open(folder / f"store {way}", create=True) as store:
        try:
            intake.take_in(store, came_in(way, data, folder))
        except Refused as error:
            return error.code
        [[image]] = [row.capture.images for row in store.rows()]
        return image


@pytest.mark.parametrize("name", PICTURES)
def test_one_picture_is_one_picture_in_every_way(name: str, tmp_path: Path) -> None:
    data, code = PICTURES[name]
    found = {way: taken(way, data, tmp_path) for way in WAYS}
    if code is not None:
        assert set(found.values()) == {code}
        return
    # Pillow's pictures are written anew, so that their file is another one with the same pixels.
    assert len({image for way, image in found.items() if way != "Pillow"}) == 1
    assert len({image.pixels for image in found.values() if isinstance(image, Image)}) == 1


def test_a_depth_that_nobody_knows_any_more_is_not_guessed() -> None:
    looked_at = []
    for data in (_png(4, 0, b"\x5f", 5), _png(8, 0, b"\x05\x06", 5), _png(4, 0, b"\x0f", 0)):
        with Pillow.open(io.BytesIO(data)) as opened:
            opened.load()
            looked_at.append({"image": opened.copy(), "prompt": "What?", "response": "a"})
    unknown, eight, black = rows.from_python(looked_at)
    assert isinstance(unknown, BadRow)
    assert unknown.code == "E_IMAGE_MODE"
    assert "path" in unknown.hint
    assert isinstance(eight, Draft)
    assert isinstance(black, Draft)
