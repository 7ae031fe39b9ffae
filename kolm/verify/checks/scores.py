"""V32, V33: are the scores what cases and outputs imply?

The functions that evaluation called to write are called again to compare. A stated score is read
only where the publisher withheld the references and no capture store has them: both checks then
refuse what cannot be and are otherwise not checked, for the scores are somebody's word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kolm import canonical
from kolm.format.names import EVALUATION, LINES, LOCK, PREDICTIONS
from kolm.records.verification import Finding
from kolm.score.evaluation import outcomes
from kolm.verify.check import check
from kolm.verify.findings import failed, not_checked, passed, unless_equal
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import Evaluation

# The parts of evaluation.json with the rules of docs/format/evaluation.md for what stands there.
_RULES: Final = {
    "adapter": "E4, E5",
    "base": "E4, E5",
    "blind": "E4, E5, E13",
    "clustered": "E14",
    "covered": "E3",
    "figures": "E15",
    "floors": "E9",
    "majority": "E8",
    "paired": "E6",
    "slices": "E7",
}


@check(
    "V32",
    "Is every case's score and coverage what the metric computes?",
    needs=("V31",),
    reads=(PREDICTIONS, LOCK),
)
def case_scores_follow(subject: Subject) -> Iterator[Finding]:
    """Each output of each case is judged again.

    Without references only what no reference could give is refused.
    """
    obstacle, settings = subject.cases_obstacle(), subject.lock["evaluation"]
    for wrong in (
        subject.rules.find_impossible(subject.predictions, settings)
        if obstacle
        else subject.rules.find_mismatches(subject.predictions, subject.cases, settings)
    ):
        yield failed(
            f"the {wrong.field} of the {wrong.run} output is not what the metric computes",
            where=f"{PREDICTIONS}: {wrong.case}",
            expected=wrong.computed,
            found=wrong.stated,
            rule="P7",
        )
    if obstacle:
        yield not_checked(f"{obstacle}; the scores are as stated")
    judged = len(subject.predictions) * len(outcomes(next(iter(subject.predictions))))  # V31
    yield passed(f"{judged:,} outputs judged again")


@check(
    "V33",
    "Is evaluation.json what cases and outputs imply, byte for byte?",
    needs=("V31",),
    reads=(PREDICTIONS, LINES, LOCK, EVALUATION),
)
def evaluation_follows(subject: Subject) -> Iterator[Finding]:
    """The whole document is computed again: metrics, intervals, slices, controls, floors.

    Without references all that follows from the scores stated case by case.
    """
    obstacle = subject.cases_obstacle()
    computed = _computed(subject, from_stated=obstacle is not None)
    if canonical.dumps(computed) != subject.documents.raw(EVALUATION):
        for key in sorted(computed.keys() | subject.evaluation.keys()):
            yield from unless_equal(
                computed.get(key, "nothing"),
                subject.evaluation.get(key, "nothing"),
                f"{key} is not what cases and outputs imply",
                where=f"{EVALUATION}#/{key}",
                rule=_RULES.get(key, "E4"),
            )
    if obstacle:
        yield not_checked(
            f"{obstacle}; means, intervals, paired test and floors follow from the stated scores, "
            "majority answer, swapped references and slices"
        )
    stated = computed["adapter"]
    low, high = stated["interval"]["low"], stated["interval"]["high"]
    yield passed(f"accuracy {stated['accuracy']} (95 % {low} to {high})")


def _computed(subject: Subject, *, from_stated: bool) -> Evaluation:
    settings = subject.lock["evaluation"]
    if not from_stated:
        return subject.rules.evaluate(subject.predictions, subject.cases, settings)
    lines = subject.lines
    pictures = {
        lines.captures[number]: [image["pixels"] for image in lines.images[number]]
        for number in lines.of_split("eval")
    }
    return subject.rules.evaluate_stated(
        subject.predictions, pictures, settings, stated=subject.evaluation
    )
