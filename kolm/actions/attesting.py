"""The compositions: an audit as a signed claim of whoever made it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm.bundle import writer
from kolm.bundle.container import Container
from kolm.bundle.reader import Bundle
from kolm.errors import Unreadable
from kolm.records.verification import Verdict, Verification
from kolm.sign import making, predicates

if TYPE_CHECKING:
    from kolm.records.documents import (
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
    """Sign what an audit of a bundle found, and put it beside the bundle's other claims.

    Args:
        audited: the open container that the report is about.
        report: of `verify`.
        key: of the auditor.
        output: write a copy with the claim here; without it the claim is added in place.
        force: replace another file at `output`.

    Returns:
        The file that has the claim.

    Raises:
        Unreadable: ``E_ATTEST_UNDECIDED``, the audit decided nothing.
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
    bundle = Bundle.of(audited)
    conclusions = report.conclusions._asdict()
    said = making.verification_summary(
        making.Audit(
            bundle=content,
            policy=(report.policy.name, report.policy.digest),
            claims=bundle.claims,
            version=report.kolm,
            at=datetime.fromisoformat(report.checked_at),
            passed=overall is Verdict.OK,
            levels=[
                level for name, level in _LEVELS.items() if conclusions[name].verdict is Verdict.OK
            ],
            replay=_replay(report),
        )
    )
    name = report.bundle.name or audited.path.name
    claim = making.seal(making.statement(content, name, predicates.VERIFICATION_SUMMARY, said), key)
    if output is None:
        writer.add_claims(audited.path, [claim], content_id=content)
        return audited.path
    writer.write_with_claims(output, bundle, [claim], force=force)
    return output


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
