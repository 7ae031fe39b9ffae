"""An audit as a signed claim: what it says, where it goes, and that an undecided one is none."""

import pytest

from kolm import digest
from kolm.actions.attesting import attest
from kolm.bundle.container import open_container
from kolm.errors import Unreadable, Usage
from kolm.records.verification import Verdict
from kolm.score.floors import BASE_P
from kolm.sign import making, predicates, private_keys
from kolm.sign.envelope import open_envelope
from kolm.sign.statement import parse
from kolm.sign.trust import KeyRole, TrustStore
from kolm.verify.policy import BUILT_IN, ClaimDemand, Policy
from tests.support.audits import World, rescoring, trusting
from tests.support.replaying import replaying

AUDITED = Policy(
    name="audited",
    claims=(ClaimDemand(predicate=predicates.VERIFICATION_SUMMARY, role="verifier", threshold=1),),
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World.make(tmp_path_factory.mktemp("attest"))


@pytest.fixture
def auditor():
    return private_keys.generate()


def believing(world, auditor):
    return TrustStore((*world.trust.keys, trusting(auditor, name="auditor")))


def said_in(world, path, auditor):
    """What the auditor's claim says, once the verifier believes it."""
    answers = world.look(path, trust=believing(world, auditor), policy=AUDITED)
    assert answers["V12"].verdict is answers["V13"].verdict is Verdict.OK
    claims = [c for c in answers.report.signers if c.name == "auditor"]
    assert predicates.VERIFICATION_SUMMARY in claims[0].predicates
    return by_kind(path, auditor)[predicates.VERIFICATION_SUMMARY]


def by_kind(path, auditor):
    """What the auditor's claims in a file say, by their kind."""
    found, _ = open_container(path).claims
    envelopes = [open_envelope(claim.data, where="claim") for claim in found]
    own = [parse(e.payload) for e in envelopes if e.keyid == auditor.public.keyid]
    assert len({statement.predicate_type for statement in own}) == len(own)
    return {statement.predicate_type: statement.predicate for statement in own}


def report_failed(report):
    return {check.id for check in report.checks if check.verdict is Verdict.FAILED}


def test_an_audit_with_a_replay_says_which_segments_ran(world, auditor):
    path = world.seal()
    request = replaying(world.parts, segments=None)
    report = world.look(path, base=world.parts.base, replay=request).report
    attest(open_container(path), report, auditor)
    said = said_in(world, path, auditor)
    assert said["verificationResult"] == "PASSED"
    assert "KOLM_PROCESS" in said["verifiedLevels"]
    assert said["urn:kolm:replay:v1"] == {
        "nonce": request.nonce,
        "segments": 2,
        "equal": [1, 2],
        "differing": [],
    }
    assert said["policy"]["digest"]["sha256"] == digest.hex_of(report.policy.digest)
    assert len(said["inputAttestations"]) == 5


def test_an_audit_without_a_replay_does_not_claim_the_process(world, auditor, tmp_path):
    path = world.seal()
    copy = attest(
        open_container(path), world.look(path).report, auditor, output=tmp_path / "copy.kolm"
    )
    said = said_in(world, copy, auditor)
    assert said["verifiedLevels"] == ["KOLM_DELTA_SCOPE", "KOLM_SCORES"]
    assert "urn:kolm:replay:v1" not in said
    assert not [s for s in world.look(path).report.signers if s.predicates == (said,)]


def test_a_no_is_signed_as_a_no(world, auditor):
    path = world.seal()
    truth = world.parts.copy()
    next(r for r in truth.trace if r["kind"] == "checkpoint")["state"] = digest.of_bytes(b"other")
    request = replaying(world.parts, truth=truth, segments=None)
    report = world.look(path, base=world.parts.base, replay=request).report
    attest(open_container(path), report, auditor)
    answers = world.look(path, trust=believing(world, auditor), policy=AUDITED)
    assert "V13" in answers.failed
    tests = by_kind(path, auditor)[predicates.TEST_RESULT]
    assert (tests["result"], tests["failedTests"]) == ("FAILED", sorted(report_failed(report)))
    assert tests["failedTests"]


def test_an_undecided_audit_signs_nothing(world, auditor):
    path = world.seal()
    before = path.read_bytes()
    elsewhere = {**world.parts.lock["environment"], "class": digest.of_bytes(b"another")}
    request = replaying(world.parts, environment=elsewhere)
    report = world.look(path, base=world.parts.base, replay=request).report
    assert report.conclusions.overall.verdict is Verdict.COULD_NOT_LOOK
    with pytest.raises(Unreadable) as caught:
        attest(open_container(path), report, auditor)
    assert caught.value.code == "E_ATTEST_UNDECIDED"
    assert path.read_bytes() == before


def test_another_file_at_the_output_stays(world, auditor, tmp_path):
    path = world.seal()
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    with pytest.raises(Usage):
        attest(open_container(path), world.look(path).report, auditor, output=other)
    assert other.read_bytes() == b"mine"


def test_the_test_result_lists_each_check_that_answered_and_names_the_policy(world, auditor):
    path = world.seal()
    report = world.look(path).report
    attest(open_container(path), report, auditor)
    said = by_kind(path, auditor)[predicates.TEST_RESULT]
    held = [check.id for check in report.checks if check.verdict is Verdict.OK]
    assert said == {
        "result": "PASSED",
        "configuration": [
            {
                "name": report.policy.name,
                "uri": f"urn:kolm:policy:{report.policy.name}",
                "digest": {"sha256": digest.hex_of(report.policy.digest)},
            }
        ],
        "passedTests": sorted(held),
        "warnedTests": [],
        "failedTests": [],
    }
    assert 0 < len(held) < len(report.checks)  # nobody asked for the others


def eval_result(world, auditor, path=None, **asked):
    path = path or world.seal()
    attest(open_container(path), world.look(path, **asked).report, auditor)
    return by_kind(path, auditor).get(predicates.EVAL_RESULT)


def test_the_eval_result_has_each_demand_that_was_computed_again(world, auditor):
    policy = BUILT_IN._replace(floors={"accuracy_lower_bound": "0.99"}, name="strict")
    said = eval_result(world, auditor, policy=policy)
    claims = [tuple(claim.values()) for claim in map(sorted_claim, said["claims"])]
    floors = {f["name"]: f for f in world.parts.evaluation["floors"] if f["demanded"] is not None}
    assert claims[0] == (">=", "accuracy_lower_bound", True, "0.5")
    assert (">=", "accuracy_lower_bound", False, "0.99") in claims  # the policy's, which fails
    for name, floor in floors.items():
        expressed = (">=", name, floor["passed"], floor["demanded"]) in claims
        assert expressed == (name != BASE_P)  # it demands three things at once
    least = world.parts.evaluation["majority"]["accuracy"]
    assert (">", "lower_bound_above_majority", True, least) in claims
    metrics = {metric for _, metric, _, _ in claims}
    assert "k" not in metrics  # its axes are measured, and nobody can compute them again
    assert said["sampleSize"] == world.parts.evaluation["cases"]
    assert said["model"]["digest"]["sha256"] == digest.hex_of(world.parts.content_id())
    pack = world.parts.predicates()[predicates.KSCORE]["pack"]["root"]
    assert said["dataset"]["digest"]["merkleSha256"] == digest.hex_of(pack)
    assert said["assuranceLevel"] == "self_attested"


def sorted_claim(claim):
    return dict(sorted(claim.items()))


@pytest.mark.parametrize(
    ("drawn", "environment", "level"),
    [
        ("all", None, "reproduced"),
        ("some", None, "self_attested"),
        ("all", digest.of_bytes(b"another"), "self_attested"),
    ],
)
def test_scores_are_reproduced_where_every_case_ran_again_bit_for_bit(
    world, auditor, drawn, environment, level
):
    cases = None if drawn == "all" else 3
    request = rescoring(world.parts, cases=cases, environment=environment)
    said = eval_result(world, auditor, base=world.parts.base, rescore=request)
    assert said["assuranceLevel"] == level


def test_scores_that_nobody_could_compute_again_are_not_said(world, auditor):
    closed = world.parts.copy()
    closed.withhold()
    trusting_policy = BUILT_IN._replace(
        reach=("delta_scope",), minimum_eval_cases=None, lower_bound_above=None, name="trusting"
    )
    assert eval_result(world, auditor, world.seal(closed), policy=trusting_policy) is None


def test_an_audits_test_result_is_none_of_the_gate(world, auditor):
    """An auditor who may also evaluate has said nothing of the gate; one who may only evaluate is
    no auditor."""
    path = world.seal()
    attest(open_container(path), world.look(path).report, auditor)
    answers = world.look(path, trust=believing(world, auditor))
    assert answers.overall is Verdict.OK
    signer = next(s for s in answers.report.signers if s.name == "auditor")
    assert len(signer.claims) == len(by_kind(path, auditor)) == 3
    for number in ("V13", "V14", "V18", "V19"):
        assert "auditor" not in answers[number].by
    made = by_kind(path, auditor)[predicates.TEST_RESULT]
    alone = [
        claim
        for claim in world.parts.claims(world.publisher)
        if parse(open_envelope(claim, where="").payload).predicate_type != predicates.TEST_RESULT
    ]
    content = world.parts.content_id()
    gate = making.seal(making.statement(content, "toy", predicates.TEST_RESULT, made), auditor)
    assert "V13" in world.audit(claims=[*alone, gate], trust=believing(world, auditor)).failed
    evaluator = trusting(auditor, name="auditor", roles=[KeyRole.EVALUATOR])
    store = TrustStore((*world.trust.keys, evaluator))
    assert "V11" in world.look(path, trust=store).failed


def test_an_eval_result_of_another_model_is_about_another_bundle(world, auditor):
    said = {**eval_result(world, auditor)}
    said["model"] = {"digest": {"sha256": "0" * 64}}
    content = world.parts.content_id()
    other = making.seal(making.statement(content, "toy", predicates.EVAL_RESULT, said), auditor)
    claims = [*world.parts.claims(world.publisher), other]
    assert "V12" in world.audit(claims=claims, trust=believing(world, auditor)).failed
