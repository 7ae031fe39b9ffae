"""A run that looks at the validation side while it trains: losses, answers, and when it stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical
from kolm.events import Silent
from kolm.format.order import reading_of
from kolm.format.schedule import read_schedule
from kolm.format.trace import trace_follows
from tests.support.train_run import make_run, read_rows

pytest.importorskip("torch")
pytestmark = pytest.mark.heavy

ANSWERS = {"cases": 5, "max_new_tokens": 3, "metric": {"kind": "contains"}}


class Dies(Silent):
    """Ends the process, as it were, at a step."""

    def __init__(self, at: int) -> None:
        self._at = at

    def advanced(self, stage: str, done: int, **facts: Any) -> None:
        if stage == "train" and done == self._at:
            raise KeyboardInterrupt


def train(folder: Path, reporter: Any = None) -> list[dict[str, Any]]:
    """Train in this process; gives the rows of the trace."""
    from kolm.train import training

    training.train_run(folder, reporter or Silent())
    return read_rows(folder / "trace.jsonl")


def with_seeds_of(folder: Path, other: Path) -> None:
    """Seeds follow from all settings: give a run those of another one."""
    path = folder / "spec.lock.json"
    lock, own = (canonical.loads((f / path.name).read_bytes(), where="") for f in (folder, other))
    path.write_bytes(canonical.dumps({**lock, "seeds": own["seeds"]}))


def test_looking_and_answering_change_no_bit_of_the_training(tmp_path: Path) -> None:
    settings: Any = {"validation": 8, "steps": 6, "segments": 2, "method": {"dropout": "0.1"}}
    plain = make_run(tmp_path / "plain", **settings)
    settings["method"] = {"dropout": "0.1"}
    asked = {"every_steps": 2, "answers": ANSWERS}
    looking = make_run(tmp_path / "looking", **settings, looks=asked)
    with_seeds_of(looking, plain)
    train(plain)
    rows = train(looking)
    weights = "adapter_model.safetensors"
    assert (looking / weights).read_bytes() == (plain / weights).read_bytes()
    looks = [row for row in rows if row["kind"] == "validation"]
    assert [(row["step"], row["answers"]["cases"]) for row in looks] == [(2, 5), (4, 5), (6, 5)]
    lines = [json.loads(line) for line in (looking / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    scores = [line["validation_score"] for line in lines if "validation_score" in line]
    assert scores == [float(row["answers"]["score"]) for row in looks]
    assert all(line["memory_bytes"] > 0 for line in lines)


def test_a_run_that_stops_on_its_scores_goes_on_after_a_kill_and_can_be_recomputed(
    tmp_path: Path,
) -> None:
    settings: Any = {
        "validation": 6,
        "steps": 12,
        "segments": 6,
        "looks": {"every_steps": 2, "answers": ANSWERS},
        "early_stopping": {"patience": 2, "on": "metric"},
    }
    whole, killed = (make_run(tmp_path / name, **settings) for name in ("whole", "killed"))
    rows = train(whole)
    # Random weights never say a right answer: no score is a new best after the first look.
    assert [row["answers"]["score"] for row in rows if row["kind"] == "validation"] == ["0"] * 3
    assert rows[-1]["step"] == 6
    with pytest.raises(KeyboardInterrupt):
        train(killed, Dies(5))
    assert train(killed) == rows
    lock = canonical.loads((whole / "spec.lock.json").read_bytes(), where="lock")
    examples = read_rows(whole / "examples.jsonl")
    assert list(trace_follows(rows, reading_of(read_schedule(lock), examples), lock["train"])) == []
