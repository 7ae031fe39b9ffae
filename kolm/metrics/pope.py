"""The POPE metric: yes or no, for questions whether a picture shows something.

Source: Li et al. 2023 (arXiv:2305.10355), section 5.1, and the script published with it: of an
answer its first sentence counts; it says no when one of its words is ``no`` or ``not``. The script
takes everything else for yes, also nothing at all. Here an answer says yes when one of its words
is ``yes``; one that says neither is not parsed, so that it earns nothing. Case does not count, and
the other signs at a word's ends do not either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from kolm.metrics.contains import words
from kolm.metrics.metric import RIGHT, UNREAD, WRONG, References, Score, Share

_NO = frozenset(("no", "not"))


def says_yes(text: str) -> bool | None:
    """What a text says: yes, no, or neither."""
    said = words(text.partition(".")[0].replace(",", ""))
    if not _NO.isdisjoint(said):
        return False
    return True if "yes" in said else None


@dataclass(frozen=True, slots=True)
class Pope:
    """Right or wrong, and over all cases precision and recall of yes."""

    kind: ClassVar[str] = "pope"
    least_credit: ClassVar[Fraction] = Fraction(1)
    figure_names: ClassVar[tuple[str, ...]] = ("f1", "precision", "recall", "yes_ratio")

    def no_laxer_than(self, other: Pope) -> bool:
        """It has no options."""
        return True

    def score(self, output: str, references: References) -> Score:
        """1 when answer and response say the same of yes and no."""
        said = says_yes(output)
        if said is None:
            return UNREAD
        return RIGHT if said is says_yes(references[0]) else WRONG

    def shortest_right(self, reference: str) -> str | None:
        """The one word."""
        sought = says_yes(reference)
        return None if sought is None else "yes" if sought else "no"

    def figures(self, answered: Iterable[tuple[str | None, References]]) -> dict[str, Share]:
        """Of all cases: who says yes, and who is right to. An answer that says neither is no yes.

        Args:
            answered: each case's answer, None where it does not count, with its references.
        """
        cases = said = due = both = 0
        for output, references in answered:
            yes = output is not None and says_yes(output) is True
            wanted = says_yes(references[0]) is True
            cases, said, due, both = cases + 1, said + yes, due + wanted, both + (yes and wanted)
        return {
            "f1": (2 * both, said + due),
            "precision": (both, said),
            "recall": (both, due),
            "yes_ratio": (said, cases),
        }
