"""Agreement and kappa, held against published figures."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.judging import agreement

# Two dermatologists on 88 patients: SAS/STAT User's Guide, the FREQ procedure, example "Cohen's
# Kappa Coefficient": simple kappa 0.3449, 95 % limits 0.2030 and 0.4868, standard error 0.0724.
SKIN = ((10, 4, 1, 0), (5, 10, 12, 2), (2, 4, 12, 5), (0, 2, 6, 13))


def pairs(table: tuple[tuple[int, ...], ...]) -> list[tuple[int, int]]:
    return [
        (left, right)
        for left, row in enumerate(table)
        for right, count in enumerate(row)
        for _ in range(count)
    ]


def test_kappa_and_its_interval_are_the_published_ones() -> None:
    found = agreement.kappa(pairs(SKIN))
    assert found is not None
    value, reach = found
    rounded = [round(float(x), 4) for x in (value, value - reach, value + reach)]
    assert rounded == [0.3449, 0.2030, 0.4868]
    assert round(float(reach / Decimal("1.959964")), 4) == 0.0724


def test_the_document_of_an_agreement() -> None:
    found = agreement.agreement(pairs(SKIN))
    assert (found["cases"], found["agreement"]) == (88, "0.511364")
    assert found["kappa"] is not None
    assert round(float(found["kappa"]), 4) == 0.3449
    assert found["interval"]["low"] < found["agreement"] < found["interval"]["high"]


def test_perfect_agreement_and_its_opposite() -> None:
    assert agreement.kappa([(1, 1), (2, 2)] * 5) == (Decimal(1), Decimal(0))
    opposite = agreement.kappa([(1, 2), (2, 1)] * 5)
    assert opposite is not None
    assert opposite[0] == -1


def test_labels_that_are_all_the_same_have_no_kappa() -> None:
    assert agreement.kappa([(3, 3)] * 7) is None
    assert agreement.agreement([(3, 3)] * 7)["kappa"] is None


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=40))
def test_limits_hold_kappa_between_them(both: list[tuple[int, int]]) -> None:
    found = agreement.agreement(both)
    if found["kappa"] is not None:
        assert found["kappa_low"] is not None
        assert found["kappa_high"] is not None
        low, kappa, high = map(Decimal, (found["kappa_low"], found["kappa"], found["kappa_high"]))
        assert -1 <= low <= kappa <= high <= 1
    swapped = agreement.kappa([(b, a) for a, b in both])
    assert swapped == agreement.kappa(both)


@pytest.mark.parametrize(
    ("both", "right", "ties"), [([(9, 3), (3, 9), (5, 5), (15, 3)], 2, 1), ([(3, 3)], 0, 1)]
)
def test_preferring_the_better_answer_is_counted_and_ties_are_no_agreement(
    both: list[tuple[int, int]], right: int, ties: int
) -> None:
    found = agreement.preferred(both)
    assert (found["right"], found["ties"], found["pairs"]) == (right, ties, len(both))
