"""Replay on the embedded base: every segment gives its bits, wherever and however often, for its
share of the training's time; and a training that was faked in part or from its start is found.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from math import comb
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from kolm import canonical, digest
from kolm.actions.compiling import compile_bundle
from kolm.actions.verification import verify
from kolm.bundle.reader import Bundle
from kolm.events import Fact, Silent
from kolm.format.names import TRACE
from kolm.run.folder import read_places
from kolm.run.names import CHECKPOINTS, RESULT
from kolm.train.checkpoints import CheckpointFolder
from kolm.verify.segments import draw_segments
from tests.support.lines import Line, coloured, make_gauges, same_answer

pytestmark = pytest.mark.slow
SEGMENTS, STEPS = 20, 100
ALIKE = 1.1  # by which two measurements of the same work may differ
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


def spent() -> float:
    """Processor seconds of this process and its children; another load on the machine adds none."""
    seconds = sum(os.times()[:4])  # with the children that have ended
    for listed in Path("/proc/self/task").glob("*/children"):
        for child in listed.read_text().split():
            facts = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            seconds += (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


class Clock(Silent):
    """Adds up the processor seconds of each stage that a child tells of."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._began: dict[str, float] = {}

    def started(self, stage: str, total: int | None, unit: str, done: int = 0) -> None:
        self._began[stage] = spent()

    def finished(self, stage: str, **facts: Fact) -> None:
        self.seconds[stage] += spent() - self._began.pop(stage)


class Cost(NamedTuple):
    """Processor seconds of an audit: of its steps, of the drawn pictures' features, and of what is
    left: the audit itself, and a child that starts and loads the base."""

    steps: float
    features: float
    start_up: float


def cost(line: Line, others: int) -> Cost:
    """What it costs to run the first segment and so many others again."""
    clock, began = Clock(), spent()
    captures = line.folder / "captures"
    found = verify(
        line.bundle, base="kolm/nano-1", captures=captures, replay=others, reporter=clock
    ).replay
    took = spent() - began
    assert found is not None
    assert len(found.equal) == others + 1
    steps, features = clock.seconds["replay"], clock.seconds["features"]
    assert steps > 0
    assert features > 0
    return Cost(steps, features, took - steps - features)


def test_the_cost_is_the_share_of_the_segments(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit of N segments and the first takes at most (N + 1) / 20 of the training, the features
    of the drawn pictures, and what it takes to start; the last is what an audit of the first
    segment alone takes beside its steps and features. The training is made again, to be measured
    as the audits are. Of three audits each, in turn, the one in the middle counts.
    """
    monkeypatch.setenv("KOLM_HOME", str(line.home))
    again = tmp_path / "again"
    shutil.copytree(line.folder, again, ignore=shutil.ignore_patterns(".kolm", "*.kolm"))
    clock = Clock()
    compile_bundle(again / "kolm.yaml", allow_below_gate=True, reporter=clock)
    training = clock.seconds["train"]
    rounds = [{others: cost(line, others) for others in (0, 1, 3)} for _ in range(3)]
    start_up = median(one[0].start_up for one in rounds)
    print(f"\ntrained {training:.1f} s; started in {start_up:.1f} s")
    for others in (1, 3):
        took = sorted((one[others] for one in rounds), key=sum)[1]
        share = (others + 1) / SEGMENTS * training
        print(f"{others} besides the first: {sum(took):.1f} s, {took}; share {share:.1f} s")
        assert sum(took) <= ALIKE * (share + took.features + start_up)


def failed(found: dict[str, Any]) -> set[str]:
    """The checks that refuse, without the policy's: the gate was missed on purpose."""
    checks = found["report"]["checks"]
    return {one["id"] for one in checks if one["verdict"] == "failed"} - {"V62"}


# What an attacker can do who holds a trusted key, by the very files that a training left


def faked(line: Line, folder: Path, edit: Callable[[Path], None]) -> Line:
    """The project, its training edited by `edit` and gone on with from the last state that it left;
    kolm evaluates, seals and signs what comes of it as if it were its own.
    """
    forger = Line(folder=folder / "project", home=line.home, name=line.name)
    shutil.copytree(line.folder, forger.folder)
    (trained,) = forger.stage_folders("train")
    (trained / RESULT).unlink()
    edit(trained)
    forger.compile("--allow-below-gate", "--force")
    return forger


def swap_adapter(trained: Path, step: int) -> digest.Digest:
    """Put another adapter into the state after a step; gives the state that this makes.

    The factors that start at zero, and the projector, stay: V29 knows where they started.
    """
    states = CheckpointFolder(trained / CHECKPOINTS)
    state, _ = states.load(step)
    for name, tensor in state.tensors.items():
        if name.startswith("weights.") and name.endswith(".lora_A.weight"):
            tensor += 0.01
    return states.save(state)


def swap_and_train_on(trained: Path, step: int) -> None:
    """Swap the adapter after a step, and leave nothing of what followed."""
    swap_adapter(trained, step)
    CheckpointFolder(trained / CHECKPOINTS).remove_after(step)


def swap_and_invent(trained: Path, step: int) -> None:
    """Swap the adapter in every state after a step, train nothing, and chain the states again."""
    rows = [row for _, _, row in canonical.read_lines((trained / TRACE).read_bytes(), where=TRACE)]
    chain = None
    for row in rows:
        if row["kind"] == "checkpoint":
            if row["step"] > step:
                row["state"] = swap_adapter(trained, row["step"])
            chain = row["state"] if chain is None else digest.chain(chain, row["state"])
            row["chain"] = chain
    (trained / TRACE).write_bytes(canonical.dump_lines(rows))


def caught(bundle: Path, bad: set[int], *, share: float = 0.1, draws: int = 200) -> float:
    """Print and give the share of draws that hold a bad segment; it is as often as predicted."""
    content = Bundle.open(bundle).content_id
    drawn, others = round(share * SEGMENTS), SEGMENTS - 1
    hits = sum(
        not bad.isdisjoint(
            draw_segments(SEGMENTS, drawn, content, digest.of_bytes(bytes([number])))
        )
        for number in range(draws)
    )
    predicted = 1 - comb(others - len(bad), drawn) / comb(others, drawn)
    print(f"{len(bad)} bad of {SEGMENTS}: {hits} of {draws} draws, predicted {predicted:.4f}")
    assert abs(hits / draws - predicted) < 4 * (predicted * (1 - predicted) / draws) ** 0.5
    return hits / draws


def test_a_training_half_of_which_is_invented_is_caught_as_often_as_predicted(
    line: Line, tmp_path: Path
) -> None:
    half = SEGMENTS // 2
    forger = faked(line, tmp_path, lambda trained: swap_and_invent(trained, STEPS // 2))
    found = replay(forger, "--replay", "19")
    assert failed(found) == {"V53"}
    assert found["equal"] == list(range(1, half + 1))
    assert found["differing"] == list(range(half + 1, SEGMENTS + 1))
    caught(forger.bundle, set(found["differing"]))


def test_an_adapter_swapped_half_way_and_trained_on_is_one_bad_segment(
    line: Line, tmp_path: Path
) -> None:
    half = SEGMENTS // 2
    forger = faked(line, tmp_path, lambda trained: swap_and_train_on(trained, STEPS // 2))
    found = replay(forger, "--replay", "19")
    assert failed(found) == {"V53"}
    assert found["differing"] == [half]
    caught(forger.bundle, {half})


def test_a_training_from_a_foreign_adapter_is_always_caught(line: Line, tmp_path: Path) -> None:
    """Its every step was really taken, so that state 0 alone is wrong; no draw decides on it."""
    forger = faked(line, tmp_path, lambda trained: swap_and_train_on(trained, 0))
    for drawn in ("0", "2"):
        assert failed(replay(forger, "--replay", drawn)) == {"V50"}


# Other trainings

PAIRS = [{**row, "rejected": "white square"} for row in coloured(64)]
OTHERS: dict[str, dict[str, Any]] = {
    "qlora": {"more": "  quantisation: nf4\n  optimizer: adamw_8bit\n"},
    "dpo": {"more": "  objective: dpo\n"},
    "two processes": {"more": "  processes: 2\n  accumulation: 2\n"},
    "stopped early": {
        "more": "  early_stopping: {patience: 1, every_steps: 2}\n", "steps": 80,
        "learning_rate": 0.05,
    },
}  # fmt: skip
PUBLISHED = "{checkpoints: bundle}"


@pytest.mark.parametrize("kind", OTHERS)
def test_other_trainings_are_replayed_whole_and_in_part(kind: str, tmp_path: Path) -> None:
    spec = {"steps": 16, "learning_rate": 0.003, **OTHERS[kind]}
    made = Line.make(tmp_path, rows=PAIRS, publish=PUBLISHED, **spec)
    made.compile("--allow-below-gate")
    (trained,) = made.stage_folders("train")
    assert read_places(trained).processes == (2 if kind == "two processes" else 1)
    ran = [row["step"] for row in Bundle.open(made.bundle).rows(TRACE) if row["kind"] == "step"]
    assert (len(ran) < spec["steps"]) == (kind == "stopped early")
    every = list(range(1, replay(made, "--replay", "0")["segments"] + 1))
    for words in ("all", str(len(every) - 1)):
        found = replay(made, "--replay", words)
        assert found["equal"] == every
        assert not failed(found)


def test_a_training_that_goes_on_is_replayed_with_the_state_that_it_goes_on_from(
    tmp_path: Path,
) -> None:
    line = Line.make(tmp_path, rows=same_answer(32), publish=PUBLISHED)
    first = line.compile("--allow-below-gate", "-o", "first.kolm")
    (earlier,) = line.stage_folders("train")
    line.write_spec(steps=8, continues=first["state"], publish=PUBLISHED)
    line.compile("--allow-below-gate")
    for words in ("all", "3"):
        found = replay(line, "--replay", words, "--states", earlier / CHECKPOINTS)
        assert found["equal"] == list(range(1, found["segments"] + 1))
        assert not failed(found)
