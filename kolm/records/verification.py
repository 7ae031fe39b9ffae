"""The `verification` document: what an audit of one bundle asked, found and concluded.

Written by `kolm verify`, read by people and scripts. Its shape is
schemas/verification.schema.json; what each number asks is docs/format/verification.md.
"""

from enum import StrEnum
from typing import Literal, NamedTuple

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


class Finding(NamedTuple):
    """One thing that a check saw.

    `rule` is the rule of docs/format that does not hold, as ``N4``; where a check has one rule
    alone, its number. `by` belongs to what holds: None when it was recomputed, else the names of
    those on whose word it rests; it stands in the check's own `by`.
    """

    verdict: Verdict
    detail: str
    where: str | None = None
    expected: str | None = None
    found: str | None = None
    code: str | None = None
    by: tuple[str, ...] | None = None
    rule: str | None = None

    def told(self, check: str) -> str:
        """What was seen, after the rule where it is one of several of the check."""
        return self.detail if self.rule in (None, check) else f"{self.rule}: {self.detail}"


class CheckResult(NamedTuple):
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


class Conclusion(NamedTuple):
    """One of the verdicts that the checks add up to."""

    verdict: Verdict
    evidence: Evidence
    detail: str
    by: tuple[str, ...] = ()


class Conclusions(NamedTuple):
    """The four verdicts, never merged into one "frozen: yes", and the overall answer."""

    overall: Conclusion
    delta_scope: Conclusion
    base_identity: Conclusion
    process: Conclusion
    scores: Conclusion


class Bound(NamedTuple):
    """What an observed value is held against: it must be so much or more, or more than that."""

    comparator: Literal[">=", ">"]
    threshold: str


class Demand(NamedTuple):
    """One demand on the scores, and what was observed: nothing, where nobody could look.

    `by` is ``publisher`` for the floors of the bundle's own lock, ``policy`` for the auditor's.
    `demanded` says it in words; `bound` is None where more than one bound is demanded.
    """

    name: str
    by: str
    demanded: str
    bound: Bound | None = None
    observed: str | None = None
    verdict: Verdict = Verdict.COULD_NOT_LOOK
    evidence: Evidence = Evidence.NONE


class PackScore(NamedTuple):
    """The newest K-score of one evaluator on one pack: what its signer measured.

    Attributes:
        by: the signer's name in the trust store.
        keyid: of the signer's key.
        owner: whose cases they are: ``publisher`` for the bundle's own.
        pack: the Merkle root of the cases.
        gate: ``passed`` or ``failed``, by the floors of the bundle's own lock.
    """

    by: str
    keyid: str
    owner: str
    pack: str
    accuracy: str
    composite: str
    gate: str
    measured_on: str


class Rescore(NamedTuple):
    """Which answers were made again.

    Attributes:
        cases: of the evaluation; `drawn` of them were run again.
        same_class: whether in the recorded environment class, where every bit has to come out
            again; elsewhere the scores are compared.
        differing: of the drawn cases, in the run in which most differ.
        pairs: of the drawn cases, those whose two answers were measured again.
    """

    cases: int
    drawn: int
    same_class: bool
    differing: int
    pairs: int

    @property
    def reproduced(self) -> bool:
        """Whether every case was answered again, bit for bit."""
        return self.same_class and self.drawn == self.cases and not self.differing


class Missed(NamedTuple):
    """With which probability a draw meets none of so many bad segments after the first."""

    bad: int
    probability: str


class Replay(NamedTuple):
    """What of the training was run again.

    Attributes:
        nonce: with the content id it draws the segments.
        segments: of the training; `steps` are theirs.
        drawn: numbers from 1; the first is always among them.
        equal: those that ended in the recorded state, with the recorded rows.
        differing: those that did not.
        steps_equal: steps of the equal ones.
        states: whence the states came that segments began with.
        missed: what a draw like this misses.
        not_covered: what was not looked at, in words.
        lacking: captures that the drawn segments read and the store does not hold.
    """

    nonce: Digest
    segments: int
    steps: int
    drawn: tuple[int, ...]
    equal: tuple[int, ...]
    differing: tuple[int, ...]
    steps_equal: int
    states: str
    missed: tuple[Missed, ...]
    not_covered: tuple[str, ...]
    lacking: tuple[Digest, ...] = ()


class Identity(NamedTuple):
    """What was audited, as far as it could be read."""

    path: str
    name: str | None = None
    digest: Digest | None = None
    cid: str | None = None
    index_digest: Digest | None = None


class PolicyUsed(NamedTuple):
    """Which policy the answers were held against."""

    name: str
    digest: Digest


class SignedBy(NamedTuple):
    """A key that signed claims about this very bundle, with a signature that holds.

    Attributes:
        keyid: SHA-256 of the public key, in hex.
        name: of the key in the trust store; None for a key that nobody told us of, whose signature
            was then not checked.
        predicates: the kinds of those of its claims that count; where none does, of all.
        stated_at: when the first of these claims was made, in UTC; the signer's own clock.
        stamped_at: the latest time stamp of theirs by a trusted authority, in UTC.
        stamped_by: what that authority is called.
        claims: digests of those of its claims that count: none of a key that was revoked, lacks
            the role, or is not in the trust store.
    """

    keyid: str
    predicates: tuple[str, ...]
    name: str | None = None
    stated_at: str | None = None
    stamped_at: str | None = None
    stamped_by: str | None = None
    claims: tuple[Digest, ...] = ()


class Verification(NamedTuple):
    """The whole audit of one bundle."""

    bundle: Identity
    checked_at: str
    kolm: str
    policy: PolicyUsed
    trust: Digest
    signers: tuple[SignedBy, ...]
    conclusions: Conclusions
    checks: tuple[CheckResult, ...]
    demands: tuple[Demand, ...] = ()
    scored: tuple[PackScore, ...] = ()
    rescore: Rescore | None = None
    replay: Replay | None = None
    schema: str = SCHEMA
