"""A torchvision on the path: one that breaks when imported, as a build for another torch does, and
one that can be imported and fails as soon as it is asked to touch a picture. As a program: what
bases' processors make of a picture, which a process with such a torchvision prints."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

BROKEN = "raise RuntimeError('operator torchvision::nms does not exist')\n"
_MODE = (
    "import enum\n\n\nclass InterpolationMode(enum.Enum):\n"
    "    NEAREST = 'nearest'\n    NEAREST_EXACT = 'nearest-exact'\n    BILINEAR = 'bilinear'\n"
    "    BICUBIC = 'bicubic'\n    BOX = 'box'\n    HAMMING = 'hamming'\n    LANCZOS = 'lanczos'\n"
)
_USED = "def {name}(*arguments, **named):\n    raise AssertionError('torchvision was used')\n"
_IMPORTABLE = {
    "__init__.py": "__version__ = '0.28.0'\n",
    "io.py": "class ImageReadMode:\n    RGB = 'RGB'\n\n\n" + _USED.format(name="decode_image"),
    "transforms/__init__.py": _MODE,
    "transforms/functional.py": _USED.format(name="pil_to_tensor"),
    "transforms/v2/__init__.py": "",
    "transforms/v2/functional.py": "".join(
        _USED.format(name=name) for name in ("resize", "normalize", "pil_to_tensor", "pad")
    ),
}


def write(folder: Path, *, broken: bool) -> Path:
    """Write the package with its metadata; gives the folder for PYTHONPATH."""
    files = {"__init__.py": BROKEN} if broken else _IMPORTABLE
    for name, text in files.items():
        path = folder / "torchvision" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    metadata = folder / "torchvision-0.28.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n"
    )
    return folder


def pixels(picture: Path, bases: Iterable[Path]) -> Iterator[str]:
    """What each base's processor makes of a picture, in a line."""
    from PIL import Image

    from kolm import digest
    from kolm.models.pictures import picture_processor

    for folder in bases:
        inputs, run = picture_processor(folder).inputs(Image.open(picture))
        digests = [digest.of_bytes(inputs[name].numpy().tobytes()) for name in sorted(inputs)]
        yield f"{folder.name} {run.form} {digests}"


if __name__ == "__main__":
    print(*pixels(Path(sys.argv[1]), map(Path, sys.argv[2:])), sep="\n")
