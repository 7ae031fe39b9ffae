"""What the conformance corpus holds beside the forgeries is answered as is due."""

from __future__ import annotations

import pytest

from kolm.records.verification import Verdict
from tests.support.audits import World
from tests.support.corpus import answer
from tests.support.forgeries import ATTACKERS, FORGERIES
from tests.support.other_bundles import CASES, Case, Parties

# What the built-in policy decides from the file alone.
DECIDED = {f"V{number:02}" for number in range(1, 40)} | {"V56", "V62", "V65"}


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    return Parties.of(World.make(tmp_path_factory.mktemp("others"), cases=52, train=12))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_is_answered_as_is_due(parties: Parties, case: Case) -> None:
    path = case.write(parties, parties.world.path())
    answers = parties.world.look(path, trust=parties.trust)
    assert not [number for number in case.checks if answers[number].verdict is Verdict.OK]
    assert (answers.overall is Verdict.OK) == (not case.checks)


def test_each_check_that_the_file_decides_has_a_bundle_for_which_it_does_not_hold() -> None:
    forged = {
        check
        for forgery in FORGERIES
        for attacker in ATTACKERS
        for check in answer(forgery, attacker)[1]
    }
    assert forged | {check for case in CASES for check in case.checks} >= DECIDED


def test_names_are_given_once() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
