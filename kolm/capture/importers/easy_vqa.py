"""Capture: the easy-VQA data set from its installed package, official train and test kept apart.

V. Zhou, "easy-VQA" (2019): 64 by 64 pictures of one shape; 38,575 questions on 4,000 train images
and 9,673 on 1,000 test images, with 13 answers. The test split becomes eval.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

from kolm.capture.drafts import Defaults, Draft, FileImage, prompt_and_response
from kolm.capture.sources import Folder
from kolm.extras import missing_extra
from kolm.records.capture import Source
from kolm.records.sides import Split

PACKAGE = "easy-vqa"
LICENSE = "MIT"
SHAPES = frozenset(("circle", "rectangle", "triangle"))
SIDES: tuple[tuple[str, Split], ...] = (("train", "train"), ("test", "eval"))


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft]:
    """The rows of both splits, each tagged with what is asked: boolean, shape or color.

    The package says of each row what it is; of the defaults only tags are added.

    Raises:
        Lacking: the package is not installed.
    """
    try:
        package = import_module("easy_vqa")
    except ImportError:
        raise missing_extra(
            "examples", "the easy-VQA data set is a package that is not installed"
        ) from None
    return _rows(package, defaults.tags)


def _rows(package: ModuleType, tags: tuple[str, ...]) -> Iterator[Draft]:
    source = Source(kind=PACKAGE, name=f"{PACKAGE} {metadata.version(PACKAGE)}")
    for official, side in SIDES:
        questions, answers, numbers = getattr(package, f"get_{official}_questions")()
        images = {
            number: FileImage(path=Path(path))
            for number, path in getattr(package, f"get_{official}_image_paths")().items()
        }
        listed = zip(questions, answers, numbers, strict=True)
        for row, (question, answer, number) in enumerate(listed, 1):
            yield Draft(
                where=f"{PACKAGE} {official} row {row}",
                images=(images[number],),
                messages=prompt_and_response(1, question, answer),
                license=LICENSE,
                source=source,
                split=side,
                tags=tuple(sorted({_asked(answer), *tags})),
            )


def _asked(answer: str) -> str:
    if answer in ("yes", "no"):
        return "boolean"
    return "shape" if answer in SHAPES else "color"
