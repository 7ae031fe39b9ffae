"""Verification: asks the numbered questions in order and adds the answers up.

The last stage of the line, run by whoever does not trust the publisher. Opens one file and
nothing else; clock, keys, policy and optional material are passed in. docs/format/verification.md
is the table of questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kolm import digest
from kolm.bundle import cid
from kolm.bundle.container import Container, open_container
from kolm.bundle.layout import INDEX_NAME
from kolm.errors import KolmError, Unreadable
from kolm.format.names import RECEIPT
from kolm.records.verification import (
    CheckResult,
    Evidence,
    Finding,
    Identity,
    PolicyUsed,
    Verdict,
    Verification,
)
from kolm.sign.predicates import WORDS, instant
from kolm.verify.check import TABLE, Check
from kolm.verify.checks import ALL_CHECKS
from kolm.verify.conclusions import SEVERITY, conclude, worst
from kolm.verify.demands import score_demands, scored_packs
from kolm.verify.findings import READ_FINDINGS, from_error, not_checked, shorten
from kolm.verify.subject import MANIFEST, Auditor, Subject
from kolm.version import VERSION

SHOWN_FINDINGS = 8  # the first ones tell what is wrong; a hostile file could cause millions


def verify(bundle: Path | Container, auditor: Auditor) -> Verification:
    """Audit one bundle.

    Args:
        bundle: the `.kolm` file; or, of whoever goes on to use it, the open container: what is
            verified is then what is used.
        auditor: what is demanded, who is believed, and what there is to look at besides.

    Returns:
        The whole report; a bad bundle is an answer, not an error.

    Raises:
        Unreadable: the file is missing, is no bundle, or has a version that this kolm does not
            know: nothing could be looked at.
        Refused: the file is larger than any bundle.
    """
    if auditor.request is not None:
        auditor = auditor._replace(policy=auditor.request.policy)
    policy = auditor.policy
    container = bundle if isinstance(bundle, Container) else open_container(bundle)
    subject = Subject(container, auditor)  # documents and claims, by what the manifest names
    _demand_known_version(subject)
    for check in ALL_CHECKS:
        _ask(check, subject)  # each reads, or computes again, what it needs
    conclusions = conclude(subject)
    return Verification(
        bundle=_identity(subject),
        checked_at=instant(auditor.now),
        kolm=VERSION,
        policy=PolicyUsed(name=policy.name, digest=policy.digest),
        trust=auditor.trust.digest,
        signers=subject.claims.signers(),
        conclusions=conclusions,
        checks=tuple(subject.results[check.id] for check in ALL_CHECKS),
        demands=score_demands(subject),
        scored=scored_packs(subject),
        rescore=subject.rescored,
        replay=subject.outcome.report() if subject.outcome else None,
    )


def _demand_known_version(subject: Subject) -> None:
    """The manifest is what its name says, but not of a known kind: another artifact, not damage."""
    error, content = subject.manifest_error, subject.content_id
    intact = content is not None and content == subject.container.digests[0]
    if isinstance(error, Unreadable) and intact:
        raise error.again()


def _ask(check: Check, subject: Subject) -> None:
    """Answer a question once, those that it needs first."""
    if check.id not in subject.results:
        for number in check.needs:
            _ask(TABLE[number], subject)
        subject.results[check.id] = _answer(check, subject)


def _answer(check: Check, subject: Subject) -> CheckResult:
    obstacle = _obstacle(check, subject)
    if obstacle is not None:
        return _result(check, [not_checked(obstacle)])
    findings = list(_findings(check, subject))
    # A check that has nothing to say has not looked: silence is never a pass.
    return _result(check, findings or [not_checked("there was nothing to check")])


def _obstacle(check: Check, subject: Subject) -> str | None:
    """Why the question makes no sense here, or None."""
    for number in check.needs:
        needed = subject.results[number]
        if needed.verdict is Verdict.NOT_CHECKED:
            return needed.detail
        if needed.verdict is not Verdict.OK:
            return f"needs {number}"
    for name in check.reads:
        if subject.manifest_error is not None:
            return "the manifest could not be read (V04)"
        if name == MANIFEST:
            continue
        obstacle = subject.documents.obstacle(name)
        if obstacle is not None:
            return obstacle
    if check.about and not subject.claims.names(*check.about):
        kinds = " or ".join(WORDS[kind] for kind in check.about)
        return f"no {kinds} claim of a trusted key"
    return None


def _findings(check: Check, subject: Subject) -> Iterator[Finding]:
    try:
        for count, finding in enumerate(check.body(subject)):
            yield finding
            if count == READ_FINDINGS:
                return
    except KolmError as error:
        yield from_error(error)


def _result(check: Check, findings: list[Finding]) -> CheckResult:
    verdict = worst(finding.verdict for finding in findings)
    findings = [f if f.verdict is not Verdict.FAILED else _with_rule(f, check) for f in findings]
    telling = [finding for finding in findings if finding.verdict is verdict]
    notable = sorted(
        (finding for finding in findings if finding.verdict is not Verdict.OK),
        key=lambda finding: SEVERITY.index(finding.verdict),
    )
    first = telling[0] if verdict is not Verdict.OK else telling[-1]
    more = len(telling) - 1
    detail = first.told(check.id)
    if verdict is Verdict.FAILED and more:
        detail = f"{detail} (and {more} more)"
    return CheckResult(
        id=check.id,
        family=check.family,
        question=check.question,
        verdict=verdict,
        evidence=_evidence(first),
        detail=detail,
        by=first.by or (),
        findings=tuple(notable[:SHOWN_FINDINGS]),
        left_out=max(0, len(notable) - SHOWN_FINDINGS),
    )


def _with_rule(finding: Finding, check: Check) -> Finding:
    return finding._replace(rule=finding.rule or check.id)


def _evidence(telling: Finding) -> Evidence:
    """What rests on somebody's word is attested if somebody trusted gives it, else not known."""
    if telling.verdict in (Verdict.COULD_NOT_LOOK, Verdict.NOT_CHECKED):
        return Evidence.NONE
    if telling.by is None:
        return Evidence.RECOMPUTED
    return Evidence.ATTESTED if telling.by else Evidence.NONE


def _identity(subject: Subject) -> Identity:
    content = subject.content_id
    index = subject.container.file(INDEX_NAME)
    name = None
    if RECEIPT in subject.documents and subject.documents.obstacle(RECEIPT) is None:
        name = shorten(subject.receipt["name"])
    return Identity(
        path=str(subject.container.path),
        name=name,
        digest=content,
        cid=cid.cid_of(content) if content else None,
        index_digest=None if index is None else digest.of_bytes(index),
    )
