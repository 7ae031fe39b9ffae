"""A stage is found by what it depends on: a changed floor, name or price trains nothing again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest
from kolm.actions.room import numbers_of
from kolm.bundle.base_root import base_root
from kolm.bundle.reader import Bundle
from kolm.models.resolve import find_folder
from kolm.run.names import RESULT
from tests.support.lines import LOWEST_FLOORS, Line, same_answer

pytestmark = pytest.mark.heavy

LOWER = LOWEST_FLOORS.replace("above_blind: 0,", "above_blind: -0.5,")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A project that was compiled once."""
    line = Line.make(tmp_path_factory.mktemp("stages"), rows=same_answer(32))
    line.compile()
    return line


@pytest.fixture
def line(made: Line, tmp_path: Path) -> Line:
    """The same project in another folder."""
    shutil.copytree(made.folder.parent, tmp_path / "moved")
    return Line(folder=tmp_path / "moved" / "project", home=tmp_path / "moved" / "home")


def logs(line: Line) -> dict[str, int]:
    """When each child process of a stage last began, by its log."""
    return {
        str(path): path.stat().st_mtime_ns
        for stage in ("train", "evaluate")
        for folder in line.stage_folders(stage)
        for path in folder.glob("*.log")
    }


@pytest.mark.parametrize(
    "change",
    [
        {"floors": LOWER},
        {"name": "another"},
        {"publish": "{text: false, checkpoints: bundle}"},
        {"cost": "{usd_per_1000_tokens: 0.25}"},
    ],
    ids=["floor", "name", "publish", "price"],
)
def test_what_training_does_not_rest_on_starts_no_child(line: Line, change: dict[str, str]) -> None:
    before = logs(line)
    first = line.compile("-o", "first.kolm")
    line.write_spec(**change)
    second = line.compile("-o", "second.kolm")
    assert second["content_id"] != first["content_id"]
    assert second["lock"]["seeds"] == first["lock"]["seeds"]
    assert logs(line) == before
    assert len(line.stage_folders("train")) == len(line.stage_folders("evaluate")) == 1
    assert not failed_checks(line, "second.kolm")


def test_a_changed_metric_is_answered_again_but_not_trained_again(line: Line) -> None:
    line.write_spec(metric="relaxed")
    line.compile("-o", "other.kolm")
    assert len(line.stage_folders("train")) == 1
    assert len(line.stage_folders("evaluate")) == 2


@pytest.mark.parametrize(
    ("stage", "name", "damage"),
    [
        ("train", "adapter_model.safetensors", "changed"),
        ("train", "modules.jsonl", "gone"),
        ("evaluate", "predictions.jsonl", "cut"),
    ],
)
def test_a_result_with_a_damaged_file_is_made_again(
    line: Line, made: Line, stage: str, name: str, damage: str
) -> None:
    (folder,) = line.stage_folders(stage)
    path = folder / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] + b"?" if damage == "changed" else data[: len(data) // 2])
    assert line.compile()["content_id"] == content_of(made)
    assert path.read_bytes() == data


def test_a_key_is_computed_again_and_not_believed(line: Line, made: Line) -> None:
    """A result that was made for another training, put where this one is looked for."""
    (mine,) = line.stage_folders("train")
    line.write_spec(steps=12)
    line.compile("-o", "other.kolm")
    (other,) = (folder for folder in line.stage_folders("train") if folder != mine)
    stated = canonical.loads((mine / RESULT).read_bytes(), where=RESULT)
    foreign = canonical.loads((other / RESULT).read_bytes(), where=RESULT)
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    (mine / RESULT).write_bytes(canonical.dumps({**foreign, "key": stated["key"]}))
    line.write_spec()
    assert line.compile()["content_id"] == content_of(made)


def test_a_killed_compile_ends_with_the_same_content(line: Line, made: Line) -> None:
    shutil.rmtree(line.folder / ".kolm")
    child = line.start("compile")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        traces = [folder / "trace.jsonl" for folder in line.stage_folders("train")]
        if traces and traces[0].is_file() and traces[0].read_bytes().count(b'"step"') > 6:
            break
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    assert not (line.stage_folders("train")[0] / RESULT).exists()
    assert line.compile()["content_id"] == content_of(made)


def content_of(line: Line) -> str:
    """The content id of a project's bundle."""
    return Bundle.open(line.bundle).content_id


def test_more_training_goes_on_from_the_last_state(line: Line) -> None:
    first = line.compile()
    line.write_spec(steps=6, continues=first["state"])
    more = line.compile("-o", "more.kolm")
    continued = more["lock"]["train"]["continues"]
    assert continued["state"] == first["state"]
    assert more["lock"]["seeds"] != first["lock"]["seeds"]
    assert not failed_checks(line, "more.kolm")
    before, after = (trace_of(line.folder / name) for name in (line.bundle.name, "more.kolm"))
    assert continued["chain"] == before[-1]["chain"]
    assert after[0]["chain"] == digest.chain(before[-1]["chain"], after[0]["state"])
    assert [row["step"] for row in after if row["kind"] == "step"] == list(range(1, 7))
    ended = {row["tensor"]: row["after"] for row in adapter_of(line.bundle)}
    began = {row["tensor"]: row["before"] for row in adapter_of(line.folder / "more.kolm")}
    assert began == ended
    assert line.compile("-o", "more.kolm")["content_id"] == more["content_id"]


def test_eval_cases_that_the_earlier_training_learned_from_are_told(line: Line) -> None:
    first = line.compile()
    line.write_spec(steps=6, continues=first["state"])
    told = "among what the earlier training learned from"
    assert told not in line.kolm("check").stdout
    spec = line.folder / "kolm.yaml"
    spec.write_text(spec.read_text().replace("eval: 0.25", "eval: 0.6"))
    assert told in line.kolm("check").stdout


@pytest.mark.slow
def test_training_goes_on_from_another_project_or_a_bundle(line: Line, tmp_path: Path) -> None:
    line.write_spec(publish="{checkpoints: bundle}")
    first = line.compile("-o", "first.kolm")
    line.write_spec(steps=6, continues=first["state"])
    here = line.compile("-o", "more.kolm")["content_id"]
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (line.folder / ".kolm").rename(earlier / ".kolm")
    for place in (earlier, line.folder / "first.kolm"):
        shutil.rmtree(line.folder / ".kolm", ignore_errors=True)
        line.write_spec(steps=6, continues=f"{first['state']}\n  continues_from: {place}")
        assert line.compile("-o", "more.kolm")["content_id"] == here
    line.write_spec(steps=6, continues=f"sha256:{'1' * 64}\n  continues_from: first.kolm")
    ran = line.kolm("compile", "-o", "none.kolm")
    assert ran.code == 3
    assert first["state"] in ran.stderr  # what was found where it was looked for


def test_a_state_that_nobody_here_trained_to_is_told_before_training(line: Line) -> None:
    line.write_spec(continues="sha256:" + "1" * 64)
    ran = line.kolm("compile")
    assert ran.code == 3
    assert "E_TRAIN_CONTINUES" in ran.stderr


def test_a_state_of_another_adapter_is_refused(line: Line) -> None:
    line.write_spec(rank=2, continues=line.compile()["state"])
    ran = line.kolm("compile", "-o", "other.kolm")
    assert ran.code == 1
    assert "E_TRAIN_CONTINUES_OTHER" in ran.stderr


def test_the_room_that_a_compile_is_said_to_need_is_what_its_files_take(made: Line) -> None:
    bundle = Bundle.open(made.bundle)
    lock, receipt = (
        canonical.loads(bundle.member(name), where=name)
        for name in ("spec.lock.json", "receipt.json")
    )
    numbers = numbers_of(lock, base_root(find_folder("kolm/nano-1").folder))
    assert numbers == receipt["vlm_train"]["trained_parameters"]
    states = list(made.stage_folders("train")[0].glob("checkpoints/*.safetensors"))
    assert len(states) == lock["train"]["segments"] + 1
    for state in states:
        assert numbers * 4 <= state.stat().st_size <= numbers * 12 + 64 * 1024


def failed_checks(line: Line, bundle: str) -> set[str]:
    """The checks that fail, apart from those that ask what the policy demands."""
    ran = line.kolm("verify", "--json", bundle, "--captures", "captures")
    checks = ran.document()["checks"]
    return {c["id"] for c in checks if c["verdict"] == "failed" and c["id"] < "V60"}


def trace_of(bundle: Path) -> list[dict[str, Any]]:
    """The rows of a bundle's trace."""
    data = Bundle.open(bundle).member("trace.jsonl")
    return [row for _, _, row in canonical.read_lines(data, where="trace")]


def adapter_of(bundle: Path) -> list[dict[str, Any]]:
    """The tensors of a bundle's adapter, from its module list."""
    data = Bundle.open(bundle).member("modules.jsonl")
    rows = [row for _, _, row in canonical.read_lines(data, where="modules")]
    return [tensor for row in rows for tensor in row["adapter"]]
