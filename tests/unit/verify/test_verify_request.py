"""V68: whether a bundle is the answer to what a buyer asked for."""

from __future__ import annotations

from typing import Any

import pytest

from kolm import canonical, digest
from kolm.errors import Refused, Usage
from kolm.records.verification import Verdict
from kolm.sign import making, predicates, private_keys
from kolm.sign.private_keys import PrivateKey
from kolm.sign.trust import KeyRole, Revocation, TrustStore
from kolm.verify.requests import read_request, signature_problem
from tests.support.audits import Answers, World, trusting
from tests.support.bundles import BundleParts
from tests.support.requests import ask

ELSEWHERE = digest.of_bytes(b"another")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.make(tmp_path_factory.mktemp("request"))
    made.parts.lock["evaluation"]["floors"]["worst_slice_minimum_cases"] = 30
    made.parts.rescore()
    return made


@pytest.fixture(scope="module")
def buyer() -> PrivateKey:
    return private_keys.generate()


def knowing(world: World, buyer: PrivateKey, *roles: KeyRole, **more: Any) -> TrustStore:
    wanted = roles or (KeyRole.BUYER, KeyRole.EVALUATOR)
    return TrustStore((*world.trust.keys, trusting(buyer, name="buyer", roles=wanted, **more)))


def looked(
    world: World,
    buyer: PrivateKey,
    request: bytes,
    parts: BundleParts,
    trust: TrustStore | None = None,
    **options: Any,
) -> Answers:
    believed = trust or knowing(world, buyer)
    return world.audit(parts, trust=believed, request=read_request(request), **options)


def answering(world: World, request: bytes) -> BundleParts:
    parts = world.parts.copy()
    parts.answer(request)
    return parts


def rules(answers: Answers) -> set[str]:
    findings = answers["V68"].findings
    return {str(f.rule) for f in findings if f.verdict is Verdict.FAILED}


def test_the_answer_to_a_request_is_accepted(world: World, buyer: PrivateKey) -> None:
    request = ask(buyer, world.parts)
    answers = looked(world, buyer, request, answering(world, request))
    assert answers.overall is Verdict.OK
    assert answers["V68"].detail == "toys, asked by buyer"
    assert answers.report.policy.name == "buyer"


def test_without_a_request_nothing_is_asked(world: World) -> None:
    assert "V68" in world.audit().skipped


def test_a_bundle_that_was_made_for_nobody_is_no_answer(world: World, buyer: PrivateKey) -> None:
    answers = looked(world, buyer, ask(buyer, world.parts), world.parts)
    assert answers.failed == {"V68"}
    assert rules(answers) == {"R5", "R6", "R7"}


def test_another_request_of_the_same_demands_is_not_answered(
    world: World, buyer: PrivateKey
) -> None:
    parts = answering(world, ask(buyer, world.parts))
    other = ask(buyer, world.parts, nonce="0a" * 32)
    answers = looked(world, buyer, other, parts)
    assert rules(answers) == {"R5", "R6"}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("R5", lambda parts: parts.lock.update(request=ELSEWHERE)),
        ("R6", lambda parts: parts.lock.update(nonce="1f" * 32)),
        ("R6", lambda parts: parts.snapshot["rule"].update(nonce="1f" * 32)),
        ("R6", lambda parts: parts.snapshot["rule"].pop("nonce")),
        ("R7", lambda parts: parts.lock["evaluation"].pop("pack")),
        ("R8", lambda parts: parts.lock["evaluation"]["floors"].update(accuracy_lower_bound="0.3")),
        ("R8", lambda parts: parts.lock["evaluation"]["floors"].update(accuracy_lower_bound=None)),
    ],
)
def test_v68_each_part_of_the_answer_is_held_to_the_request(
    world: World, buyer: PrivateKey, rule: str, change: Any
) -> None:
    request = ask(buyer, world.parts)
    parts = answering(world, request)
    change(parts)
    parts.rescore()
    answers = looked(world, buyer, request, parts)
    assert "V68" in answers.failed
    assert rules(answers) == {rule}


@pytest.mark.parametrize(
    ("number", "clauses"),
    [
        ("V60", {"base_roots": [ELSEWHERE]}),
        ("V61", {"methods": ["ia3"]}),
        ("V61", {"freeze": ["language frozen"]}),
        ("V62", {"metrics": ["anls"]}),
        ("V62", {"floors": {"accuracy_lower_bound": "0.99"}}),
        ("V62", {"minimum_eval_cases": 10_000}),
    ],
)
def test_what_the_policy_of_the_request_refuses_is_no_answer(
    world: World, buyer: PrivateKey, number: str, clauses: dict[str, Any]
) -> None:
    request = ask(buyer, world.parts, **clauses)
    answers = looked(world, buyer, request, answering(world, request))
    assert {number, "V68"} <= answers.failed
    assert f"{number}: " in " ".join(f.detail for f in answers["V68"].findings)


def test_another_pack_is_no_answer(world: World, buyer: PrivateKey) -> None:
    request = ask(buyer, world.parts, root=ELSEWHERE)
    answers = looked(world, buyer, request, answering(world, request))
    assert {"V62", "V68"} <= answers.failed
    assert rules(answers) == {"R7", "R8"}


def test_slices_that_the_gate_passes_over_are_told(world: World, buyer: PrivateKey) -> None:
    request = ask(buyer, world.parts, floors={"worst_slice": "0.1"})
    parts = answering(world, request)
    parts.lock["evaluation"]["floors"]["worst_slice_minimum_cases"] = 1000
    parts.rescore()
    assert rules(looked(world, buyer, request, parts)) == {"R8"}


def test_a_request_of_an_unknown_key_could_not_be_looked_at(
    world: World, buyer: PrivateKey
) -> None:
    request = ask(buyer, world.parts)
    answers = looked(world, buyer, request, answering(world, request), world.trust)
    assert answers.blind == {"V68"}


def test_a_key_that_is_no_buyers_asks_for_nothing(world: World, buyer: PrivateKey) -> None:
    request = ask(buyer, world.parts)
    parts = answering(world, request)
    answers = looked(world, buyer, request, parts, knowing(world, buyer, KeyRole.EVALUATOR))
    assert answers.failed == {"V68"}
    gone = Revocation(on="2026-02-01T00:00:00Z", reason="lost")
    answers = looked(world, buyer, request, parts, knowing(world, buyer, revoked=gone))
    assert answers.failed == {"V68"}


def test_a_request_under_a_buyers_name_without_the_key_is_refused(
    world: World, buyer: PrivateKey
) -> None:
    envelope = canonical.loads(ask(world.stranger, world.parts), where="request")
    envelope["dsseEnvelope"]["signatures"][0]["keyid"] = buyer.public.keyid
    envelope["verificationMaterial"]["publicKey"]["hint"] = buyer.public.keyid
    request = canonical.dumps(envelope)
    answers = looked(world, buyer, request, answering(world, request))
    assert rules(answers) == {"R4"}


# A sealed pack: its buyer scores the bundle, once it is made.


def scored(
    world: World,
    parts: BundleParts,
    key: PrivateKey,
    root: str,
    *,
    seen: int = 0,
    k: str = "0.5",
    on: str = "2026-01-02T03:04:05Z",
) -> list[bytes]:
    """The publisher's claims, and a K-score of `key` on its own pack."""

    def elsewhere(said: dict[str, Any]) -> None:
        overlap = {
            "cases": 50, "seen_cases": seen, "captures": 0, "images": seen, "near_twins": None
        }  # fmt: skip
        said[predicates.KSCORE]["pack"] = {"root": root, "owner": "evaluator", "overlap": overlap}
        said[predicates.KSCORE]["measured_on"] = on
        if k != "0.5":
            gate = said[predicates.KSCORE]["gate"]
            gate |= {"k": k, "k_passed": False, "verdict": "failed"}

    third = parts.claims(key, change=elsewhere)[2]
    return [*parts.claims(world.publisher), third]


def test_a_sealed_pack_is_answered_once_its_buyer_has_scored(
    world: World, buyer: PrivateKey
) -> None:
    request = ask(buyer, world.parts, root=ELSEWHERE, sealed=True)
    parts = answering(world, request)
    assert {"V66", "V68"} <= looked(world, buyer, request, parts).failed
    claims = scored(world, parts, buyer, ELSEWHERE)
    answers = looked(world, buyer, request, parts, claims=claims)
    assert answers.overall is Verdict.OK
    assert answers["V68"].by == ("buyer",)


def test_a_score_of_somebody_else_or_on_other_cases_does_not_answer(
    world: World, buyer: PrivateKey
) -> None:
    request = ask(buyer, world.parts, root=ELSEWHERE, sealed=True)
    parts = answering(world, request)
    for key, root in ((world.publisher, ELSEWHERE), (buyer, digest.of_bytes(b"a third"))):
        claims = scored(world, parts, key, root)
        assert {"V66", "V68"} <= looked(world, buyer, request, parts, claims=claims).failed


def test_a_sealed_pack_of_which_training_has_seen_cases_is_not_answered(
    world: World, buyer: PrivateKey
) -> None:
    request = ask(buyer, world.parts, root=ELSEWHERE, sealed=True)
    parts = answering(world, request)
    answers = looked(
        world, buyer, request, parts, claims=scored(world, parts, buyer, ELSEWHERE, seen=3)
    )
    assert rules(answers) == {"R9"}


def test_what_a_buyer_once_found_in_training_is_not_outdated(
    world: World, buyer: PrivateKey
) -> None:
    """A newer score that looked at less says nothing against it."""
    request = ask(buyer, world.parts, root=ELSEWHERE, sealed=True)
    parts = answering(world, request)
    first = scored(world, parts, buyer, ELSEWHERE, seen=3)
    later = scored(world, parts, buyer, ELSEWHERE, on="2026-02-02T00:00:00Z")
    assert rules(looked(world, buyer, request, parts, claims=[*first, later[-1]])) == {"R9"}


# The document itself.


def test_the_subject_of_a_request_is_its_pack(world: World, buyer: PrivateKey) -> None:
    said = canonical.loads(private(ask(buyer, world.parts)), where="request")["predicate"]
    wrong = making.seal(making.statement(ELSEWHERE, "toys", predicates.REQUEST, said), buyer)
    with pytest.raises(Refused) as caught:
        read_request(wrong)
    assert caught.value.code == "E_REQUEST_SUBJECT"


def private(request: bytes) -> bytes:
    from kolm.sign.envelope import open_envelope

    return open_envelope(request).payload


def test_a_claim_of_another_kind_is_no_request(world: World) -> None:
    with pytest.raises(Refused) as caught:
        read_request(world.parts.claims(world.publisher)[0])
    assert caught.value.code == "E_REQUEST_KIND"


def test_the_policy_of_a_request_names_no_cases_of_its_own(world: World, buyer: PrivateKey) -> None:
    with pytest.raises(Refused) as caught:
        read_request(ask(buyer, world.parts, eval_pack_roots=[ELSEWHERE]))
    assert caught.value.code == "E_REQUEST_POLICY"


def test_a_request_in_a_bundle_is_no_claim_about_it(world: World, buyer: PrivateKey) -> None:
    request = ask(buyer, world.parts)
    claims = [*world.parts.claims(world.publisher), request]
    assert "V12" in world.audit(claims=claims).failed


def test_a_flipped_bit_of_a_request_is_refused(world: World, buyer: PrivateKey) -> None:
    request, trust = ask(buyer, world.parts), knowing(world, buyer)
    assert signature_problem(read_request(request), trust) is None
    for position in range(0, len(request), 11):
        data = bytearray(request)
        data[position] ^= 1 << position % 8
        try:
            problem = signature_problem(read_request(bytes(data)), trust)
        except (Refused, Usage):
            continue
        assert problem is not None, position
