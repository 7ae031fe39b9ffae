"""A training on a base in 4 bits, with moments in 8: the same bits twice and after a kill."""

from __future__ import annotations

import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from kolm import canonical
from kolm.bundle import tensors
from kolm.format.optimizer import moment_forms
from kolm.methods.quantisation import quantised_modules
from kolm.records.codec import to_document
from kolm.roles import family
from kolm.spec.options import resolve_quantisation
from tests.support.train_run import make_run, read_rows, run_worker, start_worker

pytestmark = pytest.mark.heavy
pytest.importorskip("bitsandbytes")
TABLE = family("qwen2_5_vl")
RESULTS = ("trace.jsonl", "modules.jsonl", "adapter_model.safetensors", "train.json", "checkpoints")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS[:3]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantised") / "run"
    chosen = to_document(resolve_quantisation({"kind": "nf4"}, TABLE))
    make_run(
        folder,
        steps=8,
        segments=4,
        precision="bfloat16",
        quantisation=chosen,
        optimizer="adamw_8bit",
    )
    run_worker(folder)
    return folder


def test_the_list_has_logical_shapes_and_says_what_is_held_in_4_bits(trained: Path) -> None:
    expression, odd = quantised_modules(TABLE), []
    for row in read_rows(trained / "modules.jsonl"):
        for parameter in row["parameters"]:
            wanted = parameter["name"] == "weight" and re.fullmatch(expression, row["module"])
            if bool(wanted) != ("quantised" in parameter):
                odd.append(row["module"])
            assert parameter["dtype"] == "BF16"
            assert parameter["before"] == parameter["after"]
        if row["module"].endswith("layers.0.mlp.down_proj"):
            (weight,) = row["parameters"]
            assert weight["shape"] == [48, 96]
            held = weight["quantised"]
            assert (held["kind"], held["double"], held["block_size"]) == ("nf4", True, 64)
            assert held["before"] == held["after"] != weight["before"]
    assert odd == []


def test_moments_are_in_8_bits_where_a_tensor_is_large_enough(trained: Path) -> None:
    rows = [part for row in read_rows(trained / "modules.jsonl") for part in row["adapter"]]
    narrow = {part["tensor"] for part in rows if part.get("moments") == "U8"}
    assert narrow == {part["tensor"] for part in rows if part["elements"] >= 4096}
    assert 0 < len(narrow) < len(rows)
    last = max((trained / "checkpoints").glob("*.safetensors"))
    found = {
        entry.name: (entry.dtype, entry.shape)
        for entry in tensors.parse_header(last.read_bytes(), where=last.name)
        if not entry.name.startswith(("random", "weights."))
    }
    assert found == {
        f"{kind}.{part['tensor']}": form
        for part in rows
        for kind, form in moment_forms("adamw_8bit", part["shape"]).items()
    }


def test_a_second_run_and_one_that_was_killed_end_with_the_same_bits(trained: Path) -> None:
    for name, killed in (("again", False), ("killed", True)):
        folder = trained.parent / name
        shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(*RESULTS))
        if killed:
            child, trace = start_worker(folder), folder / "trace.jsonl"
            deadline = time.monotonic() + 120
            while child.poll() is None and time.monotonic() < deadline:
                if trace.exists() and trace.read_text().count('"kind":"step"') >= 3:
                    child.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.001)
            child.communicate()
            assert child.returncode == -signal.SIGKILL
        run_worker(folder)
        assert contents(folder) == contents(trained), name


def test_the_base_is_really_another_one(trained: Path) -> None:
    """The same training on the numbers themselves has other losses from its first step on."""
    folder = trained.parent / "plain"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns(*RESULTS))
    lock = canonical.loads_canonical((folder / "spec.lock.json").read_bytes(), where="lock")
    lock["train"]["quantisation"] = None
    (folder / "spec.lock.json").write_bytes(canonical.dumps(lock))
    run_worker(folder)
    losses = [
        [row["loss"] for row in read_rows(run / "trace.jsonl") if row["kind"] == "step"]
        for run in (trained, folder)
    ]
    assert all(first != second for first, second in zip(*losses, strict=True))
