"""Claims as a signer makes them: what each kind says, its statement, and the envelope around it.

Pure functions of facts that are passed in: no clock, no files. What is said stays within what the
builder knows: a compile on somebody's own machine is SLSA Build L1, and nothing here claims more.
Reading a claim needs none of this.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kolm import canonical, digest
from kolm.digest import Digest
from kolm.sign.envelope import (
    BUNDLE_MEDIA_TYPE,
    MAX_ENVELOPE_BYTES,
    PAYLOAD_TYPE,
    open_envelope,
    pae,
)
from kolm.sign.predicates import LOCAL_BUILDER, LOCAL_VERIFIER, bundle_uri, instant
from kolm.sign.private_keys import PrivateKey
from kolm.sign.statement import STATEMENT_TYPE, parse

if TYPE_CHECKING:
    from kolm.records.documents import (
        PredicateEndorsement,
        PredicateEvalResult,
        PredicateEvalResultClaim,
        PredicateModules,
        PredicateProvenance,
        PredicateProvenanceBuildDefinitionResolvedDependency,
        PredicateTestResult,
        PredicateVerificationSummary,
        PredicateVerificationSummaryPolicy,
        PredicateVerificationSummaryUrnKolmReplayV1,
        PredicateVerificationSummaryVerifiedLevel,
    )


BUILD_TYPE: Final = "urn:kolm:compile:v1"
_URI_CHARACTERS: Final = 200  # of a policy, by the schema


class Build(NamedTuple):
    """The facts of one compile.

    `environment` is the lock's environment, its class included; `measured` holds integers with
    their unit in the name and decimal strings. Times carry their zone.
    """

    name: str
    spec: Digest
    lock: Digest
    base_id: str
    base_root: Digest
    snapshot: Digest
    snapshot_root: Digest
    environment: Mapping[str, Any]
    version: str
    started: datetime
    finished: datetime
    measured: Mapping[str, str | int]
    builder: str = LOCAL_BUILDER


def provenance(build: Build) -> PredicateProvenance:
    """The predicate of SLSA provenance v1 for a compile."""
    base: PredicateProvenanceBuildDefinitionResolvedDependency = {
        "name": "base",
        "digest": {"merkleSha256": digest.hex_of(build.base_root)},
        "annotations": {"id": build.base_id},
    }
    snapshot: PredicateProvenanceBuildDefinitionResolvedDependency = {
        "name": "snapshot",
        "digest": {
            "merkleSha256": digest.hex_of(build.snapshot_root),
            "sha256": digest.hex_of(build.snapshot),
        },
    }
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"name": build.name, "spec": build.spec},
            "internalParameters": {
                "environment": dict(build.environment),
                "lock": build.lock,
            },
            "resolvedDependencies": [base, snapshot],
        },
        "runDetails": {
            "builder": {"id": build.builder, "version": {"kolm": build.version}},
            "metadata": {
                "startedOn": instant(build.started),
                "finishedOn": instant(build.finished),
            },
            "byproducts": [{"name": "measured", "annotations": dict(build.measured)}],
        },
    }


def modules(*, modules: Digest, base_root: Digest, words: Sequence[str]) -> PredicateModules:
    """The predicate that names `modules.jsonl`, the base and what is claimed of its roles."""
    return {"base": base_root, "modules": modules, "words": list(words)}


def test_result(
    *,
    passed: Sequence[str],
    failed: Sequence[str],
    configuration: Mapping[str, Digest],
) -> PredicateTestResult:
    """The gate verdict as an in-toto test result: floors by name, passed unless one failed.

    `configuration` gives the documents that decided, by member name.
    """
    return {
        "result": "FAILED" if failed else "PASSED",
        "configuration": [
            {"name": name, "digest": {"sha256": digest.hex_of(configuration[name])}}
            for name in sorted(configuration)
        ],
        "passedTests": sorted(passed),
        "warnedTests": [],
        "failedTests": sorted(failed),
    }


class Audit(NamedTuple):
    """The facts of one audit.

    Attributes:
        bundle: content id.
        policy: its name and digest.
        claims: stored bytes of those that were read.
        levels: which of the four verdicts were reached.
        replay: how much of the training was run again, or None.
    """

    bundle: Digest
    policy: tuple[str, Digest]
    claims: Sequence[bytes]
    version: str
    at: datetime
    passed: bool
    levels: Sequence[PredicateVerificationSummaryVerifiedLevel]
    replay: PredicateVerificationSummaryUrnKolmReplayV1 | None = None


def verification_summary(audit: Audit) -> PredicateVerificationSummary:
    """The predicate of a SLSA verification summary v1 for an audit (C15)."""
    said: PredicateVerificationSummary = {
        "verifier": {"id": LOCAL_VERIFIER, "version": {"kolm": audit.version}},
        "timeVerified": instant(audit.at),
        "resourceUri": bundle_uri(audit.bundle),
        "policy": _policy(audit),
        "verificationResult": "PASSED" if audit.passed else "FAILED",
        "verifiedLevels": list(audit.levels),
    }
    names = sorted({digest.hex_of(digest.of_bytes(claim)) for claim in audit.claims})
    if names:
        said["inputAttestations"] = [{"digest": {"sha256": name}} for name in names]
    if audit.replay is not None:
        said["urn:kolm:replay:v1"] = audit.replay
    return said


def _policy(audit: Audit) -> PredicateVerificationSummaryPolicy:
    name, policy = audit.policy
    return {
        "uri": f"urn:kolm:policy:{name}"[:_URI_CHARACTERS],
        "digest": {"sha256": digest.hex_of(policy)},
    }


def audit_tests(
    audit: Audit, *, passed: Sequence[str], failed: Sequence[str]
) -> PredicateTestResult:
    """The predicate of an in-toto test result v0.1 for an audit: its checks by number (C14).

    A check that was not asked, or could not look, neither passed nor failed: it is in no list.
    """
    return {
        "result": "PASSED" if audit.passed else "FAILED",
        "configuration": [{"name": audit.policy[0][:_URI_CHARACTERS], **_policy(audit)}],
        "passedTests": sorted(passed),
        "warnedTests": [],
        "failedTests": sorted(failed),
    }


def eval_result(
    audit: Audit,
    claims: Sequence[PredicateEvalResultClaim],
    *,
    name: str,
    cases: int,
    pack: Digest,
    reproduced: bool,
) -> PredicateEvalResult:
    """The predicate of an eval result v0.2 for an audit that computed the scores again (C25).

    The draft of in-toto/attestation pull request 575 at commit 0c70fc3 (2026-09-28), under the type
    of its first reader, proofbundle 6. It has no field for what was observed.

    Args:
        audit: that computed them.
        claims: each demand and whether it holds; at least one.
        name: of the bundle.
        cases: how many were scored.
        pack: the Merkle root of the cases.
        reproduced: whether every case was run again and answered as recorded; else the answers are
            the word of whoever recorded them.
    """
    return {
        "evaluator": {"id": LOCAL_VERIFIER},
        "evaluatedAt": instant(audit.at),
        "suite": {"name": f"eval cases of {name}"[:_URI_CHARACTERS], "version": pack},
        "claims": list(claims),
        "sampleSize": cases,
        "model": {"digest": {"sha256": digest.hex_of(audit.bundle)}},
        "dataset": {"digest": {"merkleSha256": digest.hex_of(pack)}},
        "assuranceLevel": "reproduced" if reproduced else "self_attested",
        "subjectProfile": "public-model",
        "harness": {"name": "kolm", "version": audit.version},
    }


def endorsement(claims: Iterable[bytes], *, policy: Digest, at: datetime) -> PredicateEndorsement:
    """The predicate of a second party who stands behind a bundle (C20).

    Args:
        claims: stored bytes of those that it stands behind.
        policy: digest of the policy that the bundle passed.
        at: when.
    """
    read = sorted({digest.of_bytes(claim) for claim in claims})
    return {"claims": read, "endorsed_on": instant(at), "policy": policy}


def statement(
    subject: Digest, name: str, predicate_type: str, predicate: Mapping[str, object]
) -> bytes:
    """The canonical bytes of a statement about a bundle.

    Raises:
        Refused: the predicate does not fit its type; what kolm would refuse it does not sign.
    """
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.hex_of(subject)}}],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    data = canonical.dumps(value)
    parse(data, where="new statement")
    return data


def stamped(claim: bytes, stamp: bytes) -> bytes:
    """The bytes of a claim's envelope with a time stamp of its signature beside it: another claim,
    which says the same by the same signature."""
    value = canonical.loads(claim, where="claim", max_bytes=MAX_ENVELOPE_BYTES)
    told = {"rfc3161Timestamps": [{"signedTimestamp": base64.b64encode(stamp).decode("ascii")}]}
    value["verificationMaterial"]["timestampVerificationData"] = told
    data = canonical.dumps(value)
    open_envelope(data, where="new claim")
    return data


def seal(statement: bytes, key: PrivateKey) -> bytes:
    """Sign a statement and give the canonical bytes of its envelope."""
    keyid = key.public.keyid
    return canonical.dumps(
        {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": keyid}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(statement).decode("ascii"),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [
                    {
                        "keyid": keyid,
                        "sig": base64.b64encode(key.sign(pae(statement))).decode("ascii"),
                    }
                ],
            },
        }
    )
