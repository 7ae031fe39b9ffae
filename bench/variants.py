"""One task compiled in several ways, each sealed and verified: what the tables of methods and of
objectives share.

All variants have one project, one store of captures and one split; each has a spec and a bundle of
its own. A bundle that is there is read and not made again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.beside_trl import open_run
from kolm import canonical
from kolm.bundle.reader import Bundle
from kolm.format import names
from kolm.sign.predicates import COMPUTE
from tests.support.lines import Line, predicates_of

TIMED, SKIPPED = 12, 4  # steps, and how many of them come before those that count
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is the same for all variants: the captures, the split, the metric, and of ``train``."""

    rows: Callable[[], Iterable[Row]]
    split: Mapping[str, float]
    metric: str
    train: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What came of a variant.

    Attributes:
        trained: the receipt's part about the training.
        peak_bytes: of the training's process, as the compute claim says.
        verified: ``yes`` when the audit with base and captures failed in nothing but what the
            policy demands of the scores; else the checks that failed.
    """

    line: Line
    bundle: Bundle
    trained: Row
    evaluation: Row
    peak_bytes: int
    verified: str


def make(task: Task, line: Line, variant: str, train: Mapping[str, Any]) -> Made:
    """Compile a variant unless its bundle is there; verify and read it."""
    name = f"{variant}-{train['steps']}"
    path = line.folder / f"{name}.kolm"
    if not path.exists():
        spec = {
            "kolm": 1,
            "name": name,
            "base": "kolm/nano-1",
            "data": {"captures": "captures", "split": task.split, "near_duplicates": "report"},
            "train": {**task.train, **train},
            "evaluation": {"metric": task.metric},
        }
        path.with_suffix(".json").write_text(json.dumps(spec))
        line.demand("compile", f"{name}.json", "--allow-below-gate")
    bundle = Bundle.open(path)
    ran = line.kolm("verify", path, "--base", "kolm/nano-1", "--captures", "captures", "--json")
    checks = ran.document()["checks"]
    failed = [
        check["id"]
        for check in checks
        if check["verdict"] == "failed" and check["family"] != "policy"
    ]
    return Made(
        line=line,
        bundle=bundle,
        trained=bundle.receipt["vlm_train"],
        evaluation=bundle.document(names.EVALUATION),
        peak_bytes=predicates_of(path)[COMPUTE]["measured"]["observed_peak_bytes"],
        verified=" ".join(failed) or "yes",
    )


def step_seconds(made: Made) -> float:
    """The processor's time for a step on one thread: the first ones again, in a process of its own.

    Other programs on the machine disturb it less than what a clock says.
    """
    trained = made.bundle.document(names.LOCK)["train"]
    for folder in made.line.stage_folders("train"):
        lock = canonical.loads((folder / names.LOCK).read_bytes(), where=names.LOCK)
        if lock["train"] == trained:
            break
    else:
        raise LookupError(f"no run of {made.line.folder} has this training")
    with tempfile.TemporaryDirectory() as place:
        for name in (names.LOCK, names.LINES, "inputs.json"):
            shutil.copy(folder / name, place)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
            return child.submit(_time_steps, Path(place)).result()


def _time_steps(run: Path) -> float:
    session, _ = open_run(run, threads=1)
    ends = [time.process_time()]
    for _ in range(TIMED):
        session.trainer.run_step()
        ends.append(time.process_time())
    return statistics.median([end - begin for begin, end in pairwise(ends)][SKIPPED:])


def with_interval(score: Mapping[str, Any]) -> str:
    """An accuracy of an evaluation, or another share, with its interval."""
    low, high = (float(score["interval"][end]) for end in ("low", "high"))
    return f"{float(score['accuracy']):.3f} ({low:.3f} to {high:.3f})"


def run(
    doc: str | None,
    task: Task,
    variants: Mapping[str, Row],
    *,
    steps: int,
    head: Sequence[str],
    row: Callable[[Made], Sequence[str]],
) -> None:
    """The command line: make the variants in turn, and print a row of the table for each."""
    parser = argparse.ArgumentParser(description=str(doc).splitlines()[0])
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--only", help="some of them, by name, with commas")
    parser.add_argument("--folder", type=Path, help="keep project and bundles here, and go on")
    asked = parser.parse_args()
    chosen = asked.only.split(",") if asked.only else list(variants)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.folder or Path(scratch)
        line = Line(folder=folder / "project", home=folder / "home")
        if not line.folder.exists():
            line = Line.make(folder, rows=list(task.rows()))
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
        for name in chosen:
            made = make(task, line, name, {"steps": asked.steps, **variants[name]})
            print("| " + " | ".join((name, *row(made))) + " |", flush=True)
