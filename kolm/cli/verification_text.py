"""The command line: a verification as text for people.

One line a question, grouped by family, then the three verdicts, then why and what to do next.
Digests are shortened; the bundle's own id is printed in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from kolm.records.verification import (
    CheckResult,
    Conclusion,
    Evidence,
    Finding,
    Verdict,
    Verification,
)
from kolm.verify.findings import NOTHING

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
SCOPES = (
    ("delta scope", "delta_scope"),
    ("base identity", "base_identity"),
    ("process", "process"),
)
_DIGEST = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]{52}")
_KEY = re.compile(r"\b([0-9a-f]{16})[0-9a-f]{48}\b")


def render(report: Verification, *, paint: Paint, verbose: bool = False) -> str:
    """The report as text.

    Args:
        report: the verification.
        paint: colours a piece of text by tone.
        verbose: show every finding of a check, and questions that were not asked for one by one.
    """
    lines = list(_title(report, paint))
    for family, results in groupby(report.checks, key=lambda result: result.family):
        lines += ["", paint(family, "strong")]
        lines += _family(list(results), paint, verbose=verbose)
    lines += ["", paint("verdicts", "strong")]
    lines += [_scope(name, getattr(report.conclusions, field), paint) for name, field in SCOPES]
    advice = list(_advice(report))
    if advice:
        lines += ["", *advice]
    return "\n".join(lines)


def _title(report: Verification, paint: Paint) -> Iterator[str]:
    label, tone = TITLES[report.conclusions.overall.verdict]
    bundle = report.bundle
    yield f"{paint(label, tone)}  {bundle.name or bundle.path}"
    if bundle.cid and bundle.digest:
        yield f"            {bundle.cid}"
        yield f"            {bundle.digest}"
    yield (
        f"            policy {report.policy.name}; each line was recomputed here from the bytes "
        "unless it says otherwise"
    )


def _family(results: Sequence[CheckResult], paint: Paint, *, verbose: bool) -> Iterator[str]:
    """Questions with the same answer that nobody asked for share a line."""

    def sameness(result: CheckResult) -> tuple[str, str]:
        nothing = result.verdict is Verdict.NOT_CHECKED or result.detail == NOTHING
        alike = nothing and not verbose
        return ("" if alike else result.id, result.detail)

    for (number, detail), same in groupby(results, key=sameness):
        group = list(same)
        if number or len(group) == 1:
            yield from _check(group[0], paint, verbose=verbose)
        else:
            numbers = f"{group[0].id}–{group[-1].id}"
            yield _line(numbers, group[0].verdict, _short(detail), paint)


def _check(result: CheckResult, paint: Paint, *, verbose: bool) -> Iterator[str]:
    told = [result.question]
    if result.verdict is not Verdict.FAILED:
        told.append(paint(_short(result.detail), "dim"))
    if result.evidence is Evidence.ATTESTED:
        told.append(f"attested by {', '.join(result.by)}")
    yield _line(result.id, result.verdict, "  · ".join(told), paint)
    if result.verdict in (Verdict.FAILED, Verdict.COULD_NOT_LOOK):
        shown = result.findings if verbose else result.findings[:3]
        for finding in shown:
            yield from _finding(finding)
        rest = len(result.findings) - len(shown) + result.left_out
        if rest:
            yield f"          and {rest} more{'' if verbose else ': -v shows them'}"


def _line(number: str, verdict: Verdict, text: str, paint: Paint) -> str:
    word, tone = WORDS[verdict]
    return f"  {number} {paint(word, tone)}  {text}"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"          {_short(finding.detail)}"
    if finding.where:
        yield f"            at {_short(finding.where)}"
    if finding.expected or finding.found:
        yield f"            expected {_short(finding.expected or '–')}"
        yield f"            found    {_short(finding.found or '–')}"


def _scope(name: str, conclusion: Conclusion, paint: Paint) -> str:
    word, tone = WORDS[conclusion.verdict]
    known = {
        Evidence.RECOMPUTED: "recomputed here",
        Evidence.ATTESTED: f"attested by {', '.join(conclusion.by)}",
        Evidence.NONE: "",
    }[conclusion.evidence]
    told = "; ".join(part for part in (known, conclusion.detail) if part)
    return f"  {name.ljust(14)} {paint(word, tone)}  {told}"


# The first check that is not ok decides the advice: later ones often follow from it.
_CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("V01", "V02", "V03", "V04", "V05", "V06", "V07", "V09"),
        "the file was changed after it was sealed, or the download is damaged",
        "fetch the bundle again; if it fails again, tell the publisher and do not use it",
    ),
    (
        ("V08",),
        "parts of the bundle do not belong together: it was not made by one honest compile",
        "ask the publisher for a bundle that verifies; do not use this one",
    ),
    (
        ("V10", "V11", "V12", "V13", "V14", "V15"),
        "the claims about this bundle do not satisfy your policy",
        "ask the publisher for claims signed by a key that you trust: kolm keys list",
    ),
    (
        ("V16", "V17", "V18", "V19"),
        "a signer says something that the content contradicts",
        "do not use the bundle, and ask the signer",
    ),
    (
        tuple(f"V{n}" for n in range(20, 30)),
        "the adapter or its records are not what they are declared to be",
        "do not load the adapter; ask the publisher",
    ),
    (
        tuple(f"V{n}" for n in range(30, 40)),
        "a score does not follow from the published cases and outputs",
        "do not rely on the scores; ask the publisher",
    ),
    (
        ("V40", "V41", "V42", "V43"),
        "the base on this machine is not the one that the bundle was made for",
        "get the base that the lock pins: kolm inspect BUNDLE",
    ),
    (
        ("V46",),
        "running the cases again gives other answers than those recorded",
        "do not rely on the scores; ask the publisher",
    ),
    (
        ("V47", "V48", "V49"),
        "the pictures in the store are not the ones that the snapshot describes",
        "check that the store is the one the bundle was compiled from",
    ),
    (
        tuple(f"V{n}" for n in range(60, 70)),
        "the bundle is what it says, but not what your policy demands",
        "ask for a bundle that meets the policy, or change the policy",
    ),
)
_OTHER_ROLE = (
    "a key that you trust made claims of a kind that you do not believe it about",
    "if you do, name all its roles: kolm keys trust FILE --as NAME --role builder --role evaluator",
)
_ANOTHER = (
    "this is another bundle than the one that --id names",
    "get the bundle with that id, or ask the publisher which of the two is meant",
)
_NOT_REACHED = (
    "your policy demands a verdict that was not reached",
    "base_identity needs --base PATH; process cannot be reached by this version, so leave it out",
)
_UNTRUSTED = (
    "no key that you trust made the claims that your policy demands",
    "if you know whose key it is: kolm keys trust FILE --as NAME --role builder --role evaluator",
)
_UNKNOWN = (
    "this machine lacks something that is needed to answer",
    "see the lines marked 'could not look'",
)


_BY_CODE = {
    "E_KEY_NOT_TRUSTED": _UNTRUSTED,
    "E_KEY_ROLE": _OTHER_ROLE,
    "E_BUNDLE_ANOTHER": _ANOTHER,
    "E_VERDICT_NOT_REACHED": _NOT_REACHED,
}


def _advice(report: Verification) -> Iterator[str]:
    overall = report.conclusions.overall
    if overall.verdict is Verdict.OK:
        return
    first = next(r for r in report.checks if r.verdict is overall.verdict)
    codes = {finding.code for finding in first.findings}
    told = next((advice for code, advice in _BY_CODE.items() if code in codes), None)
    if told is None and overall.verdict is Verdict.FAILED:
        told = next((w, n) for numbers, w, n in _CAUSES if first.id in numbers)
    why, then = told or _UNKNOWN
    yield f"why   {why}"
    yield f"next  {then}"
    code = next((f.code for f in first.findings if f.code), None)
    yield f"more  kolm help {first.id}" + (f", kolm help {code}" if code else "")


def _short(text: str) -> str:
    return _KEY.sub(r"\1…", _DIGEST.sub(r"sha256:\1…", text))
