"""Verification: recheck a bundle without trusting its publisher.

Reaches no model, no network, no image library and no code from a bundle; see verifier.py.

``kolm.verify(path)`` is a call as well as this package: Python gives a package's name to its
submodule, so the module is callable and hands the call to `kolm.actions`, by name and only then.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from inspect import Signature


class _Callable(ModuleType):
    @property
    def __signature__(self) -> Signature:
        from inspect import signature

        return signature(_verify())

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """As `kolm.actions.verify`."""
        return _verify()(*arguments, **named)


def _verify() -> Callable[..., Any]:
    found: Callable[..., Any] = import_module("kolm.actions.verification").verify
    return found


sys.modules[__name__].__class__ = _Callable
