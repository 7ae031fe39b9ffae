"""kolm compiles a vision-language fine-tune into one signed file that a stranger can audit.

The public functions are loaded when they are first used, so that importing the package costs
nothing: ``kolm.compile``, ``kolm.load`` and ``kolm.verify_bundle`` come from `kolm.api`.
(``kolm.verify`` is the package of the verifier, so a function cannot have that name here.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolm.api import compile, load  # noqa: A004 - the product's verb
    from kolm.api import verify as verify_bundle

__version__ = "0.1.0"
__all__ = ["__version__", "compile", "load", "verify_bundle"]

_PLACES = {"compile": "compile", "load": "load", "verify_bundle": "verify"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module("kolm.api"), _PLACES[name])
    raise AttributeError(f"module 'kolm' has no attribute {name!r}")
