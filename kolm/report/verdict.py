"""Report: the verdict in words, who vouches for what, every check, what is not shown, and how to
look again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from xml.etree.ElementTree import Element

from kolm.counting import counted
from kolm.records.verification import CheckResult, Conclusion, Evidence, Finding, SignedBy, Verdict
from kolm.report.facts import Facts
from kolm.report.markup import element, pairs, said, section, table
from kolm.sign.predicates import WORDS as CLAIMS
from kolm.verify.gaps import gaps
from kolm.verify.naming import keys

WORDS = {
    Verdict.OK: ("ok", "good"),
    Verdict.FAILED: ("FAILED", "bad"),
    Verdict.COULD_NOT_LOOK: ("could not look", "open"),
    Verdict.NOT_CHECKED: ("not checked", "open"),
}
_OVERALL = {
    Verdict.OK: ("Accepted", "Every question that was asked is answered, and nothing is wrong."),
    Verdict.FAILED: ("Refused", "Something that this bundle says does not hold."),
    Verdict.COULD_NOT_LOOK: ("Undecided", "Something that decides could not be looked at."),
    Verdict.NOT_CHECKED: ("Undecided", "Nothing that decides was looked at."),
}
_SCOPES = {
    "delta_scope": "What was changed: only the declared modules differ from the base",
    "base_identity": "The base: it is the one that the lock pins",
    "process": "The process: training ran as the trace says",
    "scores": "The scores: they follow from the recorded answers",
}


def banner(facts: Facts) -> Element:
    """The overall verdict, for the head of the page."""
    overall = facts.audit.conclusions.overall
    word, sentence = _OVERALL[overall.verdict]
    _, tone = WORDS[overall.verdict]
    wrong = [check for check in facts.audit.checks if check.verdict is overall.verdict]
    return element(
        "div",
        element("p", word, class_="word"),
        element("p", sentence),
        [_named(check) for check in wrong[:3]] if overall.verdict is not Verdict.OK else (),
        class_=f"banner {tone}",
    )


def verdicts(facts: Facts) -> Element:
    """The verdicts one by one: what, the answer, how it is known, and by whom."""
    audit = facts.audit
    rows = [
        (
            _SCOPES[name],
            _badge(conclusion.verdict),
            _known(conclusion, facts),
            said(conclusion.detail),
        )
        for name in _SCOPES
        if (conclusion := getattr(audit.conclusions, name, None)) is not None
    ]
    demands = [
        (
            said(demand.name.replace("_", " ")),
            "the auditor's policy" if demand.by == "policy" else "the publisher's own floors",
            said(demand.demanded),
            said(demand.observed or "–"),
            _badge(demand.verdict),
        )
        for demand in audit.demands
    ]
    return section(
        "Verdict",
        table(("Question", "Answer", "Known by", "In words"), rows),
        [
            element("h3", "Demanded of the scores"),
            table(("What", "By", "Demanded", "Observed", "Answer"), demands),
        ]
        if demands
        else (),
        id_="verdict",
    )


def vouching(facts: Facts) -> Element:
    """Who signed, what kind of claims, and whether the auditor knew the key."""
    rows = [
        (
            element("code", signer.keyid[:16]),
            _called(signer),
            ", ".join(CLAIMS.get(kind, kind) for kind in signer.predicates),
            signer.stated_at or "–",
            said(f"{signer.stamped_at}, {signer.stamped_by}") if signer.stamped_at else "–",
        )
        for signer in facts.audit.signers
    ]
    return section(
        "Who vouches",
        table(("Key", "Called", "Says", "At, by its own clock", "Time stamp"), rows)
        if rows
        else element("p", "Nobody, as far as could be read."),
        element(
            "p",
            "“Recomputed” means that the auditor’s machine computed it again from the bytes of the "
            "bundle. “Attested” means that somebody named here says so, and nobody else can know "
            "from this bundle alone.",
        ),
        id_="vouching",
    )


def _called(signer: SignedBy) -> Element:
    if not signer.name:
        return element("em", "not trusted by the auditor")
    if signer.claims:
        return said(signer.name)
    return element("span", said(signer.name), element("em", ", whose claims do not count"))


def not_shown(facts: Facts) -> Element:
    """What this audit does not show."""
    rows = [(gap.what, element("code", gap.option)) for gap in gaps(facts.audit)]
    return section(
        "What this does not show", table(("Not shown", "What would show it"), rows), id_="gaps"
    )


def checks(facts: Facts) -> Element:
    """Every check with its answer, folded by family; those that failed are open."""
    folded = []
    for family, results in groupby(facts.audit.checks, key=lambda check: check.family):
        found = list(results)
        wrong = [
            check for check in found if check.verdict in (Verdict.FAILED, Verdict.COULD_NOT_LOOK)
        ]
        held = sum(check.verdict is Verdict.OK for check in found)
        title = f"{family}: {held} of {counted(len(found), 'check')} hold"
        body = table(
            ("Check", "Question", "Answer", "How, and what was seen"),
            (
                (check.id, check.question, _badge(check.verdict), _seen(check, facts))
                for check in found
            ),
        )
        details = element("details", element("summary", title), body)
        if wrong:
            details.set("open", "open")
        folded.append(details)
    return section("Every check", folded, id_="checks")


def again(facts: Facts) -> Element:
    """How to look again, on a machine of one's own."""
    audit = facts.audit
    command = f"kolm verify FILE.kolm --id {audit.bundle.cid}"
    return section(
        "Look again",
        element(
            "p",
            "This page is a copy of what one audit found; it is not signed and proves nothing by "
            "itself. The bundle does. On a machine without network or torch:",
        ),
        element("pre", command),
        pairs(
            (
                ("content id", element("code", audit.bundle.digest or "–")),
                ("policy", said(f"{audit.policy.name}, {audit.policy.digest}")),
                ("trust", element("code", audit.trust)),
                ("checked", f"{audit.checked_at}, by kolm {audit.kolm}"),
            )
        ),
        id_="again",
    )


def _named(check: CheckResult) -> Element:
    detail = check.findings[0].detail if check.findings else check.detail
    return element("p", f"{check.id}: {check.question} – ", said(detail))


def _badge(verdict: Verdict) -> Element:
    word, tone = WORDS[verdict]
    return element("span", word, class_=f"badge {tone}")


def _known(conclusion: Conclusion | CheckResult, facts: Facts) -> str:
    if conclusion.evidence is Evidence.RECOMPUTED:
        return "recomputed"
    if conclusion.evidence is Evidence.ATTESTED:
        return f"attested by {', '.join(keys(conclusion.by, facts.audit.signers))}"
    return "–"


def _seen(check: CheckResult, facts: Facts) -> Element:
    lines = [element("div", _known(check, facts), ": " if check.detail else "", said(check.detail))]
    if check.verdict in (Verdict.FAILED, Verdict.COULD_NOT_LOOK):
        lines += [_finding(finding, check.id) for finding in check.findings]
    return element("div", lines)


def _finding(finding: Finding, check: str) -> Element:
    return element("div", said("; ".join(_parts(finding, check))), class_="finding")


def _parts(finding: Finding, check: str) -> Iterator[str]:
    yield finding.told(check)
    if finding.where:
        yield f"at {finding.where}"
    if finding.expected or finding.found:
        yield f"expected {finding.expected or '–'}, found {finding.found or '–'}"
