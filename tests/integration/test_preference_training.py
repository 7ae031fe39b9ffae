"""Learning from pairs in the training child: the start, resuming, the trace, going on."""

import shutil
import signal
import time

import pytest

from kolm import canonical, schema
from kolm.format.examples import examples_follow
from kolm.format.order import reading_of
from kolm.format.schedule import read_schedule
from kolm.format.trace import trace_follows
from kolm.spec.options import resolve_objective
from tests.support.train_run import make_run, read_rows, run_worker, start_worker

pytestmark = pytest.mark.heavy
torch = pytest.importorskip("torch")
DOCUMENTS = ("trace.jsonl", "modules.jsonl", "adapter_model.safetensors", "examples.jsonl")
DPO = resolve_objective({"kind": "dpo"})


def contents(folder):
    return {name: (folder / name).read_bytes() for name in DOCUMENTS}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run with dropout, accumulation, several segments and validations."""
    folder = tmp_path_factory.mktemp("pairs") / "run"
    make_run(
        folder, pairs=True, objective=DPO, steps=8, segments=4, accumulation=2, validation=6,
        method={"dropout": "0.1"}, early_stopping={"patience": 9, "every_steps": 4},
    )  # fmt: skip
    run_worker(folder)
    return folder


def test_the_trace_is_the_one_that_lock_and_examples_make(trained):
    lock = canonical.loads((trained / "spec.lock.json").read_bytes(), where="lock")
    trace, examples, lines = (
        read_rows(trained / name) for name in ("trace.jsonl", "examples.jsonl", "snapshot.jsonl")
    )
    for row in trace:
        schema.check("trace_row", row, where="trace.jsonl")
    assert list(examples_follow(examples, lines, lock["train"])) == []
    assert (
        list(trace_follows(trace, reading_of(read_schedule(lock), examples), lock["train"])) == []
    )
    steps = [row for row in trace if row["kind"] == "step"]
    assert float(steps[0]["loss"]) == pytest.approx(0.693147, abs=2e-6)  # log 2
    assert steps[0]["facts"]["margin"] == "0"
    validations = [row for row in trace if row["kind"] == "validation"]
    assert len(validations) == 2
    assert all(0 <= row["facts"]["preferred"] <= 6 for row in validations)


def test_what_is_preferred_is_learned(tmp_path):
    folder = make_run(
        tmp_path / "run", pairs=True, captures=4, objective=DPO, steps=16, segments=1,
        warmup_steps=1,
    )  # fmt: skip
    run_worker(folder)
    steps = [row for row in read_rows(folder / "trace.jsonl") if row["kind"] == "step"]
    last = steps[-1]
    # Four pairs, all of them in every step and without dropout: no seed makes them hard to learn.
    assert last["facts"]["preferred"] == 4
    assert float(last["facts"]["margin"]) > 0.3
    assert float(last["loss"]) < 0.6


@pytest.mark.parametrize(
    "kill_after", ["step 3", pytest.param("checkpoint 4", marks=pytest.mark.slow)]
)
def test_a_run_that_was_killed_continues_to_the_same_bits(trained, kill_after):
    folder = trained.parent / f"killed-{kill_after.replace(' ', '-')}"
    folder.mkdir()
    for name in ("spec.lock.json", "snapshot.jsonl", "inputs.json"):
        shutil.copy(trained / name, folder / name)
    kind, step = kill_after.split()
    child = start_worker(folder)
    trace = folder / "trace.jsonl"
    while child.poll() is None:
        rows = read_rows(trace) if trace.is_file() and trace.read_bytes().endswith(b"\n") else []
        if any(row["kind"] == kind and row["step"] >= int(step) for row in rows):
            child.kill()
            break
        time.sleep(0.002)
    child.communicate()
    assert child.returncode == -signal.SIGKILL, "the run ended before it could be killed"
    run_worker(folder)
    assert contents(folder) == contents(trained)


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["start", "base"])
def test_preferences_go_on_from_a_supervised_training(tmp_path, reference):
    first = make_run(tmp_path / "first", pairs=True, steps=6, segments=1)
    run_worker(first)
    facts = canonical.loads((first / "train.json").read_bytes(), where="train.json")
    continues = {"state": facts["state_last"], "chain": facts["chain"]}
    objective = resolve_objective({"kind": "dpo", "reference": reference})
    second = make_run(
        tmp_path / "second", steps=2, segments=1, objective=objective, continues=continues
    )
    places = canonical.loads((second / "inputs.json").read_bytes(), where="inputs.json")
    (second / "inputs.json").write_bytes(canonical.dumps({**places, "continued": str(first)}))
    run_worker(second)
    start = next(row for row in read_rows(second / "trace.jsonl") if row["kind"] == "step")
    moved = abs(float(start["facts"]["chosen_reward"]))
    # What is compared with is the model that was gone on from, or the base below it.
    assert moved < 1e-5 if reference == "start" else moved > 0.01
