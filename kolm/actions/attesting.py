"""The compositions: an audit as signed claims of whoever made it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm.actions.signing import demand_clock
from kolm.bundle import writer
from kolm.bundle.container import Container
from kolm.bundle.reader import Bundle
from kolm.errors import Unreadable
from kolm.format import names
from kolm.format.seeds import pack_root
from kolm.records.verification import Evidence, Verdict, Verification
from kolm.sign import making, predicates

if TYPE_CHECKING:
    from kolm.records.documents import (
        PredicateEvalResult,
        PredicateEvalResultClaim,
        PredicateVerificationSummaryUrnKolmReplayV1,
        PredicateVerificationSummaryVerifiedLevel,
    )
    from kolm.sign.private_keys import PrivateKey

_LEVELS: Final[dict[str, PredicateVerificationSummaryVerifiedLevel]] = {
    "delta_scope": "KOLM_DELTA_SCOPE",
    "base_identity": "KOLM_BASE_IDENTITY",
    "process": "KOLM_PROCESS",
    "scores": "KOLM_SCORES",
}
_MOST_SEGMENTS: Final = 4096  # that a claim lists; the report lists all


def attest(
    audited: Container,
    report: Verification,
    key: PrivateKey,
    *,
    output: Path | None = None,
    force: bool = False,
) -> Path:
    """Sign what an audit of a bundle found, and put it beside the bundle's other claims: a SLSA
    verification summary, an in-toto test result, and an eval result where it computed the scores
    again.

    Args:
        audited: the open container that the report is about.
        report: of `verify`.
        key: of the auditor.
        output: write a copy with the claims here; without it they are added in place.
        force: replace another file at `output`.

    Returns:
        The file that has the claims.

    Raises:
        Unreadable: ``E_ATTEST_UNDECIDED``, the audit decided nothing.
        Lacking: ``E_CLOCK_BEHIND``.
        KolmError: the file holds another bundle by now, or cannot be written.
    """
    overall = report.conclusions.overall.verdict
    content = report.bundle.digest
    if overall not in (Verdict.OK, Verdict.FAILED) or content is None:
        raise Unreadable(
            "E_ATTEST_UNDECIDED",
            "nothing was signed: the audit decided nothing",
            found=report.conclusions.overall.detail,
            hint="give what the lines marked 'could not look' need, then run it again",
        )
    bundle, at = Bundle.of(audited), datetime.fromisoformat(report.checked_at)
    demand_clock(bundle, at)
    conclusions = report.conclusions._asdict()
    audit = making.Audit(
        bundle=content,
        policy=(report.policy.name, report.policy.digest),
        claims=bundle.claims,
        version=report.kolm,
        at=at,
        passed=overall is Verdict.OK,
        levels=[
            level for name, level in _LEVELS.items() if conclusions[name].verdict is Verdict.OK
        ],
        replay=_replay(report),
    )
    name = report.bundle.name or audited.path.name
    said: dict[str, Mapping[str, object]] = {
        predicates.VERIFICATION_SUMMARY: making.verification_summary(audit),
        predicates.TEST_RESULT: making.audit_tests(
            audit,
            passed=[check.id for check in report.checks if check.verdict is Verdict.OK],
            failed=[check.id for check in report.checks if check.verdict is Verdict.FAILED],
        ),
    }
    scores = _scores(report)
    if scores:
        said[predicates.EVAL_RESULT] = _eval_result(audit, report, bundle, scores, name=name)
    claims = [
        making.seal(making.statement(content, name, kind, what), key) for kind, what in said.items()
    ]
    if output is None:
        writer.add_claims(audited.path, claims, content_id=content)
        return audited.path
    writer.write_with_claims(output, bundle, claims, force=force)
    return output


def _scores(report: Verification) -> list[PredicateEvalResultClaim]:
    """The demands on the scores that were computed again, each with its answer."""
    scores = report.conclusions.scores
    if (scores.verdict, scores.evidence) != (Verdict.OK, Evidence.RECOMPUTED):
        return []
    found = {
        (demand.name, demand.bound): demand.verdict is Verdict.OK
        for demand in report.demands
        if demand.bound is not None and demand.evidence is Evidence.RECOMPUTED
    }
    return [
        {
            "metric": metric,
            "comparator": bound.comparator,
            "threshold": bound.threshold,
            "passed": passed,
        }
        for (metric, bound), passed in found.items()
    ]


def _eval_result(
    audit: making.Audit,
    report: Verification,
    bundle: Bundle,
    scores: list[PredicateEvalResultClaim],
    *,
    name: str,
) -> PredicateEvalResult:
    sides = (row["split"] for row in bundle.rows(names.LINES))
    return making.eval_result(
        audit,
        scores,
        name=name,
        cases=bundle.document(names.EVALUATION)["cases"],
        pack=pack_root(zip(sides, bundle.documents.lines(names.LINES), strict=True)),
        reproduced=report.rescore is not None and report.rescore.reproduced,
    )


def _replay(report: Verification) -> PredicateVerificationSummaryUrnKolmReplayV1 | None:
    found = report.replay
    if found is None or not (found.equal or found.differing):
        return None
    return {
        "nonce": found.nonce,
        "segments": found.segments,
        "equal": list(found.equal[:_MOST_SEGMENTS]),
        "differing": list(found.differing[:_MOST_SEGMENTS]),
    }
