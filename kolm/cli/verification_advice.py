"""The command line: why a verification did not pass, in one line, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from kolm.records.verification import Verdict, Verification

_MISSED = (
    "the bundle is what it says, but not what your policy demands",
    "ask for a bundle that meets the policy, or write your own: kolm policy new --for PURPOSE",
)
_MISSED_AND_OPEN = (  # a stranger's bundle, for one: nobody knows that it is what it says
    "it is not what your policy demands, and other questions could not be answered",
    "ask for a bundle that meets the policy, or write your own; -v shows what is open",
)
_NOT_ANSWERED = (  # the policy is the request's, which is signed
    "it does not meet the policy that the request brings",
    "ask whoever compiled it for a bundle that does, or make another request: kolm request new",
)
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
        ("V16", "V17", "V18", "V19", "V56", "V57"),
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
        "running the cases again produces other answers than those recorded",
        "do not rely on the scores; ask the publisher",
    ),
    (
        ("V47", "V48", "V49"),
        "the pictures in the store are not the ones that the snapshot describes",
        "check that the store is the one the bundle was compiled from",
    ),
    (
        ("V55",),
        "training cannot have read the captures in the order that the trace says",
        "do not rely on the trace; ask the publisher",
    ),
    (
        ("V50", "V51", "V52", "V53"),
        "the training did not run as the trace says: run again, it gives other states",
        "do not use the bundle; ask the publisher",
    ),
    (tuple(f"V{n}" for n in range(60, 70)), *_MISSED),
)
_OTHER_ROLE = (
    "a key that you trust made claims outside the roles that you gave it",
    "if you do, name all its roles: kolm keys trust FILE --as NAME --role builder --role evaluator",
)
_OTHER_SHAPE = (
    "a document has a shape that this kolm does not read: another kolm made it, or it was changed",
    "verify it with the kolm that made it, or ask for a bundle compiled again with this one",
)
_ANOTHER = (
    "this is another bundle than the one that --id names",
    "get the bundle with that id, or ask the publisher which of the two is meant",
)
_NEEDS = {
    "base_identity": "base_identity needs --base FOLDER, or a name such as --base kolm/nano-1",
    "process": "process needs --replay all --captures STORE",
}
_NOT_REACHED = (
    "your policy demands a verdict that was not reached",
    "-v shows what is open",
)
_WITHHELD = (
    "the publisher withheld the text, so that no score could be computed again here",
    "add --captures with the publisher's store, or a policy that takes their word for scores",
)
_UNTRUSTED = (
    "no key that you trust made the claims that your policy demands",
    "if you know whose key it is: kolm keys trust FILE --as NAME --role builder --role evaluator",
)
_UNKNOWN = (
    "this machine lacks something that is needed to answer",
    "see the lines marked 'could not look'",
)


_UNSTAMPED = (
    "your policy demands a time stamp by an authority that you trust",
    "if you know the authority: kolm keys authority FILE --as NAME",
)
_NOT_HANDED = (
    "the publisher did not hand over the states with which segments of the training begin",
    "ask for them and give them with --states PATH, or run all segments: --replay all",
)
_NOT_REACHED_CODE = "E_VERDICT_NOT_REACHED"
_BY_CODE = {
    "E_TIMESTAMP_NOT_TRUSTED": _UNSTAMPED,
    "E_KEY_NOT_TRUSTED": _UNTRUSTED,
    "E_KEY_ROLE": _OTHER_ROLE,
    "E_BUNDLE_ANOTHER": _ANOTHER,
    "E_SCHEMA": _OTHER_SHAPE,
    "E_SCORES_WITHHELD": _WITHHELD,
    "E_STATE_NOT_HANDED_OVER": _NOT_HANDED,
    _NOT_REACHED_CODE: _NOT_REACHED,
}


def _codes(report: Verification) -> set[str]:
    return {finding.code for check in report.checks for finding in check.findings if finding.code}


def _needs(report: Verification) -> str:
    """What must be given for the verdicts that the policy demands and that were not reached."""
    told = [f.detail for c in report.checks for f in c.findings if f.code == _NOT_REACHED_CODE]
    wanted = [need for name, need in _NEEDS.items() if any(f"demands {name}:" in t for t in told)]
    return "; ".join(wanted) or _NOT_REACHED[1]


def advice(report: Verification) -> Iterator[str]:
    """The lines; none where the bundle was accepted."""
    overall = report.conclusions.overall
    if overall.verdict is Verdict.OK:
        return
    first = next(r for r in report.checks if r.verdict is overall.verdict)
    codes = {finding.code for finding in first.findings}
    told = next((known for code, known in _BY_CODE.items() if code in codes), None)
    if told is None and overall.verdict is Verdict.FAILED:
        told = next((w, n) for numbers, w, n in _CAUSES if first.id in numbers)
    requested = any(r.id == "V68" and r.verdict is not Verdict.NOT_CHECKED for r in report.checks)
    if told == _MISSED and requested:
        told = _NOT_ANSWERED
    elif told == _MISSED and any(r.verdict is Verdict.COULD_NOT_LOOK for r in report.checks):
        told = _MISSED_AND_OPEN
    why, then = told or _UNKNOWN
    if told == _MISSED_AND_OPEN and _NOT_REACHED_CODE in _codes(report):
        then = f"{then}; {_needs(report)}"
    elif told == _NOT_REACHED:
        then = _needs(report)
    yield f"why   {why}"
    yield f"next  {then}"
    code = next((f.code for f in first.findings if f.code), None)
    yield f"more  kolm help {first.id}" + (f", kolm help {code}" if code else "")
