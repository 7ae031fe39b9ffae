"""The command line: how an evaluation and a K-score are shown to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kolm.cli.output import Output

CONTROLS = (
    ("base", "base"),
    ("without the picture", "blind"),
    ("most frequent answer", "majority"),
)
SHOWN_TEXT = 100  # characters of a prompt or answer; more would wrap


def score_lines(evaluation: Mapping[str, Any], kscore: Mapping[str, Any], out: Output) -> list[str]:
    """Accuracy with its interval, the controls, every floor, and K."""
    adapter = evaluation["adapter"]
    interval = adapter["interval"]
    asked = f"{evaluation['cases']} cases"
    if evaluation["distinct_questions"] < evaluation["cases"]:
        asked += f" ({evaluation['distinct_questions']} distinct questions)"
    cases = f"{asked}, {evaluation['covered']} covered"
    span = f"95 % {interval['low']} to {interval['high']}"
    controls = ((name, evaluation[key]["accuracy"]) for name, key in CONTROLS)
    lines = [
        f"accuracy   {adapter['accuracy']}   {span}   on {cases}",
        "controls   " + "   ".join(f"{name} {accuracy}" for name, accuracy in controls),
    ]
    if evaluation["cut_prompts"]:
        cut = f"{evaluation['cut_prompts']} prompts were cut to fit the budget of tokens"
        lines.append(f"{out.paint('note', 'warn')}       {cut}")
    for floor in evaluation["floors"]:
        mark = out.paint("ok    ", "good") if floor["passed"] else out.paint("FAILED", "bad")
        lines.append(
            f"  {mark} {floor['name']:24} demanded {floor['demanded']:8} "
            f"observed {floor['observed']}"
        )
    gate = kscore["gate"]
    mark = out.paint("ok    ", "good") if gate["k_passed"] else out.paint("FAILED", "bad")
    lines.append(f"  {mark} {'K-score':24} demanded {gate['k']:8} observed {kscore['composite']}")
    return lines


def overlap_line(overlap: Mapping[str, Any]) -> str:
    """What of the pack the bundle was trained on."""
    seen, cases = overlap["seen_cases"], overlap["cases"]
    images = f", {overlap['images']} pictures" if seen else ""
    near = overlap["near_twins"]
    twins = "near twins not looked at" if near is None else f"{near} more pictures have near twins"
    return f"overlap    {seen or 'none'} of {cases} cases seen in training{images}; {twins}"


def failing_lines(cases: Iterable[Mapping[str, str]]) -> list[str]:
    """Wrong answers, one case in three lines."""
    lines: list[str] = []
    for case in cases:
        lines += [
            f"wrong      {_short(case['prompt'])}",
            f"           expected  {_short(case['reference'])}",
            f"           answered  {_short(case['output'])}",
        ]
    return lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_TEXT else line[: SHOWN_TEXT - 1] + "…"
