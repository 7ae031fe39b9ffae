"""What a metric is: the shape that every file of this folder fills.

Stands under scoring: a metric judges one answer against the references of its case and knows
nothing of images or models. Everything here is exact arithmetic, or decimals of fixed precision,
so that every machine gets the same score.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import wraps
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar, runtime_checkable

# The reference answers of a case: the capture's own response first, then its further ones.
References: TypeAlias = "tuple[str, ...]"
# A figure over all cases as a quotient of two counts, which has no value where the second is 0.
Share: TypeAlias = "tuple[int, int]"


class Score(NamedTuple):
    """The judgement of one answer: how right it is (0 to 1) and whether it could be read at all."""

    value: Fraction
    parsed: bool


RIGHT = Score(value=Fraction(1), parsed=True)
WRONG = Score(value=Fraction(0), parsed=True)
UNREAD = Score(value=Fraction(0), parsed=False)


class Metric(Protocol):
    """A pure function of an answer and its references; its fields are its options."""

    kind: ClassVar[str]
    """The metric's name in specs and locks."""

    @property
    def least_credit(self) -> Fraction:
        """The smallest score above 0 that it can give: 1 when every score is 0 or 1."""

    def no_laxer_than(self, other: Any) -> bool:
        """Whether it gives no answer a higher score than another one of its kind."""

    def score(self, output: str, references: References) -> Score:
        """Judge `output` against the references, of which there is one at least."""

    def shortest_right(self, reference: str) -> str | None:
        """The shortest text that earns anything, or None where that is not known."""


@runtime_checkable
class OfPack(Protocol):
    """A metric whose scores of a case depend on what the references of all cases are."""

    def over(self, pack: Iterable[References]) -> Metric:
        """The metric that judges the cases with these references."""


@runtime_checkable
class HasFigures(Protocol):
    """A metric that says more of all cases together than the mean of their scores."""

    figure_names: ClassVar[tuple[str, ...]]

    def figures(self, answered: Iterable[tuple[str | None, References]]) -> dict[str, Share]:
        """The figures by their names, in that order.

        Args:
            answered: each case's answer, None where it is not covered, with its references.
        """


M = TypeVar("M")


def best_of(judge: Callable[[M, str, str], Score]) -> Callable[[M, str, References], Score]:
    """A judgement of one reference made one of several: the best that any of them gives."""

    @wraps(judge)
    def score(self: M, output: str, references: References) -> Score:
        return max(judge(self, output, reference) for reference in references)

    return score
