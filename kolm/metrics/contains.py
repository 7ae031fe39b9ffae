"""The contains metric: the reference stands in the answer, as whole words in its order.

For bases that answer in sentences. Words are what white space separates, without the punctuation
that surrounds them, so that neither ``light-blue`` nor ``3.5`` holds ``blue`` or ``5``. What else
an answer says is not looked at: docs/format/evaluation.md says what that lets
through.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from kolm.metrics.exact import normalise
from kolm.metrics.metric import RIGHT, UNREAD, WRONG, Score, best_of

# No sign that changes what a number says stands here: "-5", "$5", "5%" and ".5" are not "5".
_BEFORE: Final = "([{<\"'‘‚“„«‹¿¡"
_AFTER: Final = ")]}>\"'’”“»›.,;:!?…"


def words(text: str) -> tuple[str, ...]:
    """The words of a text, normalised; none is empty."""
    bare = (word.rstrip(_AFTER).lstrip(_BEFORE) for word in normalise(text).split(" "))
    return tuple(word for word in bare if word)


@dataclass(frozen=True, slots=True)
class Contains:
    """The words of the reference, side by side among those of the answer."""

    kind: ClassVar[str] = "contains"
    least_credit: ClassVar[Fraction] = Fraction(1)

    def no_laxer_than(self, other: Contains) -> bool:
        """It has no options."""
        return True

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 when the answer holds the reference; a reference without words must be equal to it."""
        answer, sought = normalise(output), words(reference)
        if not answer:
            return UNREAD
        if not sought:
            return RIGHT if answer == normalise(reference) else WRONG
        return RIGHT if _side_by_side(sought) in _side_by_side(words(output)) else WRONG

    def shortest_right(self, reference: str) -> str:
        """The reference's own words."""
        return " ".join(words(reference)) or normalise(reference)


def _side_by_side(found: tuple[str, ...]) -> str:
    return f" {' '.join(found)} "
