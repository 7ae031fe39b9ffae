"""The IoU metric: whether a box that an answer gives lies where the reference's does.

Source: intersection over union as in Everingham et al. 2010 (doi:10.1007/s11263-009-0275-4),
section 4.2, with continuous coordinates (COCO's). A box that reaches `threshold` is right, as in
the harnesses for referring expressions (accuracy at 0.5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, NamedTuple

from kolm.metrics.metric import RIGHT, UNREAD, WRONG, Score, best_of

# Bounded in length, so that arithmetic on hostile text stays cheap; nothing is tried twice.
_NUMBER = r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)"
_FOUR = r"(?:\s*,\s*|\s+)".join([_NUMBER] * 4)
_BRACKETED = re.compile(rf"\[\s*{_FOUR}\s*\]|\(\s*{_FOUR}\s*\)")
_BARE = re.compile(rf"\s*{_FOUR}\s*")


class Box(NamedTuple):
    """Left, top, right and bottom; right and bottom are greater."""

    left: Fraction
    top: Fraction
    right: Fraction
    bottom: Fraction

    @property
    def area(self) -> Fraction:
        """In squared units of the coordinates."""
        return (self.right - self.left) * (self.bottom - self.top)


def read_box(text: str) -> Box | None:
    """The first four numbers that stand in brackets of their own, or are the whole text."""
    found = _BRACKETED.search(text) or _BARE.fullmatch(text)
    if found is None:
        return None
    box = Box(*(Fraction(number) for number in found.groups() if number is not None))
    return box if box.left < box.right and box.top < box.bottom else None


def overlap(one: Box, other: Box) -> Fraction:
    """The area that both cover, of the area that either covers."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    both = max(wide, Fraction(0)) * max(high, Fraction(0))
    return both / (one.area + other.area - both)


@dataclass(frozen=True, slots=True)
class Iou:
    """Boxes as ``[left, top, right, bottom]`` in any unit that answer and reference share."""

    threshold: Fraction
    kind: ClassVar[str] = "iou"
    least_credit: ClassVar[Fraction] = Fraction(1)

    def no_laxer_than(self, other: Iou) -> bool:
        """By the threshold: the higher one is stricter."""
        return self.threshold >= other.threshold

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 when the boxes overlap by `threshold` or more; an answer without a box is unread."""
        answer, sought = read_box(output), read_box(reference)
        if answer is None:
            return UNREAD
        if sought is None:
            return WRONG
        return RIGHT if overlap(answer, sought) >= self.threshold else WRONG

    def shortest_right(self, reference: str) -> None:
        """Not known: other boxes are near enough."""
