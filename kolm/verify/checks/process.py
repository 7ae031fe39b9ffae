"""V50–V54: did training run as the trace says? Only re-execution shows it.

This version does not re-execute, and says so in every line: process is attested, not checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from kolm.records.verification import Finding
from kolm.verify.check import TABLE, Check
from kolm.verify.findings import not_checked
from kolm.verify.subject import Subject

QUESTIONS = {
    "V50": "Does state 0 follow from base, lock and seed?",
    "V51": "Is the last state the one that holds the bundled adapter?",
    "V52": "Does the first segment re-execute to the recorded state, bit for bit?",
    "V53": "Do the segments that the verifier draws re-execute, bit for bit?",
    "V54": "Is this machine of the recorded environment class, so that bits can be compared?",
}


def _nobody_replayed(_: Subject) -> Iterator[Finding]:
    yield not_checked("this version of kolm verify does not replay training")


for _number, _question in QUESTIONS.items():
    TABLE.add(Check(id=_number, question=_question, body=_nobody_replayed))
