"""Replay on the embedded base: every segment gives its bits, wherever and however often, for its
share of the training's time.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical
from tests.support.lines import Line, make_gauges

pytestmark = pytest.mark.slow
SEGMENTS, STEPS = 20, 100
MATERIAL = ("--base", "kolm/nano-1", "--captures", "captures")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The gauges in twenty segments, compiled once, with their states in the bundle."""
    line = make_gauges(tmp_path_factory.mktemp("replay") / "first", steps=STEPS)
    spec = line.folder / "kolm.yaml"
    told = spec.read_text(encoding="utf-8").replace("segments: 4", f"segments: {SEGMENTS}")
    spec.write_text(told.replace("publish: {}", "publish: {checkpoints: bundle}"), encoding="utf-8")
    line.compile("--allow-below-gate")
    return line


def replay(line: Line, *words: str | Path) -> dict[str, Any]:
    """What is found; the gate is missed on purpose, so that the whole is refused."""
    ran = line.kolm("verify", line.bundle, *MATERIAL, *words, "--json")
    print(f"\n{' '.join(map(str, words))}: {ran.seconds:.0f} s")
    document = ran.document()
    return {**document["replay"], "seconds": ran.seconds, "report": document}


def test_every_segment_three_times(line: Line, tmp_path: Path) -> None:
    """By itself from its state, all from state 0, and elsewhere under other variables."""
    elsewhere = Line(
        folder=tmp_path / "a folder é",
        home=line.home,
        name=line.name,
        variables={"PYTHONHASHSEED": "4242", "TZ": "Asia/Kathmandu", "LANG": "de_DE.UTF-8"},
    )
    shutil.copytree(line.folder, elsewhere.folder, ignore=shutil.ignore_patterns(".kolm"))
    for where, words in ((line, "19"), (line, "all"), (elsewhere, "19")):
        found = replay(where, "--replay", words)
        assert found["equal"] == list(range(1, SEGMENTS + 1))
        assert found["report"]["conclusions"]["process"]["verdict"] == "ok"


def test_the_cost_is_the_share_of_the_segments(line: Line) -> None:
    """Steps and features; what every replay pays, whatever it runs, is what none of them is."""
    (trained,) = line.stage_folders("train")
    facts = canonical.loads((trained / "train.json").read_bytes(), where="train.json")
    training = float(facts["measured"]["train_seconds"])
    start = replay(line, "--replay", "0")["seconds"]
    for others in (1, 3):
        took = replay(line, "--replay", str(others))["seconds"]
        print(f"{others} besides the first: {took - start:.1f} s more, of {training:.0f} s trained")
        assert took - start <= 1.5 * others / SEGMENTS * training + 5
