"""kolm compiles a vision-language fine-tune into one signed file that a stranger can audit.

``kolm.compile``, ``kolm.verify`` and ``kolm.load`` are loaded when they are first used, so that
importing the package costs nothing. They come from `kolm.actions`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kolm.version import VERSION

if TYPE_CHECKING:
    from kolm.actions import compile, load, verify  # noqa: A004 - the product's verb

__version__ = VERSION
__all__ = ["__version__", "compile", "load", "verify"]


def __getattr__(name: str) -> Any:
    if name == "verify":
        return import_module("kolm.verify")
    if name in ("compile", "load"):
        return getattr(import_module("kolm.actions"), name)
    raise AttributeError(f"module 'kolm' has no attribute {name!r}")
