"""V40 to V49, V55: what is asked only of an auditor who brings something: base, captures, a model.

Most audits bring nothing, so the files with the answers are loaded when there is a question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kolm.format.names import EXAMPLES, LINES, LOCK, MODULES, PREDICTIONS, SNAPSHOT, WEIGHTS
from kolm.records.verification import Finding
from kolm.verify.check import TABLE, Answers, Body, Check
from kolm.verify.findings import not_checked
from kolm.verify.subject import Auditor, Subject


def _base() -> Answers:
    from kolm.verify.checks import base

    return base.ANSWERS


def _captures() -> Answers:
    from kolm.verify.checks import captures

    return captures.ANSWERS


def _rescore() -> Answers:
    from kolm.verify.checks import lengths, rescore

    return {**rescore.ANSWERS, **lengths.ANSWERS}


_BROUGHT: dict[str, tuple[Callable[[Auditor], object], Callable[[], Answers]]] = {
    "--base": (lambda auditor: auditor.base, _base),
    "--captures": (lambda auditor: auditor.captures, _captures),
    "--rescore N": (lambda auditor: auditor.rescore, _rescore),
}


def _if_brought(number: str, option: str) -> Body:
    brought, answers = _BROUGHT[option]

    def body(subject: Subject) -> Iterator[Finding]:
        if brought(subject.auditor) is None:
            yield not_checked(f"needs {option}")
        else:
            yield from answers()[number](subject)

    return body


def _needs_structure(_: Subject) -> Iterator[Finding]:
    yield not_checked("this version recomputes roles from names only")


def _needs_loading(subject: Subject) -> Iterator[Finding]:
    if subject.auditor.rescore is None:
        yield not_checked("needs --rescore, which loads the adapter strictly")
    else:
        yield not_checked(
            "part of V46: the adapter is loaded strictly there, so another key is an error"
        )


for _check in (
    Check(
        "V40",
        "Do the files that change outputs hash to the pinned ones?",
        _if_brought("V40", "--base"),
        reads=(LOCK,),
    ),
    Check(
        "V41",
        "Do the checkpoint's tensors hash to the pinned root?",
        _if_brought("V41", "--base"),
        reads=(LOCK,),
    ),
    Check(
        "V42",
        "Does modules.jsonl list exactly the checkpoint's tensors?",
        _if_brought("V42", "--base"),
        needs=("V41",),
        reads=(MODULES, LOCK),
    ),
    Check(
        "V43",
        "Does the adapter fit the checkpoint?",
        _if_brought("V43", "--base"),
        needs=("V41", "V20"),
        reads=(MODULES, LOCK, WEIGHTS),
    ),
    Check(
        "V44",
        "Do roles follow from the model's structure as well as from its names?",
        _needs_structure,
    ),
    Check(
        "V45",
        "Does the adapter load with no missing and no unexpected key?",
        _needs_loading,
    ),
    Check(
        "V46",
        "Do re-run cases give the recorded outputs?",
        _if_brought("V46", "--rescore N"),
        reads=(PREDICTIONS, WEIGHTS, LOCK),
    ),
    Check(
        "V47",
        "Do the store's captures hash to the snapshot's leaves?",
        _if_brought("V47", "--captures"),
        reads=(LINES,),
    ),
    Check(
        "V48",
        "Do the pictures have the recorded file and pixel digests?",
        _if_brought("V48", "--captures"),
        reads=(LINES,),
    ),
    Check(
        "V49",
        "Are near-duplicates across the split as the snapshot says?",
        _if_brought("V49", "--captures"),
        needs=("V34", "V48"),
        reads=(LINES, SNAPSHOT),
    ),
    Check(
        "V55",
        "Do training captures encode to the lengths in examples.jsonl?",
        _if_brought("V55", "--rescore N"),
        needs=("V08",),
        reads=(EXAMPLES, LINES, LOCK),
    ),
):
    TABLE.add(_check)
