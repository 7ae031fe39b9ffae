"""Forged bundles past digests and signatures: a report or an error of kolm, soon, in little room.

The fuzzer is `tests/support/fuzz_bundles.py`, which also runs by itself.
"""

from __future__ import annotations

import pytest

from tests.support.fuzz_bundles import fuzz


def test_some_forged_bundles_are_judged_and_crash_nothing() -> None:
    assert fuzz(0, 120) == []


@pytest.mark.slow
def test_fifty_thousand_forged_bundles_are_judged_and_crash_nothing() -> None:
    assert fuzz(0, 50_000) == []
