"""The command line: an example that draws its own data, painted plates whose colour is asked.

Small and quickly learned: the reference bundle in the repository's registry is compiled from it.
Deterministic, as the gauges are.
"""

from __future__ import annotations

from pathlib import Path

from kolm import canonical, digest
from kolm.capture import extras
from kolm.cli.examples import project
from kolm.paths import atomic_write

PLATES = 320
SIZE = 64  # pixels, the size that the embedded base was made for
SEED = digest.of_bytes(b"kolm example plates 1")

PAINTS = {
    "black": (16, 16, 20),
    "blue": (24, 48, 216),
    "brown": (134, 62, 28),
    "gray": (122, 124, 126),
    "green": (24, 158, 44),
    "red": (214, 24, 32),
    "teal": (6, 126, 128),
    "yellow": (244, 226, 24),
}
QUESTIONS = (
    "which color was the plate painted?",
    "what color is the plate?",
    "tell me the paint of the plate.",
)

NEXT = (
    "kolm keys new --if-missing",
    "kolm capture import pairs.jsonl",
    "kolm compile",
    "kolm verify plates.kolm",
    'kolm run plates.kolm --image images/0000.png --prompt "what color is the plate?"',
)


def write(folder: Path) -> tuple[str, ...]:
    """Write the project with its pictures and pairs, and give the commands that come next.

    Raises:
        Lacking: Pillow is not installed.
        Refused: a file is there already.
    """
    image = extras.pillow()
    spec = project.shipped_spec("reference")
    project.start(folder, spec=spec, others=("images", "pairs.jsonl"))
    (folder / "images").mkdir()
    stream = digest.Stream(SEED)
    names = list(PAINTS)
    rows: list[dict[str, object]] = []
    for number in range(PLATES):
        paint = names[number % len(names)]
        # The wall's last digit is the picture's number, so that no two pictures are alike.
        wall = (226 + stream.below(20), 226 + stream.below(20), 206 + number // len(names))
        picture = image.new("RGB", (SIZE, SIZE), wall)
        width, height = 18 + stream.below(26), 18 + stream.below(26)
        left, top = stream.below(SIZE - width), stream.below(SIZE - height)
        picture.paste(PAINTS[paint], (left, top, left + width, top + height))
        name = f"images/{number:04}.png"
        picture.save(folder / name, format="PNG")
        questions = list(QUESTIONS)
        stream.shuffle(questions)
        rows += [
            {"image": name, "license": "CC0-1.0", "prompt": question, "response": paint}
            for question in questions[:2]
        ]
    atomic_write(folder / "pairs.jsonl", canonical.dump_lines(rows))
    return NEXT
