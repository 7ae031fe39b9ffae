"""The `verification` document: what an audit of one bundle asked, found and concluded.

Written by `kolm verify`, read by people and scripts. Its shape is
schemas/verification.schema.json; what each number asks is docs/format/verification.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from kolm.digest import Digest

SCHEMA = "urn:kolm:verification:v1"


class Verdict(StrEnum):
    """How one question was answered. `failed` beats `could_not_look`, which beats the others."""

    OK = "ok"
    FAILED = "failed"
    COULD_NOT_LOOK = "could_not_look"
    NOT_CHECKED = "not_checked"


class Evidence(StrEnum):
    """How an answer is known."""

    RECOMPUTED = "recomputed"  # from the bytes, on this machine, just now
    ATTESTED = "attested"  # a trusted key says so
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check saw."""

    verdict: Verdict
    detail: str
    where: str | None = None
    expected: str | None = None
    found: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One numbered question and its answer; `findings` holds what is worth showing, worst first."""

    id: str
    family: str
    question: str
    verdict: Verdict
    evidence: Evidence
    detail: str
    by: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """One of the verdicts that the checks add up to."""

    verdict: Verdict
    evidence: Evidence
    detail: str
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusions:
    """The three verdicts, never merged into one "frozen: yes", and the overall answer."""

    overall: Conclusion
    delta_scope: Conclusion
    base_identity: Conclusion
    process: Conclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What was audited, as far as it could be read."""

    path: str
    name: str | None = None
    digest: Digest | None = None
    cid: str | None = None
    container: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyUsed:
    """Which policy the answers were held against."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The whole audit of one bundle."""

    schema: str = SCHEMA
    bundle: Identity
    checked_at: str
    policy: PolicyUsed
    conclusions: Conclusions
    checks: tuple[CheckResult, ...]
