"""The compositions of the stages that the command line and notebooks call.

    kolm.compile("kolm.yaml")                       spec and captures to a signed bundle
    kolm.compile({...}, rows=[{"image": …, "prompt": "…", "response": "…"}])
    kolm.verify("easy-vqa.kolm")                    the numbered checks
    kolm.load("easy-vqa.kolm").answer(image, "…")   verified first, then loaded

Each is imported when it is first used: whoever only verifies never imports a model library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolm.actions.checking import check
    from kolm.actions.compiling import compile_bundle
    from kolm.actions.evaluating import evaluate_bundle
    from kolm.actions.planning import plan
    from kolm.actions.reporting import report
    from kolm.actions.running import load, run
    from kolm.actions.sweeping import sweep
    from kolm.actions.verification import verify

    compile = compile_bundle  # noqa: A001 - the product's verb

__all__ = [
    "check",
    "compile",
    "evaluate_bundle",
    "load",
    "plan",
    "report",
    "run",
    "sweep",
    "verify",
]

_PLACES = {
    "check": ("checking", "check"),
    "compile": ("compiling", "compile_bundle"),
    "evaluate_bundle": ("evaluating", "evaluate_bundle"),
    "load": ("running", "load"),
    "report": ("reporting", "report"),
    "plan": ("planning", "plan"),
    "run": ("running", "run"),
    "sweep": ("sweeping", "sweep"),
    "verify": ("verification", "verify"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'kolm.actions' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(f"kolm.actions.{module}"), attribute)
