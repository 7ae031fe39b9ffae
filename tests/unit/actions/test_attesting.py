"""An audit as a signed claim: what it says, where it goes, and that an undecided one is none."""

import pytest

from kolm import digest
from kolm.actions.attesting import attest
from kolm.bundle.container import open_container
from kolm.errors import Unreadable, Usage
from kolm.records.verification import Verdict
from kolm.sign import predicates, private_keys
from kolm.sign.trust import TrustStore
from kolm.verify.policy import ClaimDemand, Policy
from tests.support.audits import World, trusting
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
    assert claims[0].predicates == (predicates.VERIFICATION_SUMMARY,)
    from kolm.sign.envelope import open_envelope
    from kolm.sign.statement import parse

    found, _ = open_container(path).claims
    statements = [parse(open_envelope(claim.data, where="c").payload) for claim in found]
    return next(
        s.predicate for s in statements if s.predicate_type == predicates.VERIFICATION_SUMMARY
    )


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
