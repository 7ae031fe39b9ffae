"""V46: do cases that the auditor draws give the recorded outputs when they are run again?

The draw comes from randomness that the caller passes in, after the bundle is fixed. The run itself
happens in a child process that `api` starts; this only chooses and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import comb
from typing import Any

from kolm import canonical, digest
from kolm.digest import Digest
from kolm.errors import KolmError, Lacking, Unreadable
from kolm.records.verification import Finding, Verdict
from kolm.score.evaluation import RUNS
from kolm.verify.check import check
from kolm.verify.findings import could_not_look, failed, from_error, not_checked, passed
from kolm.verify.ports import RescoreAnswer, RescoreJob
from kolm.verify.subject import CASES, LOCK, PREDICTIONS, WEIGHTS, Subject

COMPARED = ("output", "tokens", "finish")


@check(
    "V46",
    "Do re-run cases give the recorded outputs?",
    reads=(PREDICTIONS, WEIGHTS, LOCK, CASES),
)
def outputs_are_repeated(subject: Subject) -> Iterator[Finding]:
    """Equal outputs, token counts and endings of all three runs; decoding is greedy."""
    request = subject.auditor.rescore
    if request is None:
        yield not_checked("needs --rescore N")
        return
    for number in ("V31", "V40", "V41"):
        if subject.results[number].verdict is not Verdict.OK:
            yield not_checked(f"needs {number}: running another base or other cases shows nothing")
            return
    cases = draw(subject.predictions, request.cases, request.entropy)
    try:
        base = subject.auditor.base_folder()
        answer = request.run(RescoreJob(bundle=subject.container, base=base, cases=cases))
    except (Unreadable, Lacking) as error:
        yield could_not_look(error.message, where=error.where, code=error.code)
        return
    except KolmError as error:
        yield from_error(error)
        return
    yield from _compare_all(subject, cases, answer)
    yield passed(f"{len(cases)} cases run again; {power(len(subject.predictions), len(cases))}")


def draw(rows: Sequence[Any], wanted: int, entropy: Digest) -> tuple[Digest, ...]:
    """The cases to run again: `wanted` of them without replacement, in the order of the file."""
    numbers = list(range(len(rows)))
    digest.Stream(entropy).shuffle(numbers)
    return tuple(rows[number]["case"] for number in sorted(numbers[:wanted]))


def _compare_all(
    subject: Subject, cases: Sequence[Digest], answer: RescoreAnswer
) -> Iterator[Finding]:
    recorded = {row["case"]: row for row in subject.predictions}
    rows = {(row["case"], row["run"]): row for row in answer.rows}
    found = [
        finding
        for case in cases
        for run in RUNS
        for finding in _compare(case, run, recorded[case][run], rows.get((case, run)))
    ]
    wanted = subject.lock["environment"]["class"]
    if found and answer.environment_class != wanted:
        yield could_not_look(
            f"not comparable: {len(found)} differences, but this machine is of another environment "
            f"class ({answer.environment_class}) than the bundle ({wanted})"
        )
        return
    yield from found


def _compare(case: Digest, run: str, recorded: Any, answer: Any) -> Iterator[Finding]:
    where = f"{PREDICTIONS}: {case}"
    if answer is None:
        yield could_not_look(f"the {run} run was not made again", where=where)
        return
    for field in COMPARED:
        if answer[field] != recorded[field]:
            yield failed(
                f"the {run} run gives another {field}",
                where=where,
                expected=recorded[field],
                found=answer[field],
            )


def power(total: int, drawn: int) -> str:
    """How likely a draw meets at least one edited case if one in ten is edited."""
    bad = max(1, total // 10)
    missed = Fraction(comb(total - bad, drawn), comb(total, drawn))
    found = canonical.decimal(float(1 - missed), 4)
    return f"if one case in ten were edited, this finds it with probability {found}"
