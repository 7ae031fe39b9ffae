"""Rows of every family under limits of every kind: learned whole, cut where that is allowed, or
dropped and counted.

The fuzzer is `tests/support/fuzz_budget.py`, which also runs by itself.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from kolm.roles import FAMILIES
from tests.support.fuzz_budget import fuzz

pytestmark = pytest.mark.heavy
FATES = {"whole", "cut", "shrunk", "over_budget", "too_many_images", "same_answers"}


def test_some_rows_of_every_family_keep_images_and_answers_or_are_counted() -> None:
    fates, failures = fuzz(0, 6 * len(FAMILIES))
    assert failures == []
    assert fates.keys() >= FATES


@pytest.mark.slow
def test_ten_thousand_rows_keep_images_and_answers_or_are_counted() -> None:
    fates, failures = fuzz(0, 10_000)
    assert failures == []
    assert fates.total() == 10_000
