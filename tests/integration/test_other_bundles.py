"""What the conformance corpus holds beside the forgeries is answered as is due."""

from __future__ import annotations

from typing import Any

import pytest

from kolm import canonical
from kolm.records.verification import Verdict
from kolm.verify.policy import read_policy
from kolm.verify.requests import read_request
from tests.support.audits import World
from tests.support.corpus import answer
from tests.support.demanded_bundles import DEMANDED
from tests.support.forgeries import ATTACKERS, FORGERIES
from tests.support.other_bundles import CASES, Asked, Case, Parties

# What file, policy or request decide.
DECIDED = {f"V{number:02}" for number in (*range(1, 40), 56, *range(60, 69))}
ALL = (*CASES, *DEMANDED)


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Parties:
    return Parties.of(World.make(tmp_path_factory.mktemp("others"), cases=52, train=12))


def held_to(asked: Asked | None, parties: Parties) -> dict[str, Any]:
    if asked is None:
        return {}
    content = asked.content(parties)
    if asked.option == "request":
        return {"request": read_request(content)}
    return {"policy": read_policy(canonical.loads(content, where="policy"), where="policy")}


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_each_is_answered_as_is_due(parties: Parties, case: Case) -> None:
    path = case.write(parties, parties.world.path())
    answers = parties.world.look(path, trust=parties.trust, **held_to(case.under, parties))
    assert not [number for number in case.checks if answers[number].verdict is Verdict.OK]
    assert (answers.overall is Verdict.OK) == (not case.checks)


def test_each_check_that_is_decided_has_a_bundle_for_which_it_does_not_hold() -> None:
    forged = {
        check
        for forgery in FORGERIES
        for attacker in ATTACKERS
        for check in answer(forgery, attacker)[1]
    }
    assert forged | {check for case in ALL for check in case.checks} >= DECIDED


def test_each_policy_and_request_that_a_bundle_can_meet_has_one_that_does() -> None:
    """Not the one that demands a replay, nor those of evaluators and buyers whom nobody knows."""
    met = {case.under.name for case in DEMANDED if case.under and not case.checks}
    assert {case.under.name for case in DEMANDED if case.under} - met == {
        "of-a-replay", "of-an-unknown-evaluator",
        "request-forged", "request-of-a-stranger", "request-of-no-buyer",
    }  # fmt: skip


def test_names_are_given_once() -> None:
    assert len({case.name for case in ALL}) == len(ALL)
