"""``kolm clean``: shows what is kept to be faster, frees what is named and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.run import folder as files
from kolm.run.names import RESULT, SEALED
from tests.support.commands import invoke

KEPT = {
    "runs": (".kolm/runs/train-0123456789abcdef/adapter_model.safetensors", 3000),
    "rows": (".kolm/rows/0123/captures.db", 200),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home, folder = tmp_path / "home", tmp_path / "project"
    monkeypatch.setenv("KOLM_HOME", str(home))
    places = [(folder / name, size) for name, size in KEPT.values()]
    places += [(home / "cache/features/ab.features", 40), (home / "cache/bases/1-2", 4)]
    places += [(folder / "kolm.yaml", 7)]
    places += [(folder / "captures/blobs/one", 7), (folder / "line.kolm", 7), (home / "keys/k", 7)]
    for path, size in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return folder


def listing(*folders: Path) -> set[Path]:
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_without_flags_it_shows_and_frees_nothing(project: Path) -> None:
    before = listing(project.parent)
    ran = invoke("clean", project, "--json")
    assert ran.code == 0
    found = {one["kind"]: one["size_bytes"] for one in ran.document()["kept"]}
    assert found == {"runs": 3000, "rows": 200, "features": 40, "bases": 4}
    assert ran.document()["freed_bytes"] == 0
    assert listing(project.parent) == before
    told = invoke("clean", project).stdout
    assert "train, not finished" in told
    command = told.splitlines()[-1].removeprefix("next    kolm ").partition("   ")[0]
    assert command == f"clean {project} --runs --rows --features --bases"
    freed = invoke(*command.split(), "--json").document()  # it can be copied
    assert freed["freed_bytes"] == 3244


def test_a_stage_is_listed_with_the_name_of_its_spec(project: Path) -> None:
    (project / KEPT["runs"][0]).with_name("spec.lock.json").write_bytes(b'{"name":"easy-vqa"}')
    assert "  train, not finished, easy-vqa\n" in invoke("clean", project).stdout


def test_a_stage_is_listed_with_what_was_sealed_from_it(project: Path) -> None:
    assert "sealed" not in invoke("clean", project).stdout
    files.write((project / KEPT["runs"][0]).parent, SEALED, b"bafkreione")
    assert "        sealed as bafkreione\n" in invoke("clean", project).stdout
    runs, *others = invoke("clean", project, "--json").document()["kept"]
    assert (runs["sealed"], [one for one in others if "sealed" in one]) == ("bafkreione", [])


@pytest.mark.parametrize(
    ("kind", "size"), [("runs", 3000), ("rows", 200), ("features", 40), ("bases", 4)]
)
def test_a_flag_frees_its_kind_and_nothing_else(project: Path, kind: str, size: int) -> None:
    before = listing(project.parent)
    ran = invoke("clean", project, f"--{kind}", "--json")
    assert ran.document()["freed_bytes"] == size
    gone = before - listing(project.parent)
    assert len(gone) == 1
    assert f"/{kind}/" in str(gone.pop())
    assert invoke("clean", project, f"--{kind}", "--json").document()["freed_bytes"] == 0


def test_what_a_compile_works_in_is_left_alone(project: Path) -> None:
    folder = (project / KEPT["runs"][0]).parent
    (folder / RESULT).write_bytes(b"{}")
    with files.held(folder):
        ran = invoke("clean", project, "--runs", "--json")
    (one,) = (one for one in ran.document()["kept"] if one["kind"] == "runs")
    assert (one["busy"], one["freed"]) == (True, False)
    assert (folder / RESULT).is_file()
    assert "in use" not in invoke("clean", project, "--runs").stdout


def test_a_link_is_removed_and_not_followed(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"x")
    (project / ".kolm/runs/train-linked").symlink_to(elsewhere)
    assert invoke("clean", project, "--runs").code == 0
    assert not (project / ".kolm/runs/train-linked").is_symlink()
    assert (elsewhere / "precious").is_file()


def test_a_project_without_anything_kept_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    assert invoke("clean", tmp_path).stdout == "nothing is kept here\n"
