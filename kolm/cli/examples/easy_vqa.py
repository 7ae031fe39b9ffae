"""The command line: the quickstart project on easy-VQA, whose data come from its own package."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from kolm.cli.examples import project
from kolm.extras import missing_extra

SAMPLES = 4  # pictures to try `kolm run` on; they are of the test side

NEXT = (
    "kolm keys new --if-missing",
    "kolm capture import easy-vqa",
    "kolm compile",
    "kolm verify easy-vqa.kolm",
    'kolm run easy-vqa.kolm --image examples/0.png --prompt "what color is the shape?"',
)


def write(folder: Path) -> tuple[str, ...]:
    """Write the project, with a few test pictures, and give the commands that come next.

    Raises:
        Lacking: the package easy-vqa is not installed.
        Refused: a file is there already.
    """
    found = find_spec("easy_vqa")
    if found is None or found.origin is None:
        raise missing_extra(
            "examples", "the example's data come from the package easy-vqa, which is not installed"
        )
    project.start(folder, spec=project.shipped_spec("quickstart"), others=("examples",))
    images = Path(found.origin).parent / "data" / "test" / "images"
    (folder / "examples").mkdir()
    for number in range(SAMPLES):
        shutil.copyfile(images / f"{number}.png", folder / "examples" / f"{number}.png")
    return NEXT
