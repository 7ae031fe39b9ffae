"""The command line: a verification on one screen: at most 25 lines of 80 columns.

Verdict, signers, the verdicts one by one, what they rest on, and what they do not show. Every
check by its number is in verification_text.py, for ``-v``.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from kolm.cli.folding import folded
from kolm.cli.verification_advice import advice
from kolm.cli.verification_text import TITLES, WORDS, Paint, called, short
from kolm.counting import counted
from kolm.records.verification import (
    CheckResult,
    Conclusion,
    Evidence,
    Finding,
    SignedBy,
    Verdict,
    Verification,
)
from kolm.sign.predicates import ENDORSEMENT, PROVENANCE
from kolm.verify.claim_states import OWN_PACK
from kolm.verify.demands import POLICY
from kolm.verify.gaps import gaps
from kolm.verify.naming import keys

WIDTH, HEIGHT = 80, 25
_WRONG_SHOWN = 2  # checks; -v shows the others
_LABEL = 15
_ABOVE = "lower_bound_above_"


class Room(NamedTuple):
    """What a summary may take: lines of a text about what holds or was not looked at, checks that
    are told with their cause, and whether verdicts that do not decide are named at all."""

    lines: int
    wrong: int
    others: bool


# What gives way so that a summary fits, in this order; -v shows it. A cause is never cut.
_ROOMS = (
    *(Room(lines, _WRONG_SHOWN, others=True) for lines in (4, 3, 2, 1)),
    Room(1, 1, others=True),
    Room(1, 1, others=False),
)


def summarise(report: Verification, *, paint: Paint) -> str:
    """The report as at most 25 lines of 80 columns, or more where causes need them.

    Args:
        report: the verification.
        paint: colours a piece of text by tone.
    """
    lines: list[str] = []
    for room in _ROOMS:
        spaced = list(_lines(report, paint, room))
        lines = [line for line in spaced if line]
        if len(lines) <= HEIGHT:  # empty lines give way before words do
            return "\n".join(spaced if len(spaced) <= HEIGHT else lines)
    return "\n".join(lines)


def _lines(report: Verification, paint: Paint, room: Room) -> Iterator[str]:
    overall = report.conclusions.overall.verdict
    yield from _head(report, paint)
    yield ""
    yield from _scopes(report, paint, room)
    yield ""
    if overall is Verdict.OK:
        yield from (
            *_minima(report),
            *_basis(report.checks, report.signers, room.lines),
            *_gaps(report),
        )
    else:
        told = (part for line in advice(report) for part in folded(line, WIDTH))
        yield from (*_wrong(report, paint, room.wrong), *told)
    deciding = (check.id for check in report.checks if check.verdict is overall)
    shown = "V21" if overall is Verdict.OK else next(deciding)
    yield f"Every check: kolm verify -v. What one of them asks: kolm help {shown}."


def _head(report: Verification, paint: Paint) -> Iterator[str]:
    label, tone = TITLES[report.conclusions.overall.verdict]
    bundle = report.bundle
    yield f"{paint(label, tone)}  {_cut(bundle.name or bundle.path, WIDTH - 14)}"
    yield _row("id", bundle.cid or "no manifest to take it from")
    yield from _signers(report.signers)
    yield _row("policy", f"{report.policy.name} {short(report.policy.digest)}")


def _signers(signers: Sequence[SignedBy]) -> Iterator[str]:
    if not signers:
        yield _row("signed by", "nobody, as far as could be read")
        return
    behind = [signer for signer in signers if signer.predicates == (ENDORSEMENT,)]
    made = [signer for signer in signers if signer not in behind] or behind
    made = [signer for signer in made if signer.claims] or made  # -v names the others as well
    made.sort(key=lambda signer: PROVENANCE not in signer.predicates)  # whoever built it first
    first = made[0]
    yield _row("signed by", _keys(made))
    if first.stated_at:
        when = first.stated_at[:16].replace("T", " ")
        alone = "" if first.stamped_at else "; no time stamp"
        yield _row("signed at", f"{when} UTC, as the signer says{alone}")
    if first.stamped_at:
        yield _row("stamped at", _stamped(first))
    if behind and behind != made:
        yield _row("endorsed by", _keys(behind))
        if behind[0].stamped_at:
            yield _row("stamped at", _stamped(behind[0]))


def _keys(signers: Sequence[SignedBy]) -> str:
    first, *others = signers
    more = f", and {counted(len(others), 'more key')}" if others else ""
    return f"key {first.keyid[:16]}, {called(first)}{more}"


def _stamped(signer: SignedBy) -> str:
    return f"{(signer.stamped_at or '')[:16].replace('T', ' ')} UTC, by {signer.stamped_by}"


def _scopes(report: Verification, paint: Paint, room: Room) -> Iterator[str]:
    conclusions = report.conclusions
    for name in conclusions._fields:
        said: Conclusion = getattr(conclusions, name)
        decides = said.verdict in (Verdict.FAILED, Verdict.COULD_NOT_LOOK)
        if name != "overall" and (decides or room.others):
            most = None if decides else room.lines
            yield from _scope(name.replace("_", " "), said, report.signers, paint, most)
    if room.others:
        yield from _scored_elsewhere(report, room.lines)


def _scored_elsewhere(report: Verification, most: int) -> Iterator[str]:
    """What others measured on cases of their own, which nobody can recompute from the bundle."""
    elsewhere = [score for score in report.scored if score.owner != OWN_PACK]
    for number, score in enumerate(elsewhere[:most]):
        (by,) = keys((score.by,), report.signers)
        label = "" if number else "other cases"
        yield _row(label, f"accuracy {score.accuracy}, attested by {by}")
    if elsewhere[most:]:
        yield _row("", f"and {len(elsewhere) - most} more: kolm verify -v")


def _scope(
    name: str, conclusion: Conclusion, signers: Sequence[SignedBy], paint: Paint, most: int | None
) -> Iterator[str]:
    word, tone = WORDS[conclusion.verdict]
    told = conclusion.detail
    if conclusion.evidence is Evidence.ATTESTED:
        told = f"attested by {', '.join(keys(conclusion.by, signers))}"
    elif conclusion.evidence is Evidence.RECOMPUTED and conclusion.verdict is Verdict.OK:
        told = f"recomputed: {told}"
    first, *rest = _wrapped(told, WIDTH - 32, most)
    yield f"  {name.ljust(_LABEL)}{paint(word.ljust(15), tone)}{first}"
    yield from (f"{'':32}{line}" for line in rest)


def _minima(report: Verification) -> Iterator[str]:
    """What the policy demands of the scores and what was observed; the publisher's in -v."""
    met = [demand for demand in report.demands if demand.by == POLICY]
    above = [demand for demand in met if demand.name.startswith(_ABOVE)]
    told = [
        f"{demand.name.replace('_', ' ')} {demand.observed} ({demand.demanded.partition(',')[0]})"
        for demand in met
        if demand not in above
    ]
    if above:  # one number beside several
        beside = ", ".join(
            f"{demand.name.removeprefix(_ABOVE)} {demand.demanded.removeprefix('above ')}"
            for demand in above
        )
        told.insert(1, f"lower bound {above[0].observed} (above {beside})")
    for number, line in enumerate(folded("; ".join(told), WIDTH - _LABEL - 2)):
        yield _row("" if number else "policy asks", line)


def _basis(checks: Sequence[CheckResult], signers: Sequence[SignedBy], most: int) -> Iterator[str]:
    held = [check for check in checks if check.verdict is Verdict.OK]
    here = [check for check in held if check.evidence is Evidence.RECOMPUTED]
    words = [check for check in held if check.evidence is Evidence.ATTESTED]
    families = ", ".join(family for family, _ in groupby(here, key=lambda check: check.family))
    yield from _rows("recomputed", f"{len(here)} checks: {families}", most)
    if words:
        by = keys(sorted({name for check in words for name in check.by}), signers)
        yield from _rows("attested", f"{_numbers(words)} by {', '.join(by)}", most)
    rest = [check for check in checks if check.verdict is Verdict.NOT_CHECKED]
    if rest:
        yield _row("not looked at", _numbers(rest))


def _gaps(report: Verification) -> Iterator[str]:
    """What nobody looked at, in words, with the option that would."""
    yield "This does not show:"
    for gap in gaps(report):
        yield f"  {gap.what.ljust(50)}{gap.option}"


def _wrong(report: Verification, paint: Paint, shown: int) -> Iterator[str]:
    """The first checks that decide the overall answer, each with its first finding."""
    verdict = report.conclusions.overall.verdict
    deciding = [check for check in report.checks if check.verdict is verdict]
    word, tone = WORDS[verdict]
    for check in deciding[:shown]:
        lead = f"  {check.id} {word}  "
        asked, *rest = _wrapped(check.question, WIDTH - len(lead))
        yield f"{lead.replace(word, paint(word, tone))}{asked}"
        yield from (f"{'':{len(lead)}}{line}" for line in rest)
        for finding in check.findings[:1]:
            for told in (finding.detail, *_place(finding)):
                yield from (f"      {line}" for line in _wrapped(told, WIDTH - 6))
    if len(deciding) > shown:
        yield _row("also", _numbers(deciding[shown:]))


def _place(finding: Finding) -> Iterator[str]:
    """Where, expected and found: on one line if they fit, else without the place."""
    differs = (
        f"expected {finding.expected or '–'}, found {finding.found or '–'}"
        if finding.expected or finding.found
        else ""
    )
    parts = [f"at {finding.where}" if finding.where else "", differs]
    told = ": ".join(part for part in parts if part)
    told = differs if differs and len(short(told)) > WIDTH - 6 else told
    if told:
        yield told


def _wrapped(text: str, width: int, most: int | None = None) -> list[str]:
    """The text in lines, all of them or `most`; a word longer than a line goes on in the next."""
    lines = folded(re.sub(rf"([^ ]{{{width}}})(?=[^ ])", r"\1 ", short(text)), width)
    if most is None or len(lines) <= most:
        return lines
    return [*lines[: most - 1], _cut(f"{lines[most - 1]} …", width)]


def _numbers(checks: Sequence[CheckResult]) -> str:
    """Numbers of checks, neighbours as a range: ``V40–V43, V46``."""
    runs: list[list[int]] = []
    for number in (int(check.id[1:]) for check in checks):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"V{run[0]:02}" if len(run) == 1 else f"V{run[0]:02}–V{run[-1]:02}" for run in runs
    )


def _rows(label: str, text: str, most: int) -> Iterator[str]:
    for number, line in enumerate(_wrapped(text, WIDTH - _LABEL - 2, most)):
        yield _row("" if number else label, line)


def _row(label: str, text: str) -> str:
    return f"  {label.ljust(_LABEL)}{_cut(text, WIDTH - _LABEL - 2)}"


def _cut(text: str, width: int) -> str:
    line = short(text)
    return line if len(line) <= width else line[: width - 1] + "…"
