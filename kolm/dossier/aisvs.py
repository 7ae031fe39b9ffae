"""Dossier: OWASP's Artificial Intelligence Security Verification Standard 1.0, control by control.

Which of kolm's numbered checks speak to a control, and what they answered for this file. The
controls are in kolm's words; a control about an organisation's own running is not a file's to meet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kolm.dossier import forms
from kolm.dossier.fields import Dossier
from kolm.records.verification import Verdict
from kolm.verify.findings import NOTHING


class Control(NamedTuple):
    """A control, the checks that speak to it, and how far they reach."""

    number: str
    level: int
    asks: str
    checks: tuple[str, ...]
    reach: str


CONTROLS: Final = (
    Control("1.1.2", 2, "an inventory of training data with origin and licence", ("V34", "V47"),
            "every capture is a leaf of one root; origin and licence are declared"),
    Control("1.1.3", 2, "integrity of training data at rest and in transit", ("V34", "V47"),
            "against the store with --captures"),
    Control("1.1.4", 2, "training data is guarded against modification", ("V34", "V47", "V48"),
            "a changed capture has another id; pictures with --captures"),
    Control("1.2.2", 2, "cryptographic integrity of labels", ("V30", "V34"),
            "the reference answer is part of what is hashed"),
    Control("3.1.1", 1, "a registry of models and their origin", ("V09", "V17"),
            "the file names itself and its origin; kolm registry is one that holds it"),
    Control("3.1.2", 2, "every artifact of a model is signed", ("V03", "V11", "V12", "V13"),
            "one signed content id covers weights, configuration, data roots and scores"),
    Control("3.1.3", 2, "signatures are verified at admission and on load",
            ("V10", "V11", "V12", "V13", "V14", "V15"),
            "kolm run, pull and publish verify first"),
    Control("3.2.1", 1, "tests before deployment", ("V30", "V31", "V32", "V33", "V37"),
            "accuracy with controls; safety of answers is not tested"),
    Control("3.2.2", 2, "tests again after quantisation", ("V28", "V33"),
            "scores are those of the base as the lock holds it; no later quantisation"),
    Control("3.3.2", 2, "a rollback restores the whole state", ("V09", "V41"),
            "a content id fixes adapter and base root; the base with --base"),
    Control("3.5.1", 2, "models of preference training are versioned and verified",
            ("V08", "V41"), "base and reference are pinned in the lock; the base with --base"),
    Control("3.5.3", 3, "each stage's output is verified before the next", ("V08", "V50"),
            "the chain of states; from state 0 with --replay"),
    Control("3.5.4", 3, "checkpoints are artifacts of their own", ("V08", "V52", "V53"),
            "each has a digest in the trace; run again with --replay"),
    Control("6.1.1", 1, "models are scanned for code", ("V04", "V06"),
            "the file can hold no code: members are a closed list of data"),
    Control("6.1.2", 1, "weights, data and adapters come from approved sources", ("V11", "V60"),
            "trusted keys; base roots where the policy lists them"),
    Control("6.1.3", 2, "third-party artifacts can be verified",
            ("V03", "V09", "V40", "V41", "V42"), "the file by itself, the base with --base"),
    Control("6.1.4", 2, "acceptance tests before promotion", ("V37", "V62"),
            "the publisher's gate and the auditor's policy"),
    Control("6.2.1", 1, "a machine-readable bill of materials", ("V08", "V09"),
            "bom.cdx.json and bom.spdx.json follow from the verified file"),
    Control("6.2.2", 2, "the bill of materials is signed", ("V11", "V12"),
            "its source is signed; the bill is derived from it, the same bytes each time"),
    Control("6.2.3", 2, "a missing element fails the build", ("V67",),
            "kolm compile --policy stops where a demanded declaration is missing"),
)  # fmt: skip
_OPENING: Final = (
    "Controls of the *Artificial Intelligence Security Verification Standard* 1.0 to which this "
    "file speaks, with kolm's numbered checks (`kolm help V11` says what one asks). All other "
    "controls are about how somebody runs a system, and no file meets them."
)
_WORDS: Final = {
    Verdict.OK: "holds",
    Verdict.NOT_CHECKED: "not looked at",
    Verdict.COULD_NOT_LOOK: "could not look",
    Verdict.FAILED: "FAILED",
}


def render(dossier: Dossier) -> bytes:
    """The table as Markdown."""
    answers = {
        check.id: "nothing demanded" if check.detail == NOTHING else _WORDS[check.verdict]
        for check in dossier.facts.audit.checks
    }
    rows = (
        (
            c.number,
            str(c.level),
            c.asks,
            ", ".join(f"{number} {answers[number]}" for number in c.checks),
            c.reach,
        )
        for c in CONTROLS
    )
    text = "\n\n".join(
        (
            "# OWASP AISVS 1.0",
            _OPENING,
            forms.opening(dossier),
            forms.table(("control", "level", "asks for", "checks", "how far"), rows),
        )
    )
    return (text + "\n").encode("utf-8")
