"""A sweep on a tiny base: table, resumption, the best spec, and jobs that others run."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import actions
from kolm.actions.measuring import measure
from kolm.actions.preparing import prepare
from kolm.errors import KolmError, Lacking, Refused, Usage
from kolm.events import Silent
from kolm.run.stages import TRAIN, train_key
from tests.support.sweeps import make_project, stages_here

pytest.importorskip("torch")
pytestmark = pytest.mark.heavy

GRID = {"train.method.rank": [1, 2], "train.learning_rate": [0.001, 0.005]}


class Killed(BaseException):
    """The process is gone: nothing may catch it."""


class Watched(Silent):
    """Remembers what stages said, and dies at the events that are told."""

    def __init__(self, die_at: Callable[[str, int], bool] = lambda stage, done: False) -> None:
        self.finished_stages: list[tuple[str, dict[str, Any]]] = []
        self.warnings: list[str] = []
        self._die_at = die_at

    def advanced(self, stage: str, done: int, **facts: Any) -> None:
        if self._die_at(stage, done):
            raise Killed

    def finished(self, stage: str, **facts: Any) -> None:
        self.finished_stages.append((stage, facts))

    def warned(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    make_project(folder)
    return folder


@pytest.fixture
def spec(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spec of a project of its own, over the same base and captures."""
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("base", "captures"):
        (folder / name).symlink_to(made_once / name)
    path = folder / "kolm.yaml"
    path.write_text((made_once / "kolm.yaml").read_text())
    return path


def texts(folder: Path) -> dict[str, str]:
    names = ("kolm-sweep/table.md", "kolm-sweep/table.csv", "kolm-sweep/loss.svg", "kolm.best.yaml")
    return {name: (folder / name).read_text() for name in names}


def test_points_that_die_twice_give_the_table_of_points_that_do_not(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = stages_here(monkeypatch)
    whole = Watched()
    first = actions.sweep(spec, GRID, reporter=whole)
    assert ran == ["train", "validate"] * 4
    assert first.table is not None
    assert len(first.table.rows) == 4
    wanted = texts(spec.parent)
    # The tower ran for the first point alone; all others found its features.
    facts = [facts for stage, facts in whole.finished_stages if stage == "features"]
    fresh = [fact["from_earlier_runs"] == 0 for fact in facts]
    assert fresh == [True, True, *([False] * 6)]

    again = tmp_path / "again"
    again.mkdir()
    for name in ("base", "captures", "kolm.yaml"):
        (again / name).symlink_to(spec.parent / name)
    ran.clear()
    points_begun = 0

    def in_the_third_training(stage: str, done: int) -> bool:
        nonlocal points_begun
        points_begun += stage == "train" and done == 1
        return points_begun == 3 and stage == "train" and done == 3

    def in_a_validation(stage: str, done: int) -> bool:
        begun = len(list((again / ".kolm" / "runs").glob("validate-*")))
        return stage == "evaluate adapter" and begun == 4

    for die_at in (in_the_third_training, in_a_validation):
        with pytest.raises(Killed):
            actions.sweep(again / "kolm.yaml", GRID, reporter=Watched(die_at))
    last = actions.sweep(again / "kolm.yaml", GRID, reporter=Watched())
    assert ran.count("train") == 5  # one was cut in two
    assert ran.count("validate") == 5
    assert texts(again) == wanted
    assert last.table == first.table
    ran.clear()
    assert actions.sweep(spec, GRID).table == first.table
    assert ran == []  # everything was found


def test_the_compile_of_the_best_spec_finds_its_training(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages_here(monkeypatch)
    result = actions.sweep(spec, {"train.method.rank": [1, 2]})
    assert result.files is not None
    best = prepare(result.files.best, rows=None, project=None, measure=measure, reporter=Silent())
    folder = best.project.runs_folder / TRAIN.folder_name(train_key(best.lock))
    assert (folder / "result.json").is_file()
    assert "eval side, which no point of the sweep has seen" in result.files.best.read_text()


def test_a_point_whose_loss_is_lost_is_told_and_the_others_go_on(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = 0

    def around(task: str, work: Callable[[], None]) -> None:
        nonlocal trainings
        trainings += task == "train"
        if task == "train" and trainings == 1:
            raise Refused("E_TRAIN_NOT_FINITE", "the loss is no longer a finite number")
        work()

    stages_here(monkeypatch, around)
    watched = Watched()
    result = actions.sweep(spec, {"train.learning_rate": [1, 0.001]}, reporter=watched)
    assert result.table is not None
    assert result.table.best == 2
    assert result.table.rows[0].result.failure == "E_TRAIN_NOT_FINITE"
    assert any("point 1 (learning_rate 1)" in warning for warning in watched.warnings)


def test_any_other_error_stops_the_sweep_and_names_its_point(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def around(task: str, work: Callable[[], None]) -> None:
        raise Refused("E_RUN_BUSY", "another compile works in this folder")

    stages_here(monkeypatch, around)
    with pytest.raises(Refused, match="point 1 \\(rank 1\\): another compile") as caught:
        actions.sweep(spec, {"train.method.rank": [1, 2]})
    assert caught.value.code == "E_RUN_BUSY"


@pytest.mark.parametrize(
    ("grid", "code", "said"),
    [
        ({"train.method.targets": [["q_proj"], ["q_prj"]]}, "E_ROLES_UNKNOWN_TARGET", "point 2"),
        ({"train.method.rank": [1, 0]}, "E_SPEC_VALUE", "point 2 (rank 0)"),
        ({"evaluation.metric": ["exact", "anls"]}, "E_SWEEP_NOT_COMPARABLE", "point 2"),
        ({"data.split.eval": [0.25, 0.5]}, "E_SWEEP_NOT_COMPARABLE", "point 2"),
        ({"data.split.validation": [0]}, "E_SWEEP_NO_VALIDATION", "validation side"),
        ({"train.epochs": [1]}, "E_SPEC_CONFLICT", "point 1 (epochs 1)"),
    ],
)
def test_what_cannot_end_well_is_refused_before_anything_is_trained(
    spec: Path, monkeypatch: pytest.MonkeyPatch, grid: Any, code: str, said: str
) -> None:
    ran = stages_here(monkeypatch)
    with pytest.raises(KolmError) as caught:
        actions.sweep(spec, grid)
    assert (caught.value.code, ran) == (code, [])
    assert said in caught.value.message


def test_a_sweep_that_the_disk_does_not_hold_is_refused_as_a_whole(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = stages_here(monkeypatch)
    room = shutil.disk_usage(spec.parent)
    enough = room._replace(free=80 << 20)  # for one point, which writes a few MiB
    monkeypatch.setattr(shutil, "disk_usage", lambda _: enough)
    ranks = {"train.method.rank": list(range(1, 201))}
    with pytest.raises(Lacking) as caught:
        actions.sweep(spec, ranks)
    assert (caught.value.code, ran) == ("E_DISK_FULL", [])
    assert caught.value.message == "there is less room than this sweep will write"


def test_files_that_are_there_are_not_overwritten_and_nothing_is_trained_for_them(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = stages_here(monkeypatch)
    (spec.parent / "kolm.best.yaml").write_text("mine\n")
    with pytest.raises(Usage) as caught:
        actions.sweep(spec, {"train.method.rank": [1]})
    assert (caught.value.code, ran) == ("E_TARGET_EXISTS", [])
    actions.sweep(spec, {"train.method.rank": [1]}, force=True)
    assert "rank: 1" in (spec.parent / "kolm.best.yaml").read_text()


def test_jobs_are_listed_run_one_by_one_and_gathered_by_the_same_command(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support.commands import invoke

    ran = stages_here(monkeypatch)
    jobs = spec.parent / "jobs"
    words = ("sweep", spec, "--grid", "rank=1,2", "--jobs-out", jobs)
    listed = invoke(*words, "--json").document()
    assert (listed["missing"], listed["best"], ran) == ([1, 2], None, [])
    first, second = (jobs / "jobs.txt").read_text().splitlines()
    assert shlex.split(first)[0] == "kolm"
    assert invoke(*shlex.split(first)[1:]).code == 0
    listed = invoke(*words, "--json").document()
    assert listed["missing"] == [2]
    assert (jobs / "jobs.txt").read_text().splitlines() == [second]
    assert invoke(*shlex.split(second)[1:]).code == 0
    gathered = invoke(*words, "--json").document()
    assert gathered["missing"] == []
    assert [row["settings"] for row in gathered["rows"]] == [
        {"train.method.rank": "1"}, {"train.method.rank": "2"},
    ]  # fmt: skip
    wanted = texts(spec.parent)
    there = invoke("sweep", spec, "--grid", "rank=1,2", "--json").document()
    assert {**there, "jobs": None} == {**gathered, "jobs": None}
    assert texts(spec.parent) == wanted
    # Results of other data are not taken for these.
    spec.write_text(spec.read_text().replace("steps: 4", "steps: 3"))
    assert invoke(*words, "--json").document()["missing"] == [1, 2]
    # Nor is a point that the grid does not have.
    assert invoke(*words, "--point", "3").code == 2
    assert invoke("sweep", spec, "--grid", "rank=1", "--point", "1").code == 2
