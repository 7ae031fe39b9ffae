"""The embedded base: pictures drawn from a seed, with what is in them."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

RGB = tuple[int, int, int]

COLORS: dict[str, tuple[RGB, ...]] = {
    "red": ((255, 0, 0), (220, 20, 30), (200, 0, 0)),
    "green": ((0, 255, 0), (0, 150, 0), (40, 190, 60)),
    "blue": ((0, 0, 255), (30, 60, 220), (0, 0, 170)),
    "black": ((0, 0, 0), (20, 20, 24)),
    "gray": ((128, 128, 128), (110, 112, 115), (150, 150, 150)),
    "teal": ((0, 128, 128), (10, 120, 125), (0, 140, 135)),
    "brown": ((165, 42, 42), (139, 69, 19), (120, 60, 30)),
    "yellow": ((255, 255, 0), (240, 220, 20), (250, 240, 60)),
    "orange": ((255, 140, 0), (250, 120, 20)),
    "purple": ((128, 0, 128), (140, 40, 190)),
    "pink": ((255, 105, 180), (250, 130, 190)),
    "white": ((255, 255, 255), (246, 246, 248)),
}
SHAPES = ("circle", "rectangle", "triangle", "star", "diamond", "pentagon", "cross", "ring")
_CORE_SHAPES = SHAPES[:3]
_CORE_COLORS = tuple(COLORS)[:8]
_WORDS = (
    "on off up down go stop yes no open shut in out left right cat dog sun sky car bus key map "
    "red blue one two six ten hot cold big low top end new old"
)
WORDS = tuple(_WORDS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One drawn object: centre and half size in pixels."""

    shape: str
    color: str
    x: float
    y: float
    half_width: float
    half_height: float

    @property
    def half(self) -> float:
        """The larger half size."""
        return max(self.half_width, self.half_height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a picture shows."""

    kind: str
    side: int
    things: tuple[Thing, ...] = ()
    text: str = ""
    bars: tuple[tuple[str, int], ...] = ()
    reading: int = 0
    full_scale: int = 0


def draw_easy_scene(rng: random.Random, side: int) -> tuple[Scene, Image.Image]:
    """One large object: what a base that sees nothing yet learns from first."""
    return _draw_shapes(rng, side, 1, smallest=0.2, largest=0.42)


def draw_scene(rng: random.Random, side: int) -> tuple[Scene, Image.Image]:
    """A random scene on a square of `side` pixels."""
    pick = rng.random()
    if pick < 0.66:
        return _draw_shapes(rng, side, 1)
    if pick < 0.82:
        return _draw_shapes(rng, side, rng.choice((2, 2, 3, 3, 4, 5)))
    if pick < 0.87:
        return _draw_text(rng, side)
    if pick < 0.91:
        return _draw_bars(rng, side)
    return _draw_dial(rng, side)


def _jitter(rng: random.Random, color: RGB, amount: int) -> RGB:
    r, g, b = (max(0, min(255, c + rng.randint(-amount, amount))) for c in color)
    return r, g, b


def _paint(rng: random.Random, name: str) -> RGB:
    return _jitter(rng, rng.choice(COLORS[name]), rng.choice((0, 0, 6, 12)))


def _background(rng: random.Random, colors: set[str]) -> RGB:
    """A background that every named colour stands out from: most are light, some mid or dark."""
    for _ in range(12):
        style = rng.random()
        low, high = (205, 250) if style < 0.75 else (150, 205) if style < 0.9 else (25, 70)
        base = rng.randint(low, high)
        color = _jitter(rng, (base, base, base), 14)
        if all(_distance(color, anchor) > 110 for name in colors for anchor in COLORS[name]):
            return color
    return (70, 80, 100) if "white" in colors else (240, 240, 246)


def _distance(left: RGB, right: RGB) -> float:
    return math.dist(left, right)


def _canvas(rng: random.Random, side: int, avoid: set[str]) -> tuple[Image.Image, int]:
    scale = rng.choice((1, 1, 2, 3))
    return Image.new("RGB", (side * scale, side * scale), _background(rng, avoid)), scale


def _finish(rng: random.Random, image: Image.Image, side: int) -> Image.Image:
    if image.width != side:
        image = image.resize(
            (side, side),
            rng.choice((Image.Resampling.BILINEAR, Image.Resampling.LANCZOS, Image.Resampling.BOX)),
        )
    if rng.random() < 0.25:
        noise = Image.effect_noise((side, side), rng.uniform(4, 20)).convert("RGB")
        image = Image.blend(image, noise, rng.uniform(0.02, 0.08))
    return image


def _polygon(thing: Thing, corners: list[tuple[float, float]], s: int) -> list[tuple[float, float]]:
    return [
        ((thing.x + thing.half_width * u) * s, (thing.y + thing.half_height * v) * s)
        for u, v in corners
    ]


def _regular(count: int, start: float, inner: float = 1.0) -> list[tuple[float, float]]:
    points = []
    for i in range(count):
        radius = inner if i % 2 and inner != 1.0 else 1.0
        angle = start + 2 * math.pi * i / count
        points.append((radius * math.sin(angle), -radius * math.cos(angle)))
    return points


_CROSS = [
    (-0.35, -1),
    (0.35, -1),
    (0.35, -0.35),
    (1, -0.35),
    (1, 0.35),
    (0.35, 0.35),
    (0.35, 1),
    (-0.35, 1),
    (-0.35, 0.35),
    (-1, 0.35),
    (-1, -0.35),
    (-0.35, -0.35),
]


def _draw_thing(draw: ImageDraw.ImageDraw, thing: Thing, fill: RGB, s: int, turn: float) -> None:
    box = (
        (thing.x - thing.half_width) * s,
        (thing.y - thing.half_height) * s,
        (thing.x + thing.half_width) * s,
        (thing.y + thing.half_height) * s,
    )
    if thing.shape == "circle":
        draw.ellipse(box, fill=fill)
    elif thing.shape == "ring":
        draw.ellipse(box, outline=fill, width=max(2, round(thing.half * 0.45 * s)))
    elif thing.shape == "rectangle":
        draw.rectangle(box, fill=fill)
    else:
        forms: dict[str, list[tuple[float, float]]] = {
            "triangle": [(0, -1), (1, 1), (-1, 1)],
            "diamond": [(0, -1), (1, 0), (0, 1), (-1, 0)],
            "pentagon": _regular(5, 0),
            "star": _regular(10, 0, 0.42),
            "cross": _CROSS,
        }
        corners = forms[thing.shape]
        if turn:
            c, d = math.cos(turn), math.sin(turn)
            corners = [(u * c - v * d, u * d + v * c) for u, v in corners]
        draw.polygon(_polygon(thing, corners, s), fill=fill)


def _draw_shapes(
    rng: random.Random,
    side: int,
    count: int,
    *,
    smallest: float = 0.05,
    largest: float | None = None,
) -> tuple[Scene, Image.Image]:
    core = rng.random() < 0.75
    shapes = _CORE_SHAPES if core else SHAPES
    colors = _CORE_COLORS if core else tuple(COLORS)
    things: list[Thing] = []
    share = largest or (0.28 if count == 1 else 0.17 if count < 4 else 0.13)
    for _ in range(60):
        if len(things) == count:
            break
        shape = rng.choice(shapes)
        half = rng.uniform(max(3.2, side * smallest), max(4.5, side * share))
        width = height = half
        if shape == "rectangle" and rng.random() < 0.75:
            if rng.random() < 0.5:
                width = half * rng.uniform(0.35, 1)
            else:
                height = half * rng.uniform(0.35, 1)
        if shape == "triangle":
            height = half * rng.uniform(0.8, 1)
        thing = Thing(
            shape=shape,
            color=rng.choice(colors),
            x=rng.uniform(width + 1, side - width - 1),
            y=rng.uniform(height + 1, side - height - 1),
            half_width=max(3.0, width),
            half_height=max(3.0, height),
        )
        if all(
            math.hypot(thing.x - o.x, thing.y - o.y) > (thing.half + o.half) * 1.25 for o in things
        ):
            things.append(thing)
    image, s = _canvas(rng, side, {t.color for t in things})
    draw = ImageDraw.Draw(image)
    for thing in things:
        turn = rng.uniform(-0.4, 0.4) if rng.random() < 0.2 else 0.0
        _draw_thing(draw, thing, _paint(rng, thing.color), s, turn)
    return Scene(kind="shapes", side=side, things=tuple(things)), _finish(rng, image, side)


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_text(rng: random.Random, side: int) -> tuple[Scene, Image.Image]:
    if rng.random() < 0.65:
        digits = rng.choice((1, 1, 2, 2, 3))
        text = str(rng.randint(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1))
    else:
        text = rng.choice(WORDS)
    color = rng.choice(tuple(COLORS)[:8])
    image, s = _canvas(rng, side, {color})
    draw = ImageDraw.Draw(image)
    size = side * s * rng.uniform(0.3, 0.55)
    while True:
        left, top, right, bottom = draw.textbbox((0, 0), text, font=_font(size))
        if right - left < side * s * 0.92:
            break
        size *= 0.85
    x = rng.uniform(0, max(0.0, side * s - (right - left))) - left
    y = rng.uniform(0, max(0.0, side * s - (bottom - top))) - top
    draw.text((x, y), text, font=_font(size), fill=_paint(rng, color))
    return Scene(kind="text", side=side, text=text), _finish(rng, image, side)


def _draw_bars(rng: random.Random, side: int) -> tuple[Scene, Image.Image]:
    count = rng.randint(2, 4)
    names = rng.sample([c for c in _CORE_COLORS if c != "black"], count)
    heights = rng.sample(range(1, 11), count)
    image, s = _canvas(rng, side, set(names))
    draw = ImageDraw.Draw(image)
    floor, unit = side * s * 0.95, side * s * 0.088
    slot = side * s / (count + 0.4)
    gap = rng.uniform(0.12, 0.3)
    for i, (name, height) in enumerate(zip(names, heights, strict=True)):
        left = slot * (i + 0.2 + gap / 2)
        draw.rectangle(
            (left, floor - unit * height, left + slot * (1 - gap), floor), fill=_paint(rng, name)
        )
    if rng.random() < 0.5:
        draw.line((0, floor, side * s, floor), fill=(0, 0, 0), width=s)
    return Scene(kind="bars", side=side, bars=tuple(zip(names, heights, strict=True))), _finish(
        rng, image, side
    )


def _draw_dial(rng: random.Random, side: int) -> tuple[Scene, Image.Image]:
    full = rng.choice((10, 100, 100))
    reading = rng.randint(0, 10) if full == 10 else rng.randint(0, 20) * 5
    color = rng.choice(("red", "black", "blue", "orange", "green"))
    image, s = _canvas(rng, side, {color})
    draw = ImageDraw.Draw(image)
    radius = side * s * rng.uniform(0.34, 0.47)
    x, y = (rng.uniform(radius, side * s - radius) for _ in range(2))

    def at(value: float, share: float) -> tuple[float, float]:
        angle = math.radians(135 + 270 * value / full)
        return x + radius * share * math.cos(angle), y + radius * share * math.sin(angle)

    face = _jitter(rng, (245, 245, 243), 10)
    rim = rng.choice((1, 2)) * s
    draw.ellipse(
        (x - radius, y - radius, x + radius, y + radius), fill=face, outline=(30, 30, 30), width=rim
    )
    for tick in range(11):
        inner = 0.82 if tick % 5 else 0.7
        draw.line((at(tick * full / 10, inner), at(tick * full / 10, 0.95)), (60, 60, 60), s)
    needle = _paint(rng, color)
    tail = rng.choice((0.0, -0.15, -0.25))
    tip = rng.uniform(0.7, 0.9)
    width = max(2, round(rng.uniform(1.4, 3) * side / 64 * s))
    draw.line((at(reading, tail), at(reading, tip)), needle, width)
    hub = rng.uniform(1.5, 3) * side / 64 * s
    draw.ellipse((x - hub, y - hub, x + hub, y + hub), fill=needle)
    return Scene(kind="dial", side=side, reading=reading, full_scale=full), _finish(
        rng, image, side
    )


def label_cells(scene: Scene, cell_pixels: int) -> list[tuple[int, int]] | None:
    """What each cell of a scene of shapes shows: (shape, colour) numbers from 1, or (0, 0).

    Cells are squares of `cell_pixels` in reading order; a cell shows the thing whose box covers
    most of it, if that is at least a tenth. None for scenes that are not made of shapes.
    """
    if scene.kind != "shapes":
        return None
    names = list(COLORS)
    count = scene.side // cell_pixels
    labels = []
    for row in range(count):
        for column in range(count):
            covered = [
                (_overlap(thing.x, thing.half_width, column, cell_pixels), thing)
                for thing in scene.things
            ]
            best, label = 0.1, (0, 0)
            for wide, thing in covered:
                share = wide * _overlap(thing.y, thing.half_height, row, cell_pixels)
                if share > best:
                    best = share
                    label = (SHAPES.index(thing.shape) + 1, names.index(thing.color) + 1)
            labels.append(label)
    return labels


def _overlap(center: float, half: float, cell: int, size: int) -> float:
    """The share of a cell's side that an interval covers."""
    low, high = max(center - half, cell * size), min(center + half, (cell + 1) * size)
    return max(0.0, high - low) / size
