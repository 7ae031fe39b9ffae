"""The compositions: floors that are out of reach, told before anything is trained."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import TYPE_CHECKING

from kolm.counting import counted
from kolm.errors import Refused
from kolm.score.intervals import wilson

if TYPE_CHECKING:
    from kolm.actions.preparing import Prepared

_MANY_CASES = 100_000


def demand_reachable(prepared: Prepared, *, too_long: int = 0) -> None:
    """Refuse a floor that even right answers to all eval cases would miss.

    Args:
        prepared: with the floor.
        too_long: cases that cannot be right, because no answer may be as long as theirs.

    Raises:
        Refused: ``E_FLOOR_OUT_OF_REACH``.
    """
    cases = prepared.snapshot.header["splits"]["eval"]["captures"]
    floor = prepared.lock["evaluation"]["floors"]["accuracy_lower_bound"]
    best = wilson(cases - too_long, cases)["low"]
    if floor is None or Decimal(best) >= Decimal(floor):
        return
    found = f"{counted(cases, 'eval case')}, whose lower bound is at most {best}"
    if too_long:
        message = "answers longer than evaluation.max_new_tokens put the floor out of reach"
        found += f": {counted(too_long, 'reference')} too long"
        hint = "raise evaluation.max_new_tokens, or lower the floor"
    else:
        message = "so few eval cases cannot reach the floor, even if every answer is right"
        hint = "add captures, hold out more of them (data.split), or lower the floor"
        more = range(cases, _MANY_CASES)
        place = bisect_left(more, Decimal(floor), key=lambda n: Decimal(wilson(n, n)["low"]))
        if place < len(more):
            found += f"; {more[place]} right answers would reach it"
    raise Refused(
        "E_FLOOR_OUT_OF_REACH",
        message,
        where="evaluation.floors.accuracy_lower_bound",
        expected=f"a lower bound of at least {floor}",
        found=found,
        hint=hint,
    )
