"""One answer judged: its score in millionths and whether the case counts as covered.

Stands between the metrics and the aggregates. docs/format/evaluation.md, E2 and E3.
"""

from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from kolm.metrics import metric_of
from kolm.metrics.metric import HasFigures, OfPack
from kolm.score.rounding import millionths, written

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kolm.metrics.metric import References
    from kolm.records.documents import LockEvaluation, PredictionsRowOutcomeFinish


STOP: Final = "stop"
LENGTH: Final = "length"

# Three answers of this length, in the worst case of JSON escapes, still fit a 64 KiB row.
LONGEST_OUTPUT_CHARACTERS = 3072


class Judgement(NamedTuple):
    """The score of an answer in millionths, and whether it is covered."""

    score_millionths: int
    covered: bool

    @property
    def score(self) -> str:
        """The score as written in a prediction row."""
        return written(self.score_millionths)


class Said(TypedDict):
    """What a model said; a scored outcome of predictions.jsonl says it too."""

    output: str
    tokens: int
    finish: "PredictionsRowOutcomeFinish"


class Judge:
    """Judges answers by a lock's ``evaluation`` settings; equal questions are judged once.

    Covered: ended by itself, within `max_new_tokens`, and parsed in the metric's format. An answer
    that is not covered scores 0, for what a cut text would have become is not known.

    Attributes:
        figures: the metric, where it says more of all cases than the mean of their scores.
    """

    def __init__(self, settings: "LockEvaluation", pack: "Iterable[References]" = ()) -> None:
        """`pack` holds the references of all cases, for metrics that weigh them together."""
        stated = metric_of(settings["metric"])
        self._metric = stated.over(pack) if isinstance(stated, OfPack) else stated
        self.figures = stated if isinstance(stated, HasFigures) else None
        self._limit_tokens = int(settings["max_new_tokens"])
        self._known: dict[tuple[str, References], Judgement] = {}

    @property
    def binary(self) -> bool:
        """True when the metric only gives 0 and 1."""
        return self._metric.least_credit == 1

    @property
    def least_millionths(self) -> int:
        """The smallest score above 0 that the metric can give, as it is written."""
        return millionths(self._metric.least_credit)

    def judge(self, outcome: Said, references: "References") -> Judgement:
        """Judge an outcome (``output``, ``tokens``, ``finish``) against its case's references."""
        if not self.ended(outcome):
            return _NOT_COVERED
        return self.judge_text(outcome["output"], references)

    def ended(self, outcome: Said) -> bool:
        """Whether an answer ended by itself, within the limit."""
        return outcome["finish"] == STOP and outcome["tokens"] <= self._limit_tokens

    def judge_text(self, output: str, references: "References") -> Judgement:
        """Judge an answer that ended by itself."""
        question = (output, references)
        verdict = self._known.get(question)
        if verdict is None:
            if len(self._known) == _MOST_KNOWN:
                self._known.clear()
            score = self._metric.score(output, references)
            value = millionths(score.value) if score.parsed else 0
            verdict = self._known[question] = Judgement(value, score.parsed)
        return verdict


_MOST_KNOWN = 20_000  # all answers to an honest pack, and of a hostile one no more
_NOT_COVERED = Judgement(0, False)
