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
    from kolm.actions.asking import How
    from kolm.actions.checking import check
    from kolm.actions.compiling import compile_bundle
    from kolm.actions.dossiers import dossier
    from kolm.actions.evaluating import evaluate_bundle
    from kolm.actions.judges import JudgeOptions
    from kolm.actions.judging import judge_captures
    from kolm.actions.pairing import make_pairs
    from kolm.actions.planning import plan
    from kolm.actions.reporting import report
    from kolm.actions.running import load, run
    from kolm.actions.sweeping import sweep
    from kolm.actions.verification import verify

    compile = compile_bundle  # noqa: A001 - the product's verb

__all__ = [
    "How", "JudgeOptions", "check", "compile", "dossier", "evaluate_bundle", "judge_captures",
    "load", "make_pairs", "plan", "report", "run", "sweep", "verify",
]  # fmt: skip

_PLACES = {
    "check": ("checking", "check"),
    "compile": ("compiling", "compile_bundle"),
    "How": ("asking", "How"),
    "JudgeOptions": ("judges", "JudgeOptions"),
    "evaluate_bundle": ("evaluating", "evaluate_bundle"),
    "judge_captures": ("judging", "judge_captures"),
    "make_pairs": ("pairing", "make_pairs"),
    "load": ("running", "load"),
    "dossier": ("dossiers", "dossier"),
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
