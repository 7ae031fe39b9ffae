"""Changed bytes past digests and signatures, and at every parser: a report or an error of kolm.

The fuzzers are `tests/support/fuzz_bundles.py` and `fuzz_parsers.py`, which also run by themselves.
"""

from __future__ import annotations

import pytest

from tests.support import fuzz_bundles, fuzz_parsers, fuzzing


def test_some_forged_bundles_are_judged_and_crash_nothing() -> None:
    assert fuzzing.run(fuzz_bundles.Fuzzer, 0, 120) == []


def test_some_changed_bytes_are_parsed_and_crash_nothing() -> None:
    assert fuzzing.run(fuzz_parsers.Fuzzer, 0, 2_000) == []


@pytest.mark.slow
def test_fifty_thousand_forged_bundles_are_judged_and_crash_nothing() -> None:
    assert fuzzing.run(fuzz_bundles.Fuzzer, 0, 50_000) == []


@pytest.mark.slow
def test_nearly_a_million_changed_bytes_are_parsed_and_crash_nothing() -> None:
    assert fuzzing.run(fuzz_parsers.Fuzzer, 0, 950_000) == []
