"""The CIDEr-D metric: captions by the runs of words that they share with people's.

Source: Vedantam, Zitnick and Parikh 2015 (arXiv:1411.5726), section 6 and equations 2, 4 and 6, as
COCO's scorer computes them: runs of one to four words, weighted by how rare they are among the
references of all cases; counts are clipped; lengths differ by runs of two words, with σ = 6. Its
scores go to 10; here they are divided by 10. Two things are this format's own: the words (those of
``rouge_l``, where COCO's are a Java program's), and the arithmetic, which is exact but for weights
rounded to 10⁻¹² and for decimals of 28 digits, so that every machine gets the same score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple, TypeAlias

from kolm.errors import Refused
from kolm.metrics.metric import UNREAD, References, Score
from kolm.metrics.tokens import tokens

LONGEST_RUN: Final = 4
TWICE_SIGMA_SQUARED: Final = 72
MOST_WORDS: Final = 300_000  # of all references of a pack: their runs are held in memory

_DIGITS: Final = Context(prec=28, rounding=ROUND_HALF_EVEN)
_WEIGHT_PLACES: Final = 12

Run: TypeAlias = "tuple[str, ...]"


@dataclass(frozen=True, slots=True)
class CiderD:
    """It judges by a pack; without one, a case is its own pack, in which nothing is rare."""

    kind: ClassVar[str] = "cider_d"
    least_credit: ClassVar[Fraction] = Fraction(1, 1_000_000)

    def no_laxer_than(self, other: CiderD) -> bool:
        """It has no options."""
        return True

    def over(self, pack: Iterable[References]) -> CiderD:
        """The metric that judges the cases with these references, all of them.

        Raises:
            Refused: ``E_CASE_WORDS``: they hold more words than are counted.
        """
        return _OverPack(_count(pack))

    def score(self, output: str, references: References) -> Score:
        """The mean over references and lengths of runs."""
        return self.over([references]).score(output, references)

    def shortest_right(self, reference: str) -> None:
        """Not known: one rare word earns something."""


class _Counts(NamedTuple):
    cases: int
    holding: dict[Run, int]  # how many cases hold a run in any of their references


def _count(pack: Iterable[References]) -> _Counts:
    cases = words = 0
    holding: Counter[Run] = Counter()
    for references in pack:
        cases += 1
        runs: set[Run] = set()
        for text in references:
            words += len(tokens(text))
            if words > MOST_WORDS:
                raise Refused(
                    "E_CASE_WORDS",
                    "the references hold more words than cider_d counts",
                    expected=f"at most {MOST_WORDS:,} in all cases",
                    hint="score fewer cases, or use rouge_l",
                )
            runs.update(*_runs(text))
        holding.update(runs)
    return _Counts(max(1, cases), dict(holding))


@lru_cache(maxsize=256)
def _runs(text: str) -> tuple[dict[Run, int], ...]:
    """How often each run stands in a text, by its length."""
    words = tokens(text)
    return tuple(
        dict(Counter(words[at : at + size] for at in range(len(words) - size + 1)))
        for size in range(1, LONGEST_RUN + 1)
    )


class _Vector(NamedTuple):
    weights: dict[Run, int]  # in 10^-12
    square: int  # of its length


class _OverPack(CiderD):
    __slots__ = ("_counts", "_rarity")

    def __init__(self, counts: _Counts) -> None:
        object.__setattr__(self, "_counts", counts)
        object.__setattr__(self, "_rarity", {})

    _counts: _Counts
    _rarity: dict[int, int]

    def score(self, output: str, references: References) -> Score:
        if not tokens(output):
            return UNREAD
        said = self._vectors(output)
        with localcontext(_DIGITS):
            total = sum((self._likeness(output, said, text) for text in references), Decimal(0))
            value = total / (LONGEST_RUN * len(references))
        return Score(value=min(Fraction(value), Fraction(1)), parsed=True)

    def _likeness(self, output: str, spoken: tuple[_Vector, ...], text: str) -> Decimal:
        """The sum over lengths of runs, times the penalty for another length."""
        apart = max(0, len(tokens(output)) - 1) - max(0, len(tokens(text)) - 1)
        alike = Decimal(0)
        for one, other in zip(spoken, self._vectors(text), strict=True):
            fewer, more = sorted((one.weights, other.weights), key=len)
            both = [(one.weights[run], other.weights[run]) for run in fewer if run in more]
            dot = sum(min(said, sought) * sought for said, sought in both)
            if dot:
                alike += Decimal(dot) / (Decimal(one.square) * Decimal(other.square)).sqrt()
        return alike * (Decimal(-apart * apart) / TWICE_SIGMA_SQUARED).exp() if alike else alike

    def _vectors(self, text: str) -> tuple[_Vector, ...]:
        found = []
        for runs in _runs(text):
            weights = {run: count * self._weight(run) for run, count in runs.items()}
            found.append(_Vector(weights, sum(weight * weight for weight in weights.values())))
        return tuple(found)

    def _weight(self, run: Run) -> int:
        """ln(cases / cases that hold it), in 10^-12; a run that no reference holds is as one."""
        holding = self._counts.holding.get(run, 1)
        known = self._rarity.get(holding)
        if known is None:
            with localcontext(_DIGITS):
                rarity = (Decimal(self._counts.cases) / holding).ln().scaleb(_WEIGHT_PLACES)
                known = self._rarity[holding] = int(rarity.to_integral_value())
        return known
