"""V46: do cases that the auditor draws give the recorded answers when they are run again?

The draw comes from randomness that the caller passes in, after the bundle is fixed. The run itself
happens in a child process that `actions` starts; this only chooses and compares.

In the recorded environment class every bit has to come out again. In another one rounding may turn
an answer, so there the metric judges: more turned scores than rounding can explain are a no. In
both, what is right here bounds the true accuracy from below. The log-probabilities of cases with
two answers are held alike: bits, or a tolerance that few cases may miss.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import chain
from math import comb
from typing import TYPE_CHECKING, Final

from kolm import canonical, digest
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import KolmError, Lacking, Unreadable
from kolm.format.names import PREDICTIONS
from kolm.records.verification import Finding, Rescore, Verdict
from kolm.score.bounds import binomial_lower_bound, binomial_tail, hoeffding_lower_bound
from kolm.score.evaluation import outcomes
from kolm.score.rounding import MILLION, ratio
from kolm.verify.check import Answers
from kolm.verify.findings import (
    could_not_look,
    failed,
    from_error,
    not_checked,
    passed,
    unless_equal,
)
from kolm.verify.ports import RescoreAnswer, RescoreJob
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import PredictionsRowLikelihoods, PredictionsRowPreference
    from kolm.score.judge import Said

    # A case, what is recorded of it, and what was found here.
    _Pair = tuple[Digest, PredictionsRowPreference, PredictionsRowPreference]


# Rounding turns an answer only where two tokens are nearly equally likely: one case in twenty is
# generous. What that gives once in a thousand is refused, what it gives once in twenty is doubted.
TURNED_BY_ROUNDING: Final = Decimal("0.05")
REFUSED: Final = Decimal("0.001")
DOUBTED: Final = Decimal("0.05")

# By how much another machine's logits may differ, by `train.precision`: with e for that, a token of
# probability p moves by (1 - p) · e at most, and those of an answer of log-probability l, each by
# itself, by e · √|l| together, since (1 - p)² ≤ 1 - p ≤ -ln p. docs/adr/0041 has what was measured.
LOGITS_APART: Final = {"float32": Decimal("0.001"), "bfloat16": Decimal("0.1")}


def outputs_are_repeated(subject: Subject) -> Iterator[Finding]:
    """All runs of each drawn case: bits in the same environment class, scores in another."""
    request = subject.auditor.rescore
    if request is None:
        yield not_checked("needs --rescore N")
        return
    for number in ("V31", "V40", "V41"):
        if subject.results[number].verdict is not Verdict.OK:
            yield not_checked(f"needs {number}: running another base or other cases shows nothing")
            return
    obstacle = subject.cases_obstacle()
    if obstacle is not None:
        yield not_checked(obstacle)
        return
    answered = [row["case"] for row in subject.predictions]
    cases = tuple(answered[n] for n in draw(len(answered), request.cases, request.entropy))
    if not {case.case for case in subject.cases}.issuperset(cases):
        yield not_checked("needs V30: an answer is recorded for a case that is not here")
        return
    try:
        base = subject.auditor.base_folder()
        answer = request.run(
            RescoreJob(
                bundle=subject.container,
                base=base,
                cases=cases,
                cases_file=bytes(subject.cases_text),
            )
        )
    except (Unreadable, Lacking) as error:
        yield could_not_look(error.message, where=error.where, code=error.code)
        return
    except KolmError as error:
        yield from_error(error)
        return
    yield from _compare(subject, cases, answer)


def draw(total: int, wanted: int | None, entropy: Digest) -> list[int]:
    """The numbers of `wanted` things among `total`, or of all, without replacement, ascending."""
    numbers = list(range(total))
    digest.Stream(entropy).shuffle(numbers)
    return sorted(numbers[:wanted])


def _compare(subject: Subject, cases: Sequence[Digest], answer: RescoreAnswer) -> Iterator[Finding]:
    recorded = {row["case"]: outcomes(row) for row in subject.predictions}
    again = {(row["case"], row["run"]): row for row in answer.rows}
    stated = {row["case"]: row["preference"] for row in subject.predictions if "preference" in row}
    paired = [case for case in cases if case in stated]  # V31 holds that these are all
    missing = [
        *((case, run) for case in cases for run in recorded[case] if (case, run) not in again),
        *((case, "preference") for case in paired if case not in answer.preferences),
    ]
    for case, run in missing:
        yield could_not_look(f"the {run} run was not made again", where=f"{PREDICTIONS}: {case}")
    if missing:
        return
    runs = list(recorded[cases[0]])  # V31 holds that all cases have the same
    pairs = {run: [(recorded[case][run], again[case, run]) for case in cases] for run in runs}
    wanted, scores = subject.lock["environment"]["class"], _Scores(subject, cases)
    same = answer.environment_class == wanted
    differing = {}
    for run in runs:
        if same:
            wrong = [
                list(_same_bits(case, run, then, now))
                for case, (then, now) in zip(cases, pairs[run], strict=True)
            ]
            differing[run] = sum(map(bool, wrong))
            yield from chain.from_iterable(wrong)
        else:
            differing[run] = scores.turned(pairs[run])
            what = f"score differently in the {run} run"
            yield from _only_rounding(what, differing[run], len(cases), rule="P4")
    most = max(differing.values())
    logits = Decimal(0) if same else LOGITS_APART[subject.lock["train"]["precision"]]
    apart = yield from _likelihoods(
        [(case, stated[case], answer.preferences[case]) for case in paired], logits
    )
    subject.rescored = Rescore(len(recorded), len(cases), same, max(most, apart), len(paired))
    told = (
        "the recorded answers, bit for bit"
        if same
        else f"of another environment class than the bundle, where {most} scores at most differ, "
        "as rounding may"
    )
    again_too = f"; both log-probabilities of {len(paired)} of them likewise" if stated else ""
    yield passed(
        f"{counted(len(cases), 'case')} run again: {told}{again_too}; "
        f"{scores.bound(pairs['adapter'])}; {power(len(recorded), len(cases))}"
    )


class _Scores:
    """Answers of the drawn cases, judged by the lock's metric."""

    def __init__(self, subject: Subject, cases: Sequence[Digest]) -> None:
        self._judge = subject.rules.judge(
            subject.lock["evaluation"], [case.references for case in subject.cases]
        )
        known = {case.case: case.references for case in subject.cases}
        self._references = [known[case] for case in cases]

    def bound(self, pairs: Sequence[tuple[Said, Said]]) -> str:
        """What the answers of the re-run leave believable of all."""
        cases, points = len(pairs), sum(self._of([now for _, now in pairs]))
        if self._judge.binary:
            right = points // MILLION
            least, by = binomial_lower_bound(right, cases), "exact binomial"
            return f"{right} right here, so the true accuracy is at least {least} (95 %, {by})"
        mean, least = ratio(points, cases * MILLION), hoeffding_lower_bound(points, cases)
        return f"mean score {mean} here, so the true mean is at least {least} (95 %, Hoeffding)"

    def turned(self, pairs: Sequence[tuple[Said, Said]]) -> int:
        """How many scores differ between the record and the re-run."""
        then, now = (self._of([pair[side] for pair in pairs]) for side in (0, 1))
        return sum(before != after for before, after in zip(then, now, strict=True))

    def _of(self, outcomes: Sequence[Said]) -> list[int]:
        both = zip(outcomes, self._references, strict=True)
        return [self._judge.judge(said, sought).score_millionths for said, sought in both]


def _same_bits(case: Digest, run: str, recorded: Said, answer: Said) -> Iterator[Finding]:
    for field, then, now in (
        ("output", recorded["output"], answer["output"]),
        ("tokens", recorded["tokens"], answer["tokens"]),
        ("finish", recorded["finish"], answer["finish"]),
    ):
        if now != then:
            yield failed(
                f"the {run} run produced another {field}",
                where=f"{PREDICTIONS}: {case}",
                expected=then,
                found=now,
                rule="P4",
            )


def _likelihoods(pairs: Sequence[_Pair], logits: Decimal) -> Generator[Finding, None, int]:
    """Hold log-probabilities against the record; gives how many cases differ, in either run."""
    most = 0
    for run in ("adapter", "base"):
        others = [
            (case, then[run], now[run])
            for case, then, now in pairs
            if _apart(then[run], now[run], logits)
        ]
        most = max(most, len(others))
        if logits:
            what = f"have other log-probabilities in the {run} run"
            yield from _only_rounding(what, len(others), len(pairs), rule="P8")
            continue
        for case, then, now in others:
            what = f"another log-probability of one of two answers in the {run} run"
            yield from unless_equal(then, now, what, rule="P8", where=f"{PREDICTIONS}: {case}")
    return most


def _apart(
    then: PredictionsRowLikelihoods, now: PredictionsRowLikelihoods, logits: Decimal
) -> bool:
    """Whether either log-probability is further from the recorded one than such logits bring it."""
    both = ((then["chosen"], now["chosen"]), (then["rejected"], now["rejected"]))
    numbers = [(Decimal(before), Decimal(after)) for before, after in both]
    return any(abs(a - b) > logits * (1 + max(-a, -b).sqrt()) for a, b in numbers)


def _only_rounding(what: str, turned: int, cases: int, *, rule: str) -> Iterator[Finding]:
    """Refuse or doubt more turned cases than rounding gives when it turns one case in twenty."""
    told = f"{turned} of {counted(cases, 'case')} {what}"
    chance = binomial_tail(turned, cases, TURNED_BY_ROUNDING)
    if chance < REFUSED:
        yield failed(
            f"{told}: more than the rounding of another machine explains",
            where=PREDICTIONS,
            expected="as recorded, but for one case in twenty",
            found=f"{turned} otherwise",
            rule=rule,
        )
    elif chance <= DOUBTED:
        yield could_not_look(
            f"{told} on this machine, which is of another environment class: too few to tell "
            "rounding from invention; draw more",
            where=PREDICTIONS,
        )


def power(total: int, drawn: int, *, what: str = "case") -> str:
    """How likely a draw meets at least one edited case, or whatever it is of, if a tenth is."""
    bad = max(1, total // 10)
    missed = Fraction(comb(total - bad, drawn), comb(total, drawn))
    found = canonical.decimal(float(1 - missed), 4)
    return f"if one {what} in ten were edited, this finds it with probability {found}"


ANSWERS: Answers = {"V46": outputs_are_repeated}
