"""Verification: recheck a bundle without trusting its publisher.

Reaches no model, no network, no image library and no code from a bundle; see verifier.py.

``kolm.verify(path)`` is a call as well as this package: Python gives a package's name to its
submodule, so the module is callable and hands the call to `kolm.actions`, by name and only then.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """As `kolm.actions.verify`."""
        return import_module("kolm.actions.verification").verify(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
