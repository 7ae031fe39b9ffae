"""The command line: how an evaluation and a K-score are shown to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kolm.counting import counted
from kolm.score import floors

if TYPE_CHECKING:
    from kolm.cli.output import Output
    from kolm.records.documents import (
        Evaluation,
        EvaluationPreference,
        Kscore,
        KscorePackOverlap,
        Receipt,
    )

SHOWN_TEXT = 100  # characters of a prompt or answer; more would wrap


def score_lines(evaluation: Evaluation, kscore: Kscore, out: Output) -> list[str]:
    """Accuracy with its interval, the controls, every floor, and K."""
    adapter = evaluation["adapter"]
    interval = adapter["interval"]
    asked = counted(evaluation["cases"], "case")
    if evaluation["distinct_questions"] < evaluation["cases"]:
        asked += f" ({evaluation['distinct_questions']} distinct questions)"
    cases = f"{asked}, {evaluation['covered']} covered"
    span = f"95 % {interval['low']} to {interval['high']}"
    controls = (
        ("base", evaluation["base"]["accuracy"]),
        *[("without the picture", b["accuracy"]) for b in [evaluation["blind"]] if b],
        ("most frequent answer", evaluation["majority"]["accuracy"]),
    )
    lines = [
        f"accuracy   {adapter['accuracy']}   {span}   on {cases}",
        "controls   " + "   ".join(f"{name} {accuracy}" for name, accuracy in controls),
        f"swapped    {evaluation['swapped']['accuracy']}   by another reference of the question",
    ]
    together = evaluation["clustered"]
    if together["largest"] > 1:
        low, high = together["adapter"]["low"], together["adapter"]["high"]
        shown = f"by {together['clusters']} groups of cases that share pictures"
        lines.append(f"clustered  95 % {low} to {high}   {shown}")
    lines += [
        f"figure     {one['name']} {one['adapter'] or 'none'}   base {one['base'] or 'none'}"
        for one in evaluation["figures"]
    ]
    if "preference" in evaluation:
        lines.append(_preference_line(evaluation["preference"]))
    if evaluation["cut_prompts"]:
        cut = counted(evaluation["cut_prompts"], "prompt")
        lines.append(f"{out.paint('note', 'warn')}       {cut} cut to fit train.max_seq_length")
    gate = kscore["gate"]
    held: list[tuple[str, str | None, str | None, bool | None]] = [
        (f["name"], f["demanded"], f["observed"], f["passed"]) for f in evaluation["floors"]
    ]
    held.append(("K-score", gate["k"], kscore["composite"], gate["k_passed"]))
    return [*lines, *(_floor_line(*floor, out) for floor in held)]


def _preference_line(measured: EvaluationPreference) -> str:
    adapter = measured["adapter"]
    low, high = adapter["interval"]["low"], adapter["interval"]["high"]
    return (
        f"preferred  {adapter['accuracy']}   95 % {low} to {high}   base "
        f"{measured['base']['accuracy']}   of {counted(measured['cases'], 'rejected answer')}, "
        "the reference is likelier"
    )


def _floor_line(
    name: str, demanded: str | None, observed: str | None, passed: bool | None, out: Output
) -> str:
    if observed is None:
        return f"  {out.paint('none  ', 'warn')} {name:24} not applicable: {floors.ABSENT[name]}"
    marks = {True: ("ok    ", "good"), False: ("FAILED", "bad"), None: ("off   ", "warn")}
    text, style = marks[passed]
    wanted = floors.told(name, demanded)
    return f"  {out.paint(text, style)} {name:24} demanded {wanted:10} observed {observed}"


def training_text(receipt: Receipt) -> str:
    """By what method, for how many steps and on how many captures, as a receipt says."""
    trained = receipt["vlm_train"]
    objective = trained["objective"]["kind"]
    learned = "" if objective == "sft" else f" by {objective}"
    return (
        f"{trained['method']['kind']}{learned}, {counted(trained['steps'], 'step')} on "
        f"{counted(trained['train_examples'], 'capture')}"
    )


def accuracy_text(evaluation: Evaluation) -> str:
    """The adapter's accuracy with its interval, and on how many cases."""
    adapter = evaluation["adapter"]
    low, high = adapter["interval"]["low"], adapter["interval"]["high"]
    return f"{adapter['accuracy']} ({low} to {high}) on {counted(evaluation['cases'], 'case')}"


def overlap_line(overlap: KscorePackOverlap) -> str:
    """What of the pack the bundle was trained on."""
    seen, cases = overlap["seen_cases"], overlap["cases"]
    images = f", {counted(overlap['images'], 'picture')}" if seen else ""
    near = overlap["near_twins"]
    more = f"{counted(near or 0, 'more picture')} with a near twin"
    twins = "near twins not looked at" if near is None else more
    return f"overlap    {seen or 'none'} of {cases} cases seen in training{images}; {twins}"


def rival_lines(kscore: Kscore) -> list[str]:
    """Who else answered, how well, and who does better in how many cases."""
    lines = []
    for rival in kscore.get("rivals", ()):
        low, high = rival["interval"]["low"], rival["interval"]["high"]
        paired, asked = rival["paired"], counted(rival["cases"], "case")
        mean = f"accuracy {rival['accuracy']}   95 % {low} to {high}"
        covered = f"{rival['covered']} of {asked} covered"
        wins = f"only the bundle {paired['bundle_only']}, only the rival {paired['rival_only']}"
        lines += [
            f"rival      {rival['who']['name']}   {mean}   {covered}",
            f"           {wins}, p {paired['p']}",
        ]
    return lines


def failing_lines(cases: Iterable[Mapping[str, str]]) -> list[str]:
    """Wrong answers, one case in three lines."""
    lines: list[str] = []
    for case in cases:
        lines += [
            f"wrong      {_short(' '.join((case.get('name', ''), case['prompt'])))}",
            f"           expected  {_short(case['reference'])}",
            f"           answered  {_short(case['output'])}",
        ]
    return lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_TEXT else line[: SHOWN_TEXT - 1] + "…"
