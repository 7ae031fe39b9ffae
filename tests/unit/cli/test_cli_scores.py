"""What compile and check print: columns that do not touch, and what a training on pairs adds."""

import copy
import io
from pathlib import Path
from typing import Any

import click

from kolm import canonical
from kolm.cli import output
from kolm.cli.commands.check import _for_people
from kolm.cli.commands.compile import _what_helps
from kolm.cli.commands.sweep import _arguments
from kolm.cli.flags import Flags
from kolm.cli.scores import score_lines
from kolm.score.preference import summarise_preferences

VECTORS = Path(__file__).parents[2] / "vectors"


def read(path: str) -> Any:
    return canonical.loads((VECTORS / path).read_bytes(), where=path)


def test_after_a_training_on_pairs_it_is_said_which_answers_are_likelier() -> None:
    evaluation: Any = copy.deepcopy(read("evaluation/valid/typical.json"))
    kscore: Any = read("kscore/valid/typical.json")
    evaluation.pop("preference", None)
    out = output.Output(Flags(color="never"), io.StringIO(), io.StringIO())
    assert not any("preferred" in line for line in score_lines(evaluation, kscore, out))
    sides = {"chosen": "-1", "rejected": "-2"}
    other = {"chosen": "-2", "rejected": "-1"}
    rows: Any = [{"adapter": sides, "base": other}, {"adapter": other, "base": other}]
    evaluation["preference"] = summarise_preferences(rows)
    shown = [line for line in score_lines(evaluation, kscore, out) if "preferred" in line]
    assert len(shown) == 1
    assert shown[0].startswith("preferred  0.5   95 % ")
    assert "base 0   of 2 rejected answers" in shown[0]


def test_names_of_findings_stand_apart_from_what_is_said() -> None:
    findings: Any = [
        {"name": name, "verdict": "failed", "message": "it is not"}
        for name in ("spec", "validation side")
    ]
    shown = _for_people(
        findings,
        output.Output(Flags(color="never"), io.StringIO(), io.StringIO()),
    )
    lines = click.unstyle(shown).splitlines()
    assert {line.index("it is not") for line in lines} == {25}
    assert "validation side it is not" in shown


def test_below_the_gate_lower_floors_are_the_last_advice_and_more_steps_none() -> None:
    floors: Any = read("evaluation/valid/typical.json")["floors"]
    first, *others, last = _what_helps([{**floors[0], "passed": False}], wrong=True).splitlines()
    assert first.startswith("look at the wrong answers")
    assert "kolm sweep" in others[0]
    assert "train.validate_every" in others[1]
    assert "floors" in last
    assert "what is good enough" in last
    assert not any("steps" in line for line in (first, *others, last))
    assert "idle machine" in _what_helps([], wrong=True)


def test_where_no_answer_is_wrong_nobody_is_sent_to_look_at_wrong_ones() -> None:
    floors: Any = read("evaluation/valid/typical.json")["floors"]
    missed = [{**floors[0], "passed": False}]
    told = _what_helps(missed, wrong=False)
    assert "wrong answers" not in told
    assert told.splitlines()[-1] == _what_helps(missed, wrong=True).splitlines()[-1]


def test_a_sweep_ends_with_a_command_that_is_not_refused(tmp_path: Path) -> None:
    best = tmp_path / "kolm.best.yaml"
    assert _arguments(best, "scales") == str(best)
    (tmp_path / "scales.kolm").touch()
    assert _arguments(best, "scales") == f"{best} -o {tmp_path / 'scales.best.kolm'}"
