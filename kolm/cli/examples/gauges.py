"""The command line: an example that draws its own data, dials whose needle must be read.

Deterministic: the same pictures, questions and answers wherever it runs (up to the drawing of
lines, which is Pillow's).
"""

from __future__ import annotations

from math import cos, radians, sin
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical, digest
from kolm.capture import extras
from kolm.cli.examples import project
from kolm.paths import atomic_write

if TYPE_CHECKING:
    from PIL import Image

DIALS = 600
SIZE = 64  # pixels, the size that the embedded base was made for
OVERSAMPLING = 4
LEAST, MOST, STEP = 20, 100, 5  # readings; 5 units turn the tip of the needle by 5 pixels
FIRST_ANGLE, SWEEP = 135, 270  # degrees, clockwise from east, as dials on walls have it
SEED = digest.of_bytes(b"kolm example gauges 1")

QUESTIONS = (
    "what does the gauge read?",
    "what value does the needle point to?",
    "read the dial.",
    "what is the reading of the gauge?",
)
FACES = ((250, 248, 240), (232, 240, 248), (236, 246, 232), (248, 236, 236))
WALLS = ((120, 132, 140), (96, 110, 96), (150, 138, 120), (84, 92, 118))
NEEDLES = ((190, 30, 40), (20, 60, 160), (20, 20, 24), (180, 90, 0))

NEXT = (
    "kolm keys new --if-missing",
    "kolm capture import pairs.jsonl",
    "kolm compile",
    "kolm verify gauges.kolm",
    'kolm run gauges.kolm --image images/0000.png --prompt "what does the gauge read?"',
)


class Dial(NamedTuple):
    """What one picture shows; positions are pixels from the middle of the picture."""

    reading: int
    face: tuple[int, int, int]
    wall: tuple[int, int, int]
    needle: tuple[int, int, int]
    radius: int
    right: int
    down: int


def write(folder: Path) -> tuple[str, ...]:
    """Write the project with its pictures and pairs, and give the commands that come next.

    Raises:
        Lacking: Pillow is not installed.
        Refused: a file is there already.
    """
    extras.pillow()  # says so at once if it is missing
    spec = project.shipped_spec("gauges")
    project.start(folder, spec=spec, others=("images", "pairs.jsonl"))
    (folder / "images").mkdir()
    stream = digest.Stream(SEED)
    rows: list[dict[str, object]] = []
    drawn: set[Dial] = set()
    for number in range(DIALS):
        name = f"images/{number:04}.png"
        dial = _draw_lots(stream, number)
        while dial in drawn:  # the same picture under two names would be one capture
            dial = _draw_lots(stream, number)
        drawn.add(dial)
        _picture(dial).save(folder / name, format="PNG")
        rows.extend(_pairs(stream, name, dial))
    atomic_write(folder / "pairs.jsonl", canonical.dump_lines(rows))
    return NEXT


def _draw_lots(stream: digest.Stream, number: int) -> Dial:
    """A dial; the readings take turns, so that every answer is equally frequent."""
    readings = range(LEAST, MOST + 1, STEP)
    return Dial(
        reading=readings[number % len(readings)],
        face=FACES[stream.below(len(FACES))],
        wall=WALLS[stream.below(len(WALLS))],
        needle=NEEDLES[stream.below(len(NEEDLES))],
        radius=25 + stream.below(5),
        right=stream.below(5) - 2,
        down=stream.below(5) - 2,
    )


def _pairs(stream: digest.Stream, name: str, dial: Dial) -> list[dict[str, object]]:
    questions = list(QUESTIONS)
    stream.shuffle(questions)
    half = "upper" if dial.reading > (LEAST + MOST) // 2 else "lower"
    return [
        {
            "image": name,
            "license": "CC0-1.0",
            "prompt": question,
            "response": str(dial.reading),
            "tags": [f"{half}-half"],
        }
        for question in questions[:2]
    ]


def _picture(dial: Dial) -> Image.Image:
    from PIL import Image, ImageDraw

    scale = OVERSAMPLING
    image = Image.new("RGB", (SIZE * scale, SIZE * scale), dial.wall)
    pen = ImageDraw.Draw(image)
    x, y = (SIZE // 2 + dial.right) * scale, (SIZE // 2 + dial.down) * scale
    radius = dial.radius * scale

    def at(value: float, share: float) -> tuple[float, float]:
        angle = radians(FIRST_ANGLE + SWEEP * value / MOST)
        return x + share * radius * cos(angle), y + share * radius * sin(angle)

    box = (x - radius, y - radius, x + radius, y + radius)
    pen.ellipse(box, fill=dial.face, outline=(40, 40, 44), width=2 * scale)
    for value in range(0, MOST + 1, 10):
        inner, width = (0.72, 2) if value % 50 == 0 else (0.8, 1)
        pen.line([at(value, inner), at(value, 0.92)], fill=(60, 60, 64), width=width * scale)
    tail, tip = at(dial.reading, -0.2), at(dial.reading, 0.84)
    pen.line([tail, tip], fill=dial.needle, width=3 * scale)
    hub = 3 * scale
    pen.ellipse((x - hub, y - hub, x + hub, y + hub), fill=dial.needle)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)
