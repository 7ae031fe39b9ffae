"""Dossier: what a field is, what it holds of one bundle, and how that is known.

The standing of a value is never chosen: a field names what its value rests on, and the audit says
whether that was computed again, or on whose word it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from kolm.errors import Unreadable
from kolm.records.verification import CheckResult, Evidence, Verdict
from kolm.report.markup import visible
from kolm.verify.naming import keys

if TYPE_CHECKING:
    from kolm.records.verification import Conclusion, Verification
    from kolm.report.facts import Facts

Value = str | Mapping[str, str]
Standing = Literal["recomputed", "signed measurement", "declared"]

Part = dict[str, Any]  # of a document whose schema is somebody else's


class Field(NamedTuple):
    """One thing that documents ask for.

    Attributes:
        id: its name in dossier.json; of what a spec declares, the key.
        title: for people.
        read: its value of a bundle; None where nobody stated it, empty where it does not apply.
        rests: the checks and verdicts that compute the value again; none for a declaration.
        shown: the points of each document that show it.
        declare: the key of the spec's ``dossier`` that would state it.
        whose: who signed the claim that the value is read from; None where it is read from none.
    """

    id: str
    title: str
    read: Callable[[Facts], Value | None]
    rests: tuple[str, ...]
    shown: Mapping[str, tuple[str, ...]]
    declare: str = ""
    whose: Callable[[Facts], str | None] | None = None


class Stated(NamedTuple):
    """A field of one bundle; `by` are the keys on whose word a measurement rests."""

    field: Field
    value: Value
    standing: Standing
    by: tuple[str, ...]

    @property
    def text(self) -> str:
        """The value as one text."""
        if isinstance(self.value, str):
            return self.value
        return "; ".join(f"{name} {value}" for name, value in self.value.items())

    @property
    def known(self) -> str:
        """How the value is known, for people."""
        by = f" by {', '.join(self.by)}" if self.standing == "signed measurement" else ""
        return f"{self.standing}{by}"


class Dossier:
    """All fields of one verified bundle.

    Args:
        facts: the bundle with its audit.
        fields: the table.
    """

    def __init__(self, facts: Facts, fields: tuple[Field, ...]) -> None:
        self.facts = facts
        self.stated: dict[str, Stated] = {}
        self.missing: list[Field] = []
        for field in fields:
            value = field.read(facts)
            if value is None:
                self.missing.append(field)
            elif value:
                standing, names = standing_of(facts.audit, field.rests)
                if standing == "signed measurement" and field.whose is not None:
                    signer = field.whose(facts)
                    names = names if signer is None else (signer,)
                by = keys(names, facts.audit.signers)
                self.stated[field.id] = Stated(field, _seen(value), standing, by)

    def __contains__(self, name: str) -> bool:
        return name in self.stated

    def text(self, name: str) -> str:
        """The value of a field as one text; empty where nobody stated it."""
        return self.stated[name].text if name in self.stated else ""

    def table(self, name: str) -> Mapping[str, str]:
        """The value of a field that lists things."""
        value = self.stated[name].value if name in self.stated else {}
        return {} if isinstance(value, str) else value

    def at(self, document: str, point: str) -> Iterator[Stated]:
        """The stated fields that a point of a document shows."""
        return (s for s in self.stated.values() if point in s.field.shown.get(document, ()))

    def missing_at(self, document: str, point: str) -> Iterator[Field]:
        """The fields of a point that nobody stated."""
        return (f for f in self.missing if point in f.shown.get(document, ()))

    @property
    def counts(self) -> dict[str, int]:
        """How many fields have each standing."""
        found = Counter[str](s.standing for s in self.stated.values())
        return {name: found[name] for name in ("recomputed", "signed measurement", "declared")}

    @property
    def share(self) -> str:
        """The recomputed share of the stated fields, in words."""
        count = self.counts
        total = len(self.stated)
        percent = f"{100 * count['recomputed'] / total:.1f}"
        return (
            f"{count['recomputed']} of {total} stated fields recomputed from bytes ({percent} %), "
            f"{count['signed measurement']} measured and signed, {count['declared']} declared, "
            f"{len(self.missing)} not stated"
        )

    @cached_property
    def made_on(self) -> str:
        """When the bundle was made, as who compiled it signed; the time that documents carry.

        Raises:
            Unreadable: ``E_DOSSIER_NO_TIME``: no trusted claim says.
        """
        found = self.facts.build
        if found is not None:
            return found[1]["runDetails"]["metadata"]["finishedOn"]
        raise Unreadable(
            "E_DOSSIER_NO_TIME",
            "no claim of a trusted builder says when the bundle was made, and each bill of "
            "materials carries a time",
            hint="kolm keys trust FILE --as NAME --role builder   trusts whoever compiled it",
        )


def standing_of(audit: Verification, rests: tuple[str, ...]) -> tuple[Standing, tuple[str, ...]]:
    """How something is known that rests on checks (``V33``) and verdicts (``process``); by whom.

    Recomputed is what every one of them computed again in this audit. What one of them did not
    look at stands on the word of whoever signed for it, or signed for the build.
    """
    if not rests:
        return "declared", ()
    answers = [_answer(audit, name) for name in rests]
    if "process" in rests and not _all_ran_again(audit):
        answers = [answer for answer in answers if isinstance(answer, CheckResult)]
        answers.append(_answer(audit, "V17"))
    if all(a.verdict is Verdict.OK and a.evidence is Evidence.RECOMPUTED for a in answers):
        return "recomputed", ()
    said = {name for answer in answers for name in answer.by} or set(_answer(audit, "V17").by)
    return ("signed measurement", tuple(sorted(said))) if said else ("declared", ())


def _all_ran_again(audit: Verification) -> bool:
    """Whether every segment of the training ran again: a draw shows those that were drawn."""
    replay = audit.replay
    return replay is not None and len(replay.equal) == replay.segments


def _seen(value: Value) -> Value:
    """A value in which no character is hidden, whatever wrote it."""
    if isinstance(value, str):
        return visible(value)
    return {visible(name): visible(text) for name, text in value.items()}


def _answer(audit: Verification, name: str) -> CheckResult | Conclusion:
    verdicts = audit.conclusions._asdict()
    if name in verdicts:
        found: Conclusion = verdicts[name]
        return found
    return next(check for check in audit.checks if check.id == name)


def day_of(text: str) -> str:
    """A day as ISO 8601 has it, or empty where the text names none that exists."""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""
