"""Predicates: the kinds of claims, and what can be asked of what each says.

Pure functions: no clock, no files, no keys. `making.py` builds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.names import Name
from kolm.records import kinds
from kolm.schema import DocumentKind

if TYPE_CHECKING:
    from kolm.records.documents import (
        Entry,
        Kscore,
        PredicateCompute,
        PredicateEndorsement,
        PredicateEvalResult,
        PredicateModules,
        PredicateProvenance,
        PredicateTestResult,
        PredicateVerificationSummary,
        Request,
    )


PROVENANCE: Final[Name[PredicateProvenance]] = Name("https://slsa.dev/provenance/v1")
MODULES: Final[Name[PredicateModules]] = Name("urn:kolm:modules:v1")
COMPUTE: Final[Name[PredicateCompute]] = Name("urn:kolm:compute:v1")
KSCORE: Final[Name[Kscore]] = Name("urn:kolm:kscore:v1")
TEST_RESULT: Final[Name[PredicateTestResult]] = Name(
    "https://in-toto.io/attestation/test-result/v0.1"
)
VERIFICATION_SUMMARY: Final[Name[PredicateVerificationSummary]] = Name(
    "https://slsa.dev/verification_summary/v1"
)
# The draft of in-toto/attestation pull request 575 at 0c70fc3; its own type has had two shapes.
EVAL_RESULT: Final[Name[PredicateEvalResult]] = Name(
    "https://b7n0de.com/attestation/eval-result/v0.2"
)
ENDORSEMENT: Final[Name[PredicateEndorsement]] = Name("urn:kolm:endorsement:v1")
ENTRY: Final[Name[Entry]] = Name("urn:kolm:entry:v1")
REQUEST: Final[Name[Request]] = Name("urn:kolm:request:v1")


class Kind(NamedTuple):
    """A kind of claim: what people call it, its schema, and where it states times."""

    words: str
    schema: DocumentKind[Mapping[str, object]]
    times: tuple[tuple[str, ...], ...] = ()


_BUILT = tuple(("runDetails", "metadata", time) for time in ("startedOn", "finishedOn"))

# One line a kind, and an unlisted kind is refused.
KINDS: dict[str, Kind] = {
    PROVENANCE: Kind("provenance", kinds.PREDICATE_PROVENANCE, _BUILT),
    MODULES: Kind("modules", kinds.PREDICATE_MODULES),
    COMPUTE: Kind("compute", kinds.PREDICATE_COMPUTE),
    KSCORE: Kind("K-score", kinds.KSCORE, (("measured_on",),)),
    TEST_RESULT: Kind("test-result", kinds.PREDICATE_TEST_RESULT),
    VERIFICATION_SUMMARY: Kind(
        "verification summary", kinds.PREDICATE_VERIFICATION_SUMMARY, (("timeVerified",),)
    ),
    EVAL_RESULT: Kind("eval result", kinds.PREDICATE_EVAL_RESULT, (("evaluatedAt",),)),
    ENDORSEMENT: Kind("endorsement", kinds.PREDICATE_ENDORSEMENT, (("endorsed_on",),)),
    ENTRY: Kind("registry entry", kinds.ENTRY),
    REQUEST: Kind("request", kinds.REQUEST),
}
WORDS = {name: kind.words for name, kind in KINDS.items()}
YEARS = range(2020, 2100)  # in which a claim can have been made; times outside mean nothing

LOCAL_BUILDER = "urn:kolm:builder:local:v1"  # the signer's own machine; nobody else watched

LOCAL_VERIFIER = "urn:kolm:verifier:local:v1"  # likewise


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
    for path in KINDS[kind].times:
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
