"""Capture: the image libraries of the `capture` extra, imported when first needed.

Reading rows and stored bytes needs none of them.
"""

from __future__ import annotations

from types import ModuleType

from kolm.errors import KolmError
from kolm.extras import missing_extra


def pillow() -> ModuleType:
    """The `PIL.Image` module.

    Raises:
        Lacking: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise _missing("Pillow") from None
    return Image


def numpy() -> ModuleType:
    """The `numpy` module.

    Raises:
        Lacking: numpy is not installed.
    """
    try:
        import numpy
    except ImportError:
        raise _missing("numpy") from None
    return numpy


def _missing(name: str) -> KolmError:
    return missing_extra("capture", f"reading images needs {name}, which is not installed")
