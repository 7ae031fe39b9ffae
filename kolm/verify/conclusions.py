"""What the answers add up to: delta scope, base identity, process, scores, and the whole.

The four are never merged. 'No' beats 'could not look', and neither is ever turned into a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kolm.format.names import LOCK, Name
from kolm.records.verification import CheckResult, Conclusion, Conclusions, Evidence, Verdict
from kolm.sign.predicates import KSCORE, MODULES, PROVENANCE
from kolm.verify.demands import failed_elsewhere
from kolm.verify.findings import shorten
from kolm.verify.naming import keys
from kolm.verify.subject import Subject

SEVERITY = (Verdict.FAILED, Verdict.COULD_NOT_LOOK, Verdict.NOT_CHECKED, Verdict.OK)

DELTA_SCOPE = tuple(f"V{number}" for number in range(20, 30))
BASE_IDENTITY = ("V40", "V41", "V42", "V43")
PROCESS = ("V50", "V51", "V52", "V53", "V54")
SCORES = ("V30", "V31", "V32", "V33", "V34", "V39")
PROCESS_IF_LOOKED = ("V55",)
SCORES_IF_LOOKED = ("V35", "V36", "V37", "V46")
# Without these the documents are not what they seem, so nothing read from them is a conclusion.
FOUNDATION = ("V01", "V02", "V03", "V04", "V05", "V06", "V07", "V09")


def conclude(subject: Subject) -> Conclusions:
    """All five conclusions."""
    scopes = conclude_scopes(subject)
    return Conclusions(overall=_overall(subject.results.values()), **scopes)


def conclude_scopes(subject: Subject) -> dict[str, Conclusion]:
    """The four verdicts by name."""
    results, called = subject.results, _display_name(subject)
    scope = (*FOUNDATION, *DELTA_SCOPE)
    return {
        "delta_scope": _attestable(
            results,
            scope,
            attested=(),
            reached="what is shipped can change the declared modules and nothing else",
            open_=f"not checked: {_listed(results, scope, Verdict.NOT_CHECKED)}",
        ),
        "base_identity": _attestable(
            results,
            BASE_IDENTITY,
            attested=_signers(subject, MODULES, "V16"),
            reached=f"the base on this machine is the pinned one, byte for byte{called}",
            open_=f"give --base PATH to compare the base on this machine{called}",
        ),
        "process": _process(subject),
        "scores": _scores(subject),
    }


def _process(subject: Subject) -> Conclusion:
    """Recomputed for the segments that ran again; the others stay the signer's word, and it says
    which those are."""
    results, signers = subject.results, _signers(subject, PROVENANCE, "V17")
    outcome, reached = subject.outcome, ""
    if outcome is not None:
        from kolm.verify.segments import ranges  # few audits run anything again

        equal, total = outcome.equal, len(outcome.segments)
        numbers = ranges([segment.number for segment in equal])
        reached = f"segments {numbers or 'none'} of {total} run again, bit for bit"
        if len(equal) < total:
            shown = ", ".join(keys(signers, subject.claims.signers()))
            word = f"attested by {shown}" if signers else "nobody's word"
            reached += f"; {outcome.chances_told()}; the others are {word}"
    return _attestable(
        results,
        (*PROCESS, *_looked(results, PROCESS_IF_LOOKED)),
        attested=signers,
        reached=reached,
        open_=f"of the training {reached}" if reached else "training was not run again",
        why=_not_comparable(results),
    )


def _not_comparable(results: Mapping[str, CheckResult]) -> str:
    """Why nothing of a replay could be compared here, or nothing."""
    found = results["V54"]
    return found.detail if found.verdict is Verdict.COULD_NOT_LOOK else ""


def _display_name(subject: Subject) -> str:
    """What the publisher calls the base: a label that nothing binds to its bytes."""
    if subject.documents.obstacle(LOCK) is not None:
        return ""
    return f"; the publisher calls it {shorten(subject.lock['base']['id'])}"


def _scores(subject: Subject) -> Conclusion:
    """Recomputed from references and outputs; on withheld references they are a signer's word.

    Checks that look only where there is a claim or an option count when they have looked.
    """
    results = subject.results
    looked = _looked(results, SCORES_IF_LOOKED)
    told = "; ".join(filter(None, (results["V33"].detail, failed_elsewhere(subject))))
    again = f"; {results['V46'].detail}" if "V46" in looked else ""
    return _attestable(
        results,
        (*FOUNDATION, *SCORES, *looked),
        attested=_signers(subject, KSCORE, "V18"),
        reached=f"{told}{again}",
        open_=told,
    )


def _looked(results: Mapping[str, CheckResult], numbers: Iterable[str]) -> list[str]:
    return [n for n in numbers if results[n].verdict in (Verdict.OK, Verdict.FAILED)]


def _attestable(
    results: Mapping[str, CheckResult],
    numbers: tuple[str, ...],
    *,
    attested: tuple[str, ...],
    reached: str,
    open_: str,
    why: str = "",
) -> Conclusion:
    """A verdict that needs the auditor's own material, and without it rests on a signer's word."""
    verdict = worst(results[number].verdict for number in numbers)
    if verdict is Verdict.OK:
        return Conclusion(verdict=verdict, evidence=Evidence.RECOMPUTED, detail=reached)
    if verdict is Verdict.NOT_CHECKED:
        return Conclusion(
            verdict=verdict,
            evidence=Evidence.ATTESTED if attested else Evidence.NONE,
            detail=open_,
            by=attested,
        )
    prefix = "does not hold" if verdict is Verdict.FAILED else "could not be decided here"
    return Conclusion(
        verdict=verdict,
        evidence=Evidence.RECOMPUTED if verdict is Verdict.FAILED else Evidence.NONE,
        detail=why
        if why and verdict is Verdict.COULD_NOT_LOOK
        else f"{prefix}: {_listed(results, numbers, verdict)}",
    )


def _signers(subject: Subject, kind: Name[object], number: str) -> tuple[str, ...]:
    if subject.results[number].verdict is not Verdict.OK:
        return ()
    return tuple(sorted(subject.claims.names(kind)))


def _overall(results: Iterable[CheckResult]) -> Conclusion:
    answered = list(results)
    failed = [r.id for r in answered if r.verdict is Verdict.FAILED]
    blind = [r.id for r in answered if r.verdict is Verdict.COULD_NOT_LOOK]
    done = sum(r.verdict is Verdict.OK for r in answered)
    rest = len(answered) - done - len(failed) - len(blind)
    if failed:
        detail = f"{', '.join(failed)} failed"
        return Conclusion(verdict=Verdict.FAILED, evidence=Evidence.RECOMPUTED, detail=detail)
    if blind:
        detail = f"{', '.join(blind)} could not be answered on this machine"
        return Conclusion(verdict=Verdict.COULD_NOT_LOOK, evidence=Evidence.NONE, detail=detail)
    detail = f"{done} checks hold, {rest} were not asked for"
    return Conclusion(verdict=Verdict.OK, evidence=Evidence.RECOMPUTED, detail=detail)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that counts among several; `ok` when there are none."""
    return min(verdicts, key=SEVERITY.index, default=Verdict.OK)


def _listed(results: Mapping[str, CheckResult], numbers: Iterable[str], verdict: Verdict) -> str:
    return ", ".join(number for number in numbers if results[number].verdict is verdict)
