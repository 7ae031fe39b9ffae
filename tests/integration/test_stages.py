"""A stage is found by what it depends on: a changed floor, name or price trains nothing again."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from kolm import canonical
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
        {"publish": "{text: false, checkpoints: true}"},
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
    line.demand("verify", line.folder / "second.kolm", "--captures", "captures")


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
    from kolm.bundle.reader import Bundle

    return Bundle.open(line.bundle).content_id
