"""One spec and the same captures give one content id: wherever, however often, after kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from kolm import canonical
from kolm.objectives import OBJECTIVES
from tests.support.lines import Line, Process, coloured, finish, make_gauges, noise, start

pytestmark = pytest.mark.slow
STEPS = 40  # in four segments, so that there are checkpoints to resume from
KILL_AFTER = 25  # steps: in the middle of the third segment
BELOW = "--allow-below-gate"  # so few steps teach little


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Line, str]:
    """The gauges, compiled once, and the content id."""
    line = make_gauges(tmp_path_factory.mktemp("gauges") / "first", steps=STEPS)
    content = str(line.compile(BELOW)["content_id"])
    print(f"\n{STEPS} steps of gauges: {content}")
    return line, content


def elsewhere(first: Line, folder: Path, **variables: str) -> Line:
    """The same project in another folder, with nothing to resume."""
    copy = Line(
        folder=folder / "a folder with spaces é",
        home=first.home,
        name=first.name,
        variables=variables,
        umask=0o077,
    )
    shutil.copytree(first.folder, copy.folder, ignore=shutil.ignore_patterns(".kolm", "*.kolm"))
    return copy


def test_another_folder_hash_seed_umask_time_zone_and_locale(
    first: tuple[Line, str], tmp_path: Path
) -> None:
    line, content = first
    other = elsewhere(
        line,
        tmp_path,
        PYTHONHASHSEED="4242",
        TZ="Asia/Kathmandu",
        LC_ALL="tr_TR.UTF-8",
        LANG="de_DE.UTF-8",
        OMP_NUM_THREADS="7",
        MKL_CBWR="COMPATIBLE",
        PYTHONOPTIMIZE="1",
    )
    assert other.compile(BELOW)["content_id"] == content


def test_captures_imported_in_another_order(first: tuple[Line, str], tmp_path: Path) -> None:
    line, content = first
    other = elsewhere(line, tmp_path)
    shutil.rmtree(other.folder / "captures")
    pairs = other.folder / "pairs.jsonl"
    lines = pairs.read_bytes().splitlines(keepends=True)
    pairs.write_bytes(b"".join(reversed(lines)))
    other.demand("capture", "import", "pairs.jsonl")
    assert other.compile(BELOW)["content_id"] == content


def test_killed_in_the_middle_of_training_and_resumed(
    first: tuple[Line, str], tmp_path: Path
) -> None:
    line, content = first
    assert killed_and_resumed(elsewhere(line, tmp_path)) == content


# The base in 4 bits, deltas on the projector too, moments in 8 bits; and methods instead of LoRA.
OTHER_WAYS = {
    "qlora": {"more": "  quantisation: nf4\n  optimizer: adamw_8bit\n  projector: lora\n"},
    "ia3": {"method": "ia3"},
    "bottleneck": {"method": "{kind: bottleneck, size: 16}"},
    "prefix": {"method": "prefix"},
    "prompt": {"method": "prompt"},
    "p_tuning": {"method": "{kind: p_tuning, encoder: lstm, encoder_size: 16}"},
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_other_ways_to_train_compiled_twice_killed_and_resumed(way: str, tmp_path: Path) -> None:
    line = make_gauges(tmp_path / "first", steps=STEPS)
    line.write_spec(steps=STEPS, batch_size=8, rank=8, **OTHER_WAYS[way])
    content = str(line.compile(BELOW)["content_id"])
    print(f"\n{STEPS} steps of gauges, {way}: {content}")
    assert killed_and_resumed(elsewhere(line, tmp_path / "second")) == content


@pytest.mark.parametrize("kind", [kind for kind, known in OBJECTIVES.items() if known.PAIRED])
def test_learning_from_pairs_killed_and_resumed(kind: str, tmp_path: Path) -> None:
    rows = coloured(200)
    pairs = [{**row, "rejected": rows[n - 1]["response"]} for n, row in enumerate(rows)]
    line = Line.make(
        tmp_path / "first", rows=pairs, steps=STEPS, learning_rate=0.003,
        more=f"  objective: {kind}\n  accumulation: 2\n",
    )  # fmt: skip
    content = str(line.compile(BELOW)["content_id"])
    print(f"\n{STEPS} steps of {kind}: {content}")
    assert killed_and_resumed(elsewhere(line, tmp_path / "second")) == content


def killed_and_resumed(other: Line) -> str:
    """The content id of a compile that was killed in the middle of training and called again."""
    child = other.start("compile", BELOW)
    assert steps_of(other, until=KILL_AFTER) >= KILL_AFTER
    os.killpg(child.pid, signal.SIGKILL)  # the command and the child that trains
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    (run,) = other.stage_folders("train")
    assert not (run / "train.json").exists(), "training had ended before it could be killed"
    kept = sorted(path.name for path in (run / "checkpoints").glob("*.safetensors"))
    print(f"\nkilled after {steps_of(other, until=0)} of {STEPS} steps; kept {kept}")
    assert kept
    assert not other.bundle.exists()
    return str(other.compile(BELOW)["content_id"])


def steps_of(line: Line, *, until: int) -> int:
    """How many steps the trace of the one run holds, waiting for `until` of them."""
    deadline = time.monotonic() + 300
    while True:
        traces = list((line.folder / ".kolm" / "runs").glob("*/trace.jsonl"))
        steps = traces[0].read_bytes().count(b'"kind":"step"') if traces else 0
        if steps >= until or time.monotonic() > deadline:
            return steps
        time.sleep(0.02)


# What a notebook has done before it calls us.
NOTEBOOK = """
import os, random, sys
import numpy, torch
torch.set_num_threads(3)
torch.manual_seed(7)
torch.set_default_dtype(torch.float64)
torch.rand(1000) @ torch.rand(1000)
numpy.random.seed(3)
random.seed(5)
import kolm
"""
COMPILE_FILE = "print(kolm.compile('kolm.yaml', allow_below_gate=True).content_id)"
COMPILE_ROWS = """
answers = ("red", "blue")
rows = [
    {"image": f"{number:04}.png", "prompt": "what is it?", "response": answers[number % 2]}
    for number in range(24)
]
spec = {
    "kolm": 1, "name": "rows", "base": "kolm/nano-1",
    "data": {"captures": "unused", "split": {"eval": 0.25}},
    "train": {"steps": 6, "batch_size": 4, "learning_rate": 0.001},
    "evaluation": {"metric": "exact"}, "cost": "local",
}
if "reversed" in sys.argv:
    rows.reverse()
print(kolm.compile(spec, rows=rows, allow_below_gate=True).content_id)
"""


def python(line: Line, code: str, *words: str) -> Process:
    ran = finish(
        start([sys.executable, "-c", code, *words], cwd=line.folder, env=line.environment())
    )
    assert ran.code == 0, ran.stderr
    return ran


def test_from_a_process_that_has_used_torch(first: tuple[Line, str], tmp_path: Path) -> None:
    line, content = first
    other = elsewhere(line, tmp_path)
    ran = python(other, NOTEBOOK + COMPILE_FILE)
    assert ran.stdout.split()[-1] == content


def test_rows_from_python_with_and_without_torch_in_the_process(
    first: tuple[Line, str], tmp_path: Path
) -> None:
    contents = []
    for number, (before, words) in enumerate([("import kolm, sys", ()), (NOTEBOOK, ("reversed",))]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for picture in range(24):
            (folder / f"{picture:04}.png").write_bytes(noise(picture))
        line = Line(folder=folder, home=first[0].home, name="rows")
        contents.append(python(line, f"{before}\n{COMPILE_ROWS}", *words).stdout.split()[-1])
    print(f"\nrows from Python: {contents}")
    assert contents[0] == contents[1]
    assert contents[0].startswith("sha256:")


def test_a_second_signature_does_not_change_it(first: tuple[Line, str]) -> None:
    """The same command again finds the finished run and leaves what this key has said; with --force
    it seals anew, and times and signatures differ."""
    line, content = first
    before = line.bundle.read_bytes()
    assert line.compile(BELOW)["content_id"] == content
    assert line.bundle.read_bytes() == before
    again = line.compile(BELOW, "--force")
    assert again["content_id"] == content
    assert line.bundle.read_bytes() != before
    lock = canonical.dumps(again["lock"])
    (run,) = line.stage_folders("train")
    assert (run / "spec.lock.json").read_bytes() == lock
