"""V40 to V55, V57, V68: what is asked only of an auditor who brings something: a base, captures, …

Most audits bring nothing, so the files with the answers are loaded when there is a question. Some
questions nobody can answer yet, and the line says so.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import NamedTuple

from kolm.format.names import (
    EXAMPLES,
    LINES,
    LOCK,
    MODULES,
    PREDICTIONS,
    SNAPSHOT,
    TRACE,
    WEIGHTS,
)
from kolm.records.verification import Finding
from kolm.verify.check import Answers, check
from kolm.verify.findings import not_checked
from kolm.verify.subject import Auditor, Subject


class _File(NamedTuple):
    """A file beside this one that answers questions about what an option brings."""

    name: str
    option: str
    brought: Callable[[Auditor], object]

    def ask(self, number: str, question: str, needs: tuple[str, ...], *reads: str) -> None:
        """Register a question that the file answers when there is something to look at."""

        @check(number, question, needs=needs, reads=reads)
        def answer(subject: Subject) -> Iterator[Finding]:
            if self.brought(subject.auditor) is None:
                yield not_checked(f"needs {self.option}")
            else:
                answers: Answers = import_module(f"kolm.verify.checks.{self.name}").ANSWERS
                yield from answers[number](subject)


_BASE = _File("base", "--base", lambda auditor: auditor.base)
_BASE.ask("V40", "Do the files that change outputs hash to the pinned ones?", (), LOCK)
_BASE.ask("V41", "Do the checkpoint's tensors hash to the pinned root?", (), LOCK)
_PINNED = ("V41", "V20")  # the base is the one that is told of, and of a family that is known
_BASE.ask(
    "V42", "Does modules.jsonl list exactly the checkpoint's tensors?", _PINNED, MODULES, LOCK
)
_BASE.ask("V43", "Does the adapter fit the checkpoint?", _PINNED, MODULES, LOCK, WEIGHTS)

_CAPTURES = _File("captures", "--captures", lambda auditor: auditor.captures)
_CAPTURES.ask(
    "V47",
    "Are the snapshot's leaves captures of the store, with its pictures and sides?",
    (),
    SNAPSHOT,
    LINES,
)
_CAPTURES.ask("V48", "Do the pictures have the recorded file and pixel digests?", (), LINES)
_CAPTURES.ask(
    "V49",
    "Are near-duplicates across the split as the snapshot says?",
    ("V34", "V48"),
    LINES,
    SNAPSHOT,
)

_RESCORE = _File("rescore", "--rescore N", lambda auditor: auditor.rescore)
_RESCORE.ask("V46", "Do re-run cases give the recorded outputs?", (), PREDICTIONS, WEIGHTS, LOCK)

_LENGTHS = _File("lengths", "--rescore N", lambda auditor: auditor.rescore)
_LENGTHS.ask(
    "V55",
    "Do training captures encode to the lengths in examples.jsonl?",
    ("V08",),
    EXAMPLES,
    LINES,
    LOCK,
)
_READ = (TRACE, EXAMPLES, LINES, MODULES, WEIGHTS, LOCK)
_LENGTHS.ask(
    "V57",
    "Does the tower's part of the compute claim follow from the captures' pictures?",
    ("V55", "V56"),
    *_READ,
)

_REPLAY = _File("replay", "--replay N", lambda auditor: auditor.replay)
_COMPARABLE = ("V08", "V40", "V41", "V54")  # other documents, another base, other bits
_REPLAY.ask("V50", "Does state 0 follow from base, lock and seed?", _COMPARABLE, *_READ)
_REPLAY.ask("V51", "Is the last state the one that holds the bundled adapter?", _COMPARABLE, *_READ)
_REPLAY.ask(
    "V52",
    "Does the first segment re-execute to the recorded state, bit for bit?",
    _COMPARABLE,
    *_READ,
)
_REPLAY.ask(
    "V53",
    "Do the segments that the verifier draws re-execute, bit for bit?",
    _COMPARABLE,
    *_READ,
)
_REPLAY.ask(
    "V54",
    "Is this machine of the recorded environment class, so that bits can be compared?",
    (),
    LOCK,
)

_ANSWER = _File("request", "--request", lambda auditor: auditor.request)
_ANSWER.ask("V68", "Is the bundle the answer to the request?", (), LOCK, SNAPSHOT)


@check("V44", "Do roles follow from the model's structure as well as from its names?")
def roles_follow_from_structure(_: Subject) -> Iterator[Finding]:
    """Needs a loaded model."""
    yield not_checked("this version recomputes roles from names only")


@check("V45", "Does the adapter load with no missing and no unexpected key?")
def adapter_loads(subject: Subject) -> Iterator[Finding]:
    """Needs a loaded model."""
    if subject.auditor.rescore is None:
        yield not_checked("needs --rescore, which loads the adapter strictly")
    else:
        yield not_checked(
            "part of V46: the adapter is loaded strictly there, so another key is an error"
        )
