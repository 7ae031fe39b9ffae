"""Predicates: the kinds of claims and what each says, built from facts that are passed in.

Pure functions: no clock, no files, no keys. What is said stays within what the builder knows: a
compile on somebody's own machine is SLSA Build L1, and nothing here claims more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from kolm import digest
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.names import Name
from kolm.records import kinds
from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.records.documents import (
        Entry,
        Kscore,
        PredicateModules,
        PredicateProvenance,
        PredicateProvenanceBuildDefinitionResolvedDependency,
        PredicateTestResult,
        PredicateVerificationSummary,
        PredicateVerificationSummaryVerifiedLevel,
    )


PROVENANCE: Final[Name[PredicateProvenance]] = Name("https://slsa.dev/provenance/v1")
MODULES: Final[Name[PredicateModules]] = Name("urn:kolm:modules:v1")
KSCORE: Final[Name[Kscore]] = Name("urn:kolm:kscore:v1")
TEST_RESULT: Final[Name[PredicateTestResult]] = Name(
    "https://in-toto.io/attestation/test-result/v0.1"
)
VERIFICATION_SUMMARY: Final[Name[PredicateVerificationSummary]] = Name(
    "https://slsa.dev/verification_summary/v1"
)
ENTRY: Final[Name[Entry]] = Name("urn:kolm:entry:v1")

# The schema of each kind: one line a kind, and an unlisted kind is refused.
SCHEMAS: dict[str, DocumentKind[Mapping[str, object]]] = {
    PROVENANCE: kinds.PREDICATE_PROVENANCE,
    MODULES: kinds.PREDICATE_MODULES,
    KSCORE: kinds.KSCORE,
    TEST_RESULT: kinds.PREDICATE_TEST_RESULT,
    VERIFICATION_SUMMARY: kinds.PREDICATE_VERIFICATION_SUMMARY,
    ENTRY: kinds.ENTRY,
}

# Where a kind states a time.
TIMES: dict[str, tuple[tuple[str, ...], ...]] = {
    PROVENANCE: (("runDetails", "metadata", "startedOn"), ("runDetails", "metadata", "finishedOn")),
    VERIFICATION_SUMMARY: (("timeVerified",),),
    KSCORE: (("measured_on",),),
}
YEARS = range(2020, 2100)  # in which a claim can have been made; times outside mean nothing

BUILD_TYPE: Final = "urn:kolm:compile:v1"
LOCAL_BUILDER = "urn:kolm:builder:local:v1"  # the signer's own machine; nobody else watched
LOCAL_VERIFIER = "urn:kolm:verifier:local:v1"

LEVELS: Final[dict[str, PredicateVerificationSummaryVerifiedLevel]] = {
    "base_identity": "KOLM_BASE_IDENTITY",
    "delta_scope": "KOLM_DELTA_SCOPE",
    "process": "KOLM_PROCESS",
    "scores": "KOLM_SCORES",
}
ROLES = ("vision", "audio", "projector", "language", "head", "other")


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
    environment: Mapping[str, str | int]
    version: str
    started: datetime
    finished: datetime
    measured: Mapping[str, str | int]
    builder: str = LOCAL_BUILDER


def instant(moment: datetime) -> str:
    """A time as claims write it: UTC, whole seconds, RFC 3339.

    Raises:
        ValueError: the time carries no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a time without a zone says nothing")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stated_times(kind: str, predicate: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Each time that a predicate which fits its schema states, with its place in it."""
    for path in TIMES.get(kind, ()):
        stated: object = predicate
        for key in path:
            stated = cast("Mapping[str, object]", stated)[key]
        yield "/".join(path), str(stated)


def demand_instants(kind: str, predicate: Mapping[str, object], *, where: str) -> None:
    """Demand that the times of a predicate that fits its schema exist, so that text order is
    time order.

    Raises:
        Refused: ``E_CLAIM_TIME`` for a month, a day or an hour that no clock shows, and for a
            year outside `YEARS`.
    """
    for path, stated in stated_times(kind, predicate):
        try:
            possible = datetime.fromisoformat(stated).year in YEARS
        except ValueError:
            possible = False
        if not possible:
            raise Refused(
                "E_CLAIM_TIME",
                "the claim states an impossible time",
                where=f"{where}/{path}",
                expected=f"a time from {YEARS.start} to {YEARS.stop - 1}",
                found=stated,
            )


def bundle_uri(bundle: Digest) -> str:
    """How a verification summary names the bundle that was audited."""
    return f"urn:kolm:bundle:{bundle}"


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
    environment: dict[str, Digest | str | int | bool | None] = dict(build.environment)
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"name": build.name, "spec": build.spec},
            "internalParameters": {
                "environment": environment,
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


def claimed_words(found: Iterable[tuple[str, str]]) -> list[str]:
    """What role and state of all modules say of a role: ``vision frozen``, ``language adapted``.

    A role is trained if any of its modules is, else adapted if any is, else frozen; a role that
    the base does not have gets no word. The order is that of `ROLES`.
    """
    states: dict[str, set[str]] = {}
    for role, state in found:
        states.setdefault(role, set()).add(state)
    return [
        f"{role} {next(s for s in ('trained', 'adapted', 'frozen') if s in states[role])}"
        for role in ROLES
        if role in states
    ]


def kscore(report: Kscore) -> Kscore:
    """The predicate of a K-score: the kscore document as it stands."""
    return report


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


def verification_summary(
    *,
    bundle: Digest,
    policy_name: str,
    policy: Digest,
    passed: bool,
    reached: Sequence[str],
    version: str,
    now: datetime,
    attestations: Sequence[Digest] = (),
) -> PredicateVerificationSummary:
    """That this machine audited a bundle.

    `reached` holds the verdicts reached, of ``delta_scope``, ``base_identity``, ``process`` and
    ``scores``; `attestations` the claims that were read.
    """
    summary: PredicateVerificationSummary = {
        "verifier": {"id": LOCAL_VERIFIER, "version": {"kolm": version}},
        "timeVerified": instant(now),
        "resourceUri": bundle_uri(bundle),
        "policy": {
            "uri": f"urn:kolm:policy:{policy_name}",
            "digest": {"sha256": digest.hex_of(policy)},
        },
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [LEVELS[verdict] for verdict in sorted(reached)],
    }
    if attestations:
        summary["inputAttestations"] = [
            {"digest": {"sha256": digest.hex_of(claim)}} for claim in attestations
        ]
    return summary
