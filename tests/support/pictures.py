"""Small pictures and captures for tests, and stores filled with them."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from kolm.capture import images, png
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.store import CaptureStore
from kolm.records.capture import (
    Capture,
    Image,
    ImagePart,
    Message,
    Source,
    TextPart,
)
from tests.support.stores import add

SOURCE = Source(kind="test", name="rows")
DEFAULTS = Defaults(source=SOURCE)


@cache
def picture(number: int) -> bytes:
    """A PNG that differs from all others in pixels and in likeness."""
    canvas = Pillow.new("RGB", (12, 10))
    noise = number * 2654435761 % 2**32
    for at in range(120):
        noise = (noise * 1664525 + 1013904223) % 2**32
        canvas.putpixel((at % 12, at // 12), (noise >> 24, noise >> 16 & 255, number % 256))
    return png.encode(canvas)


@cache
def facts(number: int) -> Image:
    """The record of `picture(number)`."""
    return images.inspect(picture(number))


def saved(image: Pillow.Image, form: str = "PNG", **options: Any) -> bytes:
    """The file bytes of a Pillow image."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def capture(
    *numbers: int, prompt: str = "what?", response: str = "this", **changes: Any
) -> Capture:
    """A capture of pictures, one question and its answer."""
    content = (*(ImagePart(image=i) for i in range(len(numbers))), TextPart(text=prompt))
    fields: dict[str, Any] = {
        "images": tuple(facts(number) for number in numbers),
        "license": "",
        "messages": (
            Message(role="user", content=content),
            Message(role="assistant", content=(TextPart(text=response),)),
        ),
        "source": SOURCE,
        "split": None,
        "tags": (),
    }
    return Capture(**{**fields, **changes})


def filled(folder: Path, *captures: Capture, pictures: int = 40) -> CaptureStore:
    """A new store that holds captures of the pictures 0 to `pictures`."""
    store = CaptureStore.open(folder, create=True)
    add(store, captures, [picture(number) for number in range(pictures)])
    return store


def good(rows: list[Draft | BadRow]) -> list[Draft]:
    """The rows, all of which must be drafts."""
    bad = [row for row in rows if isinstance(row, BadRow)]
    assert not bad, bad
    return [row for row in rows if isinstance(row, Draft)]
