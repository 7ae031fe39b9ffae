"""Several processes train as one does: the same bits, whatever they are shown and who is killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kolm.actions import children
from kolm.errors import KolmError, Lacking
from kolm.events import Silent
from kolm.records.codec import to_document
from kolm.roles import family
from kolm.run.folder import read_places, write_places
from kolm.spec.options import resolve_quantisation
from kolm.train.profile import child_environment
from tests.support.train_run import make_run, read_rows

pytestmark = pytest.mark.heavy
pytest.importorskip("torch")
RESULTS = ("trace.jsonl", "modules.jsonl", "adapter_model.safetensors", "examples.jsonl")
STATES = "checkpoints"


def contents(folder: Path) -> dict[str, bytes]:
    """All that a training gives: its trace names every state by its digest."""
    states = sorted((folder / STATES).iterdir())
    return {path.name: path.read_bytes() for path in (*(folder / n for n in RESULTS), *states)}


def train(folder: Path, processes: int) -> None:
    """Train a run, or go on with it, as a compile does."""
    write_places(folder, read_places(folder)._replace(processes=processes))
    environment = child_environment(1)
    children.run("train", folder, environment=environment, reporter=Silent(), processes=processes)


def again(run: Path, name: str) -> Path:
    """The same run with nothing done."""
    folder = run.parent / name
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(*RESULTS, STATES, "*.log"))
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 steps of one process: single rows, of which every second has no picture, and dropout."""
    folder = make_run(
        tmp_path_factory.mktemp("several") / "alone",
        mixed=True,
        validation=4,
        steps=20,
        segments=4,
        batch_size=1,
        accumulation=4,
        method={"dropout": "0.1"},
        looks={"every_steps": 10, "answers": None},
    )
    train(folder, 1)
    return folder


def test_two_processes_end_with_the_bits_of_one(alone: Path) -> None:
    shown = [row["images"] for row in read_rows(alone / "snapshot.jsonl")]
    steps = [row for row in read_rows(alone / "trace.jsonl") if row["kind"] == "step"]
    train_side = shown[4:]
    kinds = [{bool(train_side[at]) for at in row["positions"]} for row in steps]
    assert {True, False} in kinds  # a step in which one process sees a picture and one may see none
    together = again(alone, "together")
    train(together, 2)
    assert contents(together) == contents(alone)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_killed_process_ends_all_and_another_number_goes_on(
    alone: Path, before: int, after: int
) -> None:
    folder = again(alone, f"killed-{before}")
    killed = before - 1
    with _killing(folder, killed, at_steps=12), pytest.raises(Lacking) as raised:
        train(folder, before)
    assert raised.value.code == "E_CHILD_KILLED"
    assert (f"number {killed} of {before}" in raised.value.message) is (before > 1)
    assert _workers(folder) == {}
    done = sum(row["kind"] == "step" for row in read_rows(folder / "trace.jsonl"))
    assert 12 <= done < 20
    train(folder, after)
    assert contents(folder) == contents(alone)


def test_an_error_of_all_is_told_once(alone: Path) -> None:
    folder = again(alone, "no base")
    write_places(folder, read_places(folder)._replace(base=folder / "nowhere"))
    with pytest.raises(KolmError) as raised:
        train(folder, 2)
    assert raised.value.code == "E_BASE_NOT_FOUND"


def test_a_base_in_4_bits_and_pairs_are_shared_as_well(tmp_path: Path) -> None:
    quantised = to_document(resolve_quantisation({"kind": "nf4"}, family("qwen2_5_vl")))
    alone = make_run(
        tmp_path / "alone",
        pairs=True,
        mixed=True,
        steps=3,
        segments=1,
        batch_size=1,
        accumulation=2,
        precision="bfloat16",
        quantisation=quantised,
        optimizer="adamw_8bit",
        objective={
            "kind": "dpo", "beta": "0.1", "label_smoothing": "0", "reference": "start",
        },
    )  # fmt: skip
    train(alone, 1)
    together = again(alone, "together")
    train(together, 2)
    assert contents(together) == contents(alone)


@contextlib.contextmanager
def _killing(folder: Path, rank: int, *, at_steps: int) -> Iterator[None]:
    """Kill one of the processes of a run once so many steps are in the trace."""

    def kill() -> None:
        trace, deadline = folder / "trace.jsonl", time.monotonic() + 300
        while time.monotonic() < deadline:
            if trace.exists() and trace.read_text().count('"kind":"step"') >= at_steps:
                os.kill(_workers(folder)[rank], signal.SIGKILL)
                return
            time.sleep(0.005)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    yield
    killer.join(timeout=10)


def _workers(folder: Path) -> dict[int, int]:
    """The ids of the processes that train a run, by rank."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue  # it has ended meanwhile
        if "kolm.worker" in words and str(folder) in words:
            more = words[words.index(str(folder)) + 1 :]
            found[int(more[0]) if more[0] else 0] = int(place.name)
    return found
