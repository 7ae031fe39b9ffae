"""Time stamps in an audit: what they add, what a policy demands of them, what a wrong one costs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kolm.actions import stamping
from kolm.records.verification import Verdict
from kolm.sign import making, predicates
from kolm.sign.trust import Authority as Trusted
from kolm.sign.trust import TrustStore
from kolm.verify import foresight
from kolm.verify.policy import BUILT_IN, Policy, Stamped
from tests.support.audits import World
from tests.support.stamping import Authority, needs_openssl

pytest.importorskip("rfc3161_client", reason="the extra timestamp is not installed")
pytestmark = needs_openssl

PAST, FUTURE = "2026-01-01T00:00:00Z", "2090-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("stamped"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def claims(world: World, authority: Authority) -> list[bytes]:
    """The four claims, each stamped."""
    made = world.parts.claims(world.publisher)
    return [making.stamped(one, authority.stamp(stamping.query_of(one))) for one in made]


def believing(world: World, authority: Authority, name: str = "stamps") -> TrustStore:
    end = "-----END CERTIFICATE-----\n"
    texts = tuple(part + end for part in authority.chain.split(end)[:-1])
    return world.trust._replace(authorities=(Trusted(name, texts),))


def demanding(stamped: Stamped) -> Policy:
    asked = tuple(demand._replace(stamped=stamped) for demand in BUILT_IN.claims)
    return BUILT_IN._replace(name="stamped", claims=asked)


def test_v11_a_stamp_is_told_with_its_authority(
    world: World, authority: Authority, claims: list[bytes]
) -> None:
    answers = world.audit(claims=claims, trust=believing(world, authority))
    assert answers.overall is Verdict.OK
    assert "5 with a time stamp" in answers["V11"].detail
    (signer,) = answers.report.signers
    assert signer.stamped_by == "stamps"
    assert signer.stamped_at is not None
    assert PAST < signer.stamped_at < FUTURE


def test_v11_a_stamp_of_another_claim_is_refused(
    world: World, authority: Authority, claims: list[bytes]
) -> None:
    bare = world.parts.claims(world.publisher)
    wrong = making.stamped(bare[0], authority.stamp(stamping.query_of(bare[1])))
    answers = world.audit(claims=[wrong, *claims[1:]], trust=believing(world, authority))
    assert answers.failed == {"V11"}
    assert answers["V11"].findings[0].code == "E_TIMESTAMP_WRONG"


def test_v11_a_stranger_s_claim_refuses_nothing_by_its_stamp(
    world: World, authority: Authority, claims: list[bytes]
) -> None:
    """Whoever hands on a bundle can add one."""
    theirs = world.parts.claims(world.stranger)
    added = [
        making.stamped(theirs[0], b"no stamp"),
        making.stamped(theirs[1], authority.stamp(stamping.query_of(theirs[0]))),
    ]
    answers = world.audit(claims=[*claims, *added], trust=believing(world, authority))
    assert answers.overall is Verdict.OK


def test_v11_an_altered_stamp_of_a_trusted_authority_is_refused(
    world: World, authority: Authority
) -> None:
    bare = world.parts.claims(world.publisher)
    response = bytearray(authority.stamp(stamping.query_of(bare[0])))
    response[-1] ^= 1  # in the authority's signature
    answers = world.audit(
        claims=[making.stamped(bare[0], bytes(response)), *bare[1:]],
        trust=believing(world, authority),
    )
    assert answers.failed == {"V11"}


@pytest.mark.parametrize(("stated", "holds"), [("2090-01-01T00:00:00Z", False), (None, True)])
def test_v11_a_claim_that_is_dated_ahead_of_its_stamp_is_refused(
    world: World, authority: Authority, stated: str | None, holds: bool
) -> None:
    """It would be the newest of its signer for ever."""

    def dated(said: dict[str, dict[str, object]]) -> None:
        if stated is not None:
            said[predicates.KSCORE]["measured_on"] = stated

    bare = world.parts.claims(world.publisher, change=dated)
    stamped = [making.stamped(one, authority.stamp(stamping.query_of(one))) for one in bare]
    assert world.audit(claims=bare).overall is Verdict.OK
    answers = world.audit(claims=stamped, trust=believing(world, authority))
    assert answers.failed == (set() if holds else {"V11"})


def test_a_stamp_by_a_stranger_changes_nothing_where_none_is_demanded(
    world: World, claims: list[bytes]
) -> None:
    answers = world.audit(claims=claims)
    assert answers.overall is Verdict.OK
    assert answers.report.signers[0].stamped_at is None


@pytest.mark.parametrize(
    ("stamped", "failed"),
    [
        (Stamped(), set()),
        (Stamped(after=PAST, before=FUTURE), set()),
        (Stamped(before=PAST), {"V14"}),
        (Stamped(after=FUTURE), {"V14"}),
    ],
)
def test_v14_only_claims_stamped_in_time_count(
    world: World, authority: Authority, claims: list[bytes], stamped: Stamped, failed: set[str]
) -> None:
    trust = believing(world, authority)
    answers = world.audit(claims=claims, trust=trust, policy=demanding(stamped))
    assert answers.failed == failed


def test_v14_a_claim_without_a_stamp_does_not_count_where_one_is_demanded(
    world: World, authority: Authority
) -> None:
    trust = believing(world, authority)
    assert world.audit(trust=trust, policy=demanding(Stamped())).failed == {"V14"}


def test_v14_a_demanded_stamp_of_a_stranger_leaves_it_open(
    world: World, claims: list[bytes]
) -> None:
    answers = world.audit(claims=claims, policy=demanding(Stamped()))
    assert answers.blind == {"V14"}
    assert answers["V14"].findings[0].code == "E_TIMESTAMP_NOT_TRUSTED"


def test_v14_a_demanded_stamp_that_no_library_reads_leaves_it_open(
    world: World, authority: Authority, claims: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    trust = believing(world, authority)
    answers = world.audit(claims=claims, trust=trust, policy=demanding(Stamped()))
    assert answers.blind == {"V14"}
    assert answers["V14"].findings[0].code == "E_EXTRA_MISSING"
    assert world.audit(claims=claims, trust=trust).overall is Verdict.OK


def test_a_policy_that_demands_stamps_needs_an_authority(
    world: World, authority: Authority, tmp_path: Path
) -> None:
    policy = demanding(Stamped(before=FUTURE))
    told = [problem.problem for problem in foresight.problems(policy, world.trust)]
    assert told == ["a time stamp is demanded, and you trust no authority that makes them"]
    assert not list(foresight.problems(policy, believing(world, authority)))
    asks = [clause.asks for clause in foresight.clauses(policy)]
    assert f"time-stamped before {FUTURE} by an authority that you trust" in asks[0]
