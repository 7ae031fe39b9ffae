"""The command line: a verification in full, for ``kolm verify -v``.

One line a question, grouped by family, then the verdicts, then why and what to do next. Digests
are shortened; the bundle's own id is printed in full. The summary that is shown without ``-v`` is
in verification_summary.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from kolm.cli.verification_advice import advice
from kolm.records.verification import (
    CheckResult,
    Conclusion,
    Demand,
    Evidence,
    Finding,
    PackScore,
    SignedBy,
    Verdict,
    Verification,
)
from kolm.verify.claim_states import OWN_PACK
from kolm.verify.naming import keys

Paint = Callable[[str, str], str]

WORDS = {
    Verdict.OK: ("ok", "good"),
    Verdict.FAILED: ("FAILED", "bad"),
    Verdict.COULD_NOT_LOOK: ("could not look", "warn"),
    Verdict.NOT_CHECKED: ("not checked", "dim"),
}
TITLES = {
    Verdict.OK: ("✓ accepted", "good"),
    Verdict.FAILED: ("✗ refused", "bad"),
    Verdict.COULD_NOT_LOOK: ("? undecided", "warn"),
    Verdict.NOT_CHECKED: ("? undecided", "warn"),
}
_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
_KEY = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")


def render(report: Verification, *, paint: Paint) -> str:
    """The report as text: every question and every finding.

    Args:
        report: the verification.
        paint: colours a piece of text by tone.
    """
    lines = list(_title(report, paint))
    for family, results in groupby(report.checks, key=lambda result: result.family):
        lines += ["", paint(family, "strong")]
        for result in results:
            lines += _check(result, report.signers, paint)
    lines += ["", paint("verdicts", "strong")]
    lines += [
        _scope(name.replace("_", " "), getattr(report.conclusions, name), report.signers, paint)
        for name in report.conclusions._fields
        if name != "overall"
    ]
    if report.demands:
        lines += ["", paint("demanded of the scores", "strong")]
        lines += [_demand(demand, paint) for demand in report.demands]
    if report.scored:
        lines += ["", paint("scored by, as they say", "strong")]
        lines += [_scored(score, report.signers, paint) for score in report.scored]
    told = list(advice(report))
    if told:
        lines += ["", *told]
    return "\n".join(lines)


def _title(report: Verification, paint: Paint) -> Iterator[str]:
    label, tone = TITLES[report.conclusions.overall.verdict]
    bundle = report.bundle
    yield f"{paint(label, tone)}  {bundle.name or bundle.path}"
    if bundle.cid and bundle.digest:
        yield f"            {bundle.cid}"
        yield f"            {bundle.digest}"
    for signer in report.signers:
        when = f", {signer.stated_at} as the signer says" if signer.stated_at else ""
        if signer.stamped_at:
            when += f", time-stamped {signer.stamped_at} by {signer.stamped_by}"
        yield f"            signed by key {signer.keyid}, {called(signer)}{when}"
    yield f"            policy {report.policy.name} {report.policy.digest}"
    yield f"            trust {report.trust}, kolm {report.kolm}, checked {report.checked_at}"
    yield "            each line was recomputed here from the bytes unless it says otherwise"


def _check(result: CheckResult, signers: Sequence[SignedBy], paint: Paint) -> Iterator[str]:
    told = [result.question]
    if result.verdict is not Verdict.FAILED:
        told.append(paint(short(result.detail), "dim"))
    if result.evidence is Evidence.ATTESTED:
        told.append(f"attested by {', '.join(keys(result.by, signers))}")
    yield _line(result.id, result.verdict, "  · ".join(told), paint)
    if result.verdict in (Verdict.FAILED, Verdict.COULD_NOT_LOOK):
        for finding in result.findings:
            yield from _finding(finding, result.id)
        if result.left_out:
            yield f"          and {result.left_out} more"


def _line(number: str, verdict: Verdict, text: str, paint: Paint) -> str:
    word, tone = WORDS[verdict]
    return f"  {number} {paint(word, tone)}  {text}"


def _finding(finding: Finding, check: str) -> Iterator[str]:
    yield f"          {short(finding.told(check))}"
    if finding.where:
        yield f"            at {short(finding.where)}"
    if finding.expected or finding.found:
        yield f"            expected {short(finding.expected or '–')}"
        yield f"            found    {short(finding.found or '–')}"


def _demand(demand: Demand, paint: Paint) -> str:
    word, tone = WORDS[demand.verdict]
    observed = demand.observed or "nothing"
    return (
        f"  by the {demand.by.ljust(10)}{demand.name.replace('_', ' ').ljust(28)}"
        f"{paint(word, tone)}  {demand.demanded}; observed {observed}"
        f"{' (attested)' if demand.evidence is Evidence.ATTESTED else ''}"
    )


def _scored(score: PackScore, signers: Sequence[SignedBy], paint: Paint) -> str:
    word, tone = ("passed", "good") if score.gate == "passed" else ("FAILED", "bad")
    cases = "the bundle's eval cases" if score.owner == OWN_PACK else "cases that it brought"
    measured = f"accuracy {score.accuracy}, K {score.composite}"
    place = f"on {cases} ({short(score.pack)}), {score.measured_on}"
    (by,) = keys((score.by,), signers)
    return f"  {by}: gate {paint(word, tone)}  {measured} {place}"


def _scope(name: str, conclusion: Conclusion, signers: Sequence[SignedBy], paint: Paint) -> str:
    word, tone = WORDS[conclusion.verdict]
    known = {
        Evidence.RECOMPUTED: "recomputed here",
        Evidence.ATTESTED: f"attested by {', '.join(keys(conclusion.by, signers))}",
        Evidence.NONE: "",
    }[conclusion.evidence]
    told = "; ".join(part for part in (known, conclusion.detail) if part)
    return f"  {name.ljust(14)} {paint(word, tone)}  {told}"


def called(signer: SignedBy) -> str:
    """What the auditor calls a key: a name of their own trust file, which nobody signed."""
    if not signer.name:
        return "which you do not trust"
    return f"called {signer.name}{'' if signer.claims else ', whose claims do not count'}"


def short(text: str) -> str:
    """Digests and key ids in a text, cut to their first digits."""
    return _KEY.sub(r"\1…", _DIGEST.sub(r"sha256:\1…", text))
