"""V10–V19: one negative case each."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kolm import canonical, digest
from kolm.cli.verification_summary import summarise
from kolm.cli.verification_text import render
from kolm.records.verification import Verdict
from kolm.sign import envelope, making, predicates, statement
from kolm.sign.private_keys import PrivateKey, generate
from kolm.sign.trust import KeyRole, Revocation, TrustStore
from kolm.verify.policy import BUILT_IN, ClaimDemand, Policy
from tests.support.audits import World, trusting
from tests.support.bundles import audit_of

OTHER = digest.of_bytes(b"other")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("signatures"))


def claim(world: World, kind: str, said: dict[str, Any], key: PrivateKey) -> bytes:
    return making.seal(making.statement(world.parts.content_id(), "toy", kind, said), key)


def test_v10_two_key_names_in_one_envelope_are_refused(world: World) -> None:
    claims = world.parts.claims(world.publisher)
    bundle = canonical.loads(claims[0], where="claim")
    bundle["verificationMaterial"]["publicKey"]["hint"] = world.stranger.public.keyid
    assert "V10" in world.audit(claims=[canonical.dumps(bundle), *claims[1:]]).failed


def test_v10_a_claim_of_an_unknown_kind_is_refused(world: World) -> None:
    claims = world.parts.claims(world.publisher)
    bundle = canonical.loads(claims[0], where="claim")
    payload = canonical.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]), where="payload")
    payload["predicateType"] = "https://example.com/praise/v1"
    signed = making.seal(canonical.dumps(payload), world.publisher)
    assert "V10" in world.audit(claims=[*claims, signed]).failed


@pytest.mark.parametrize(
    "stated", ["9999-99-99T99:99:99Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)
def test_v10_a_time_that_no_clock_shows_is_refused(world: World, stated: str) -> None:
    claims = world.parts.claims(world.publisher)
    payload = canonical.loads(envelope.open_envelope(claims[0]).payload, where="payload")
    payload["predicate"]["runDetails"]["metadata"]["finishedOn"] = stated
    signed = making.seal(canonical.dumps(payload), world.publisher)
    assert {"V10", "V13"} <= world.audit(claims=[signed, *claims[1:]]).failed


def test_v11_a_trusted_key_that_did_not_sign_is_a_no(world: World) -> None:
    claims = world.parts.claims(world.publisher)
    bundle = canonical.loads(claims[0], where="claim")
    wrong = base64.b64encode(bytes(64)).decode()
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = wrong
    answers = world.audit(claims=[canonical.dumps(bundle), *claims[1:]])
    assert "V11" in answers.failed
    assert answers.overall is Verdict.FAILED


def test_v11_a_key_without_the_role_is_a_no(world: World) -> None:
    store = TrustStore((trusting(world.publisher, roles=(KeyRole.EVALUATOR,)),))
    assert "V11" in world.audit(trust=store).failed


def test_v11_an_unknown_key_could_not_be_looked_at(world: World) -> None:
    answers = world.audit(key=world.stranger)
    assert "V11" in answers.blind
    assert not answers.failed
    assert answers.overall is Verdict.COULD_NOT_LOOK


def test_v12_claims_about_another_bundle_are_refused(world: World) -> None:
    other = digest.of_bytes(b"another bundle")
    answers = world.audit(claims=world.parts.claims(world.publisher, subject=other))
    assert {"V12", "V13"} <= answers.failed


@pytest.mark.parametrize("missing", range(4))
def test_v13_a_removed_claim_is_refused(world: World, missing: int) -> None:
    claims = world.parts.claims(world.publisher)
    del claims[missing]
    assert "V13" in world.audit(claims=claims).failed


def test_v13_no_claims_at_all_is_a_no(world: World) -> None:
    answers = world.audit(claims=[])
    assert {"V13", "V14"} <= answers.failed
    assert answers.overall is Verdict.FAILED


def test_v14_two_signatures_of_one_key_count_once(world: World) -> None:
    policy = Policy(
        name="two",
        claims=(ClaimDemand(predicate=predicates.KSCORE, role="evaluator", threshold=2),),
    )
    claims = world.parts.claims(world.publisher)
    said = world.parts.predicates()[predicates.KSCORE]
    said["inputs"] = {**said["inputs"], "p95_latency_us": 2001}
    claims.append(claim(world, predicates.KSCORE, said, world.publisher))
    assert "V14" in world.audit(claims=claims, policy=policy).failed


def test_v14_two_keys_meet_a_threshold_of_two(world: World) -> None:
    policy = Policy(
        name="two",
        claims=(ClaimDemand(predicate=predicates.KSCORE, role="evaluator", threshold=2),),
    )
    second = generate()
    said = world.parts.predicates()[predicates.KSCORE]
    claims = [
        *world.parts.claims(world.publisher),
        claim(world, predicates.KSCORE, said, second),
    ]
    store = TrustStore((trusting(world.publisher), trusting(second, name="auditor")))
    assert world.audit(claims=claims, policy=policy, trust=store).overall is Verdict.OK


def test_v14_the_built_in_policy_wants_one_signer_behind_all_claims(world: World) -> None:
    second = generate()
    claims = world.parts.claims(world.publisher)[:2] + world.parts.claims(second)[2:]
    store = TrustStore((trusting(world.publisher), trusting(second, name="other")))
    answers = world.audit(claims=claims, trust=store)
    assert answers.failed == {"V14"}


def test_v14_keys_outside_the_policys_list_do_not_count(world: World) -> None:
    demand = ClaimDemand(
        predicate=predicates.MODULES,
        role="builder",
        threshold=1,
        keys=(world.stranger.public.keyid,),
    )
    assert "V14" in world.audit(policy=Policy(name="listed", claims=(demand,))).failed


def revoked_store(world: World, on: str, *others: Any) -> TrustStore:
    lost = Revocation(on=on, reason="lost laptop")
    return TrustStore((trusting(world.publisher, revoked=lost), *others))


def test_v15_a_revoked_key_is_void(world: World) -> None:
    answers = world.audit(trust=revoked_store(world, "2020-01-01T00:00:00Z"))
    assert "V15" in answers.failed


def audit_summary(
    world: World, *, key: PrivateKey, names: Sequence[bytes] = (), **change: Any
) -> bytes:
    """What an auditor signed on 2026-01-03 about the world's bundle and the claims that it read."""
    said = audit_of(
        world.parts.content_id(),
        passed=change.pop("passed", True),
        claims=names,
        at=datetime(2026, 1, 3, tzinfo=UTC),
    )
    return claim(world, predicates.VERIFICATION_SUMMARY, {**said, **change}, key)


@pytest.mark.parametrize(
    ("revoked_on", "roles", "change", "accepted"),
    [
        ("2026-02-01T00:00:00Z", (KeyRole.VERIFIER,), {}, True),
        ("2026-01-01T00:00:00Z", (KeyRole.VERIFIER,), {}, False),
        ("2026-02-01T00:00:00Z", (KeyRole.BUILDER, KeyRole.EVALUATOR), {}, False),
        ("2026-02-01T00:00:00Z", (KeyRole.VERIFIER,), {"passed": False}, False),
        ("2026-02-01T00:00:00Z", (KeyRole.VERIFIER,), {"resourceUri": "urn:other"}, False),
    ],
)
def test_v15_an_earlier_audit_that_names_the_claims_keeps_them(
    world: World, revoked_on: str, roles: Sequence[KeyRole], change: dict[str, Any], accepted: bool
) -> None:
    witness = generate()
    claims = world.parts.claims(world.publisher)
    summary = audit_summary(world, key=witness, names=claims, **change)
    store = revoked_store(world, revoked_on, trusting(witness, name="witness", roles=roles))
    answers = world.audit(claims=[*claims, summary], trust=store)
    assert (answers.overall is Verdict.OK) == accepted
    assert ("V15" in answers.failed) != accepted


def test_v15_an_audit_older_than_the_build_saves_nobody(world: World) -> None:
    """The build ended on 2026-01-02; who audited it before has read something else."""
    witness = generate()
    claims = world.parts.claims(world.publisher)
    early = audit_summary(world, key=witness, names=claims, timeVerified="2026-01-01T00:00:00Z")
    store = revoked_store(world, "2026-02-01T00:00:00Z", trusting(witness, name="witness"))
    answers = world.audit(claims=[*claims, early], trust=store)
    assert "V15" in answers.failed
    assert "V13" in world.audit(claims=[*claims, early], trust=store, policy=AUDITED).failed


@pytest.mark.parametrize(
    ("first", "last", "accepted"), [(False, True, True), (True, False, False), (True, True, True)]
)
def test_v13_the_newest_audit_of_a_verifier_counts(
    world: World, first: bool, last: bool, accepted: bool
) -> None:
    claims = [
        *world.parts.claims(world.publisher),
        audit_summary(
            world, key=world.publisher, passed=first, timeVerified="2026-01-03T00:00:00Z"
        ),
        audit_summary(world, key=world.publisher, passed=last, timeVerified="2026-01-04T00:00:00Z"),
    ]
    answers = world.audit(claims=claims, policy=AUDITED)
    assert (answers.overall is Verdict.OK) == accepted
    assert ("V13" in answers.failed) != accepted


def test_v13_of_two_audits_of_one_second_the_failed_one_counts(world: World) -> None:
    claims = [
        *world.parts.claims(world.publisher),
        audit_summary(world, key=world.publisher, passed=False),
        audit_summary(world, key=world.publisher),
    ]
    assert "V13" in world.audit(claims=claims, policy=AUDITED).failed


def test_v13_an_audit_that_passed_before_the_newest_one_still_shows_what_was_there(
    world: World,
) -> None:
    """The older audit is the witness of the claims; a newer one does not undo that."""
    witness = generate()
    claims = world.parts.claims(world.publisher)
    later = "2026-03-01T00:00:00Z"
    audits = [
        audit_summary(world, key=witness, names=claims),
        audit_summary(world, key=witness, names=claims, timeVerified=later),
    ]
    store = revoked_store(world, "2026-02-01T00:00:00Z", trusting(witness, name="witness"))
    assert world.audit(claims=[*claims, *audits], trust=store).overall is Verdict.OK


def test_v15_a_thief_adds_nothing_to_an_old_bundle(world: World) -> None:
    """What others said of the bundle before the revocation says nothing of a claim made later."""
    witness = generate()
    claims = world.parts.claims(world.publisher)
    said = world.parts.predicates()[predicates.PROVENANCE]  # finished on 2026-01-02
    others = [
        claim(world, predicates.PROVENANCE, said, witness),
        audit_summary(world, key=witness, names=claims[:2]),
    ]
    store = revoked_store(world, "2026-02-01T00:00:00Z", trusting(witness, name="witness"))
    answers = world.audit(claims=[*claims, *others], trust=store)
    void = {finding.where for finding in answers["V15"].findings}
    assert void == {f"claim {digest.of_bytes(data)}" for data in claims[2:4]}


AUDITED = Policy(
    name="audited",
    claims=(ClaimDemand(predicate=predicates.VERIFICATION_SUMMARY, role="verifier", threshold=1),),
)


def test_a_key_whose_claims_do_not_count_is_no_signer_of_an_accepted_bundle(world: World) -> None:
    """The thief's claims are of the far future, and its name comes first in the alphabet."""
    thief = generate()
    revoked = Revocation(on="2026-02-01T00:00:00Z", reason="stolen")
    trust = TrustStore(
        (trusting(world.publisher), trusting(thief, name="a-thief", revoked=revoked))
    )
    later = edit(predicates.KSCORE, "measured_on", value="2099-01-01T00:00:00Z")
    claims = world.parts.claims(world.publisher) + world.parts.claims(thief, change=later)
    answers = world.audit(claims=claims, trust=trust)
    assert answers.overall is Verdict.OK
    first, second = answers.report.signers
    assert (first.name, len(first.claims)) == ("publisher", 5)
    assert (second.name, second.claims) == ("a-thief", ())
    told = summarise(answers.report, paint=lambda text, _: text)
    assert "called publisher" in told
    assert "thief" not in told
    assert "2099" not in told
    full = render(answers.report, paint=lambda text, _: text)
    assert "called a-thief, whose claims do not count" in full


def test_v13_an_audit_that_passed_is_what_a_policy_can_demand(world: World) -> None:
    claims = [*world.parts.claims(world.publisher), audit_summary(world, key=world.publisher)]
    assert world.audit(claims=claims, policy=AUDITED).overall is Verdict.OK


@pytest.mark.parametrize("strangers", [False, True])
def test_v13_an_audit_that_failed_is_a_no_to_a_policy_that_demands_one(
    world: World, strangers: bool
) -> None:
    claims = [
        *world.parts.claims(world.publisher),
        audit_summary(world, key=world.publisher, passed=False),
    ]
    if strangers:
        claims.append(audit_summary(world, key=world.stranger))
    answers = world.audit(claims=claims, policy=AUDITED)
    assert "V13" in answers.failed
    assert answers["V13"].findings[0].code == "E_AUDIT_FAILED"
    assert "publisher" in answers["V13"].detail


def test_v13_an_audit_that_failed_is_told_where_nobody_demands_one(world: World) -> None:
    """It failed under the other auditor's policy; this one's own is what counts here."""
    claims = [
        *world.parts.claims(world.publisher),
        audit_summary(world, key=world.publisher, passed=False),
    ]
    answers = world.audit(claims=claims)
    assert answers.overall is Verdict.OK
    assert answers["V13"].detail == "4 demanded; the audit by publisher says FAILED"


def test_v12_an_audit_of_another_bundle_is_refused(world: World) -> None:
    summary = audit_summary(
        world, key=world.publisher, resourceUri=predicates.bundle_uri(digest.of_bytes(b"another"))
    )
    claims = [*world.parts.claims(world.publisher), summary]
    assert world.audit(claims=claims).failed == {"V12"}
    assert {"V12", "V13", "V14"} <= world.audit(claims=claims, policy=AUDITED).failed


METERED = {"joules": "12", "meters": ["nvml", "rapl"]}  # on the CPU


def edit(kind: str, *path: str, value: Any) -> Any:
    def change(said: dict[str, Any]) -> None:
        target = said[kind]
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("number", "change"),
    [
        ("V16", edit(predicates.MODULES, "modules", value=OTHER)),
        ("V16", edit(predicates.MODULES, "base", value=OTHER)),
        ("V16", edit(predicates.MODULES, "words", value=["projector frozen"])),
        ("V16", edit(predicates.MODULES, "words", value=["vision frozen"])),
        ("V56", edit(predicates.COMPUTE, "flops", "adapter", value="1")),
        ("V56", edit(predicates.COMPUTE, "flops", "reference", value="1")),
        ("V56", edit(predicates.COMPUTE, "flops", "total", value="1")),
        ("V56", edit(predicates.COMPUTE, "modifier_test", "exceeds", value=True)),
        ("V56", edit(predicates.COMPUTE, "modifier_test", "words", value="Nothing to see.")),
        ("V56", edit(predicates.COMPUTE, "shared_prompts", value=True)),
        ("V56", edit(predicates.COMPUTE, "measured", "from_step", value=5)),
        ("V56", edit(predicates.COMPUTE, "measured", "energy", value=METERED)),
        (
            "V17",
            edit(
                predicates.PROVENANCE, "buildDefinition", "internalParameters", "lock", value=OTHER
            ),
        ),
        (
            "V17",
            edit(
                predicates.PROVENANCE,
                "buildDefinition",
                "externalParameters",
                "name",
                value="another",
            ),
        ),
        (
            "V17",
            edit(
                predicates.PROVENANCE,
                "runDetails",
                "builder",
                "id",
                value="https://slsa.dev/builders/hosted@Build_L3",
            ),
        ),
        ("V18", edit(predicates.KSCORE, "evaluation", value=OTHER)),
        ("V18", edit(predicates.KSCORE, "measured_on", value="2026-01-02T02:04:04Z")),
        ("V18", edit(predicates.KSCORE, "pack", "root", value=OTHER)),
        ("V18", edit(predicates.KSCORE, "pack", "owner", value="somebody")),
        ("V18", edit(predicates.TEST_RESULT, "result", value="FAILED")),
        ("V18", edit(predicates.TEST_RESULT, "passedTests", value=[])),
    ],
)
def test_v16_to_v18_and_v56_a_claim_that_content_contradicts_is_refused(
    world: World, number: str, change: Any
) -> None:
    answers = world.audit(change=change)
    assert number in answers.failed


def test_v56_a_bundle_whose_maker_counted_nothing_is_not_refused_for_it(world: World) -> None:
    *others, compute = world.parts.claims(world.publisher)
    assert statement.parse(envelope.open_envelope(compute).payload).of(predicates.COMPUTE)
    answers = world.audit(claims=others)
    assert answers.overall is Verdict.OK
    assert "V56" in answers.skipped


def test_v19_two_signers_who_disagree_are_refused(world: World) -> None:
    second = generate()
    said = world.parts.predicates()[predicates.KSCORE]
    said["inputs"] = {**said["inputs"], "size_bytes": 1}
    claims = [
        *world.parts.claims(world.publisher),
        claim(world, predicates.KSCORE, said, second),
    ]
    store = TrustStore((trusting(world.publisher), trusting(second, name="other")))
    assert "V19" in world.audit(claims=claims, trust=store).failed


def test_measurements_of_two_signers_may_differ(world: World) -> None:
    second = generate()
    base = world.parts.predicates()[predicates.KSCORE]
    slower = {**base, "inputs": {**base["inputs"], "p95_latency_us": 9999}}
    claims = [
        *world.parts.claims(world.publisher),
        claim(world, predicates.KSCORE, slower, second),
    ]
    store = TrustStore((trusting(world.publisher), trusting(second, name="other")))
    answers = world.audit(claims=claims, trust=store)
    assert answers.overall is Verdict.OK
    assert answers["V36"].by == ("other", "publisher")


def test_a_strangers_extra_claim_changes_nothing(world: World) -> None:
    said = world.parts.predicates()[predicates.KSCORE]
    claims = [
        *world.parts.claims(world.publisher),
        claim(world, predicates.KSCORE, said, world.stranger),
    ]
    assert world.audit(claims=claims).overall is Verdict.OK


def dependencies(names: tuple[str, str], **digests: str) -> Any:
    def change(said: dict[str, Any]) -> None:
        found = said[predicates.PROVENANCE]["buildDefinition"]["resolvedDependencies"]
        for item, name in zip(found, names, strict=True):
            item["name"] = name
        found[1]["digest"].update(digests)

    return change


@pytest.mark.parametrize(
    "change",
    [
        dependencies(("base", "base")),
        dependencies(("base", "snapshot"), sha256="0" * 64),
        dependencies(("base", "snapshot"), merkleSha256="0" * 64),
        edit(
            predicates.PROVENANCE,
            "runDetails",
            "metadata",
            "finishedOn",
            value="2020-01-01T00:00:00Z",
        ),
        edit(
            predicates.PROVENANCE,
            "buildDefinition",
            "internalParameters",
            "environment",
            "cpu",
            value="another",
        ),
    ],
)
def test_v17_provenance_of_something_else_is_refused(world: World, change: Any) -> None:
    assert "V17" in world.audit(change=change).failed


def test_v18_a_test_result_over_another_document_is_refused(world: World) -> None:
    def change(said: dict[str, Any]) -> None:
        said[predicates.TEST_RESULT]["configuration"][0]["digest"]["sha256"] = "0" * 64

    assert "V18" in world.audit(change=change).failed


@pytest.mark.parametrize("tests", [["k"], ["above_blind", "invented"]])
def test_v18_other_tests_than_the_floors_are_refused(world: World, tests: list[str]) -> None:
    def change(said: dict[str, Any]) -> None:
        said[predicates.TEST_RESULT]["passedTests"] = tests

    assert "V18" in world.audit(change=change).failed


def test_v18_a_test_result_that_names_no_member_is_refused(world: World) -> None:
    def change(said: dict[str, Any]) -> None:
        said[predicates.TEST_RESULT]["configuration"][0]["name"] = "other.json"

    assert "V18" in world.audit(change=change).failed


def test_v18_a_floor_on_the_wrong_side_is_refused(world: World) -> None:
    def change(said: dict[str, Any]) -> None:
        result = said[predicates.TEST_RESULT]
        result["failedTests"] = [result["passedTests"].pop()]
        result["result"] = "FAILED"

    assert "V18" in world.audit(change=change).failed


def test_v18_a_test_that_passed_and_failed_is_refused(world: World) -> None:
    """Another floor failed, so that the result is the same either way."""
    failing = world.parts.copy()
    failing.lock["evaluation"]["floors"].update(worst_slice="1.1")
    failing.rescore()
    lenient = BUILT_IN._replace(gate="any")
    assert world.audit(failing, policy=lenient).overall is Verdict.OK

    def lie(said: dict[str, Any]) -> None:
        result = said[predicates.TEST_RESULT]
        assert "k" in result["passedTests"]
        result["failedTests"] = sorted([*result["failedTests"], "k"])

    assert world.audit(failing, policy=lenient, change=lie).failed == {"V18"}


def test_v18_a_member_named_twice_is_refused(world: World) -> None:
    def change(said: dict[str, Any]) -> None:
        configuration = said[predicates.TEST_RESULT]["configuration"]
        configuration.append(configuration[0])

    assert world.audit(change=change).failed == {"V18"}


def test_v18_one_signers_two_words_on_k_are_refused(world: World) -> None:
    """Another floor failed, so that both verdicts are the same."""
    failing = world.parts.copy()
    failing.lock["evaluation"]["floors"].update(k="0.995", worst_slice="1.1")
    failing.rescore()
    lenient = BUILT_IN._replace(gate="any")
    assert world.audit(failing, policy=lenient).overall is Verdict.OK

    def lie(said: dict[str, Any]) -> None:
        result = said[predicates.TEST_RESULT]
        result["failedTests"].remove("k")
        result["passedTests"] = sorted([*result["passedTests"], "k"])

    assert world.audit(failing, policy=lenient, change=lie).failed == {"V18"}


def test_without_trusted_scores_nothing_is_attested(world: World) -> None:
    answers = world.audit(key=world.stranger)
    assert {"V16", "V17", "V18", "V35", "V36", "V37"} <= answers.skipped
    assert answers.report.conclusions.process.by == ()


def test_v18_scores_of_other_packs_alone_are_refused_and_crash_nothing(world: World) -> None:
    def change(said: dict[str, Any]) -> None:
        said[predicates.KSCORE]["pack"]["owner"] = "evaluator"
        del said[predicates.TEST_RESULT]

    answers = world.audit(change=change)
    assert "V18" in answers.failed


def test_v17_a_training_on_an_accelerator_can_be_signed_and_is_accepted(world: World) -> None:
    made = world.parts.copy()
    made.lock["environment"] |= {
        "device": "cuda",
        "accelerator": {
            "name": "toy", "capability": "9.0", "driver": "1", "runtime": "CUDA 13",
            "attention": ["efficient", "flash", "math"],
        },
    }  # fmt: skip
    assert world.audit(made).overall is Verdict.OK


ENDORSED = Policy(
    name="endorsed",
    claims=(
        *BUILT_IN.claims,
        ClaimDemand(predicate=predicates.ENDORSEMENT, role="endorser", threshold=2),
    ),
    same_signer=True,
)
LATER = datetime(2026, 2, 1, tzinfo=UTC)


def endorsement(world: World, key: PrivateKey, *, at: datetime = LATER) -> bytes:
    said = making.endorsement(world.parts.claims(world.publisher), policy=OTHER, at=at)
    return claim(world, predicates.ENDORSEMENT, dict(said), key)


def endorsing(world: World, *keys: PrivateKey, role: KeyRole = KeyRole.ENDORSER) -> TrustStore:
    added = (trusting(key, name=f"second-{n}", roles=(role,)) for n, key in enumerate(keys))
    own = trusting(world.publisher, roles=tuple(KeyRole))
    return TrustStore((own, *added))


def test_v14_two_second_parties_meet_a_threshold_of_two(world: World) -> None:
    first, second = generate(), generate()
    claims = world.parts.claims(world.publisher)
    both = [*claims, endorsement(world, first), endorsement(world, second)]
    trust = endorsing(world, first, second)
    assert world.audit(claims=both, policy=ENDORSED, trust=trust).overall is Verdict.OK
    one = world.audit(claims=both[:-1], policy=ENDORSED, trust=trust)
    assert one.failed == {"V14"}
    twice = [*both[:-1], endorsement(world, first, at=datetime(2026, 2, 2, tzinfo=UTC))]
    assert world.audit(claims=twice, policy=ENDORSED, trust=trust).failed == {"V14"}


def test_v14_who_built_the_bundle_is_no_second_party(world: World) -> None:
    other = generate()
    claims = [
        *world.parts.claims(world.publisher),
        endorsement(world, world.publisher),
        endorsement(world, other),
    ]
    answers = world.audit(claims=claims, policy=ENDORSED, trust=endorsing(world, other))
    assert answers.failed == {"V14"}


def test_v13_an_endorsement_from_before_the_build_does_not_count(world: World) -> None:
    early, role = generate(), KeyRole.ENDORSER
    claims = [
        *world.parts.claims(world.publisher),
        endorsement(world, early, at=datetime(2025, 12, 1, tzinfo=UTC)),
    ]
    answers = world.audit(claims=claims, policy=ENDORSED, trust=endorsing(world, early, role=role))
    assert {"V13", "V14"} <= answers.failed


def test_v11_an_endorsement_needs_the_role(world: World) -> None:
    other = generate()
    claims = [*world.parts.claims(world.publisher), endorsement(world, other)]
    trust = endorsing(world, other, role=KeyRole.VERIFIER)
    assert {"V11", "V13", "V14"} <= world.audit(claims=claims, policy=ENDORSED, trust=trust).failed


def test_v14_keys_that_nobody_told_of_leave_endorsements_open(world: World) -> None:
    claims = [
        *world.parts.claims(world.publisher),
        endorsement(world, generate()),
        endorsement(world, generate()),
    ]
    answers = world.audit(claims=claims, policy=ENDORSED, trust=endorsing(world))
    assert {"V13", "V14"} <= answers.blind
    assert not answers.failed
