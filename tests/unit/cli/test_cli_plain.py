"""A first project: what it is called, which steps come next, and what an empty folder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.cli.commands.init import EXAMPLE_NAMES
from kolm.cli.examples import plain
from kolm.spec.load import load_spec
from tests.support.commands import invoke


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("mine", "mine"),
        ("My Task", "my-task"),
        ("Überprüfung_2", "berpr-fung_2"),
        ("..x", "x"),
        ("---", "my-task"),
        ("2026", "2026"),
        ("null", "null"),
        ("a" * 100, "a" * 64),
    ],
)
def test_the_bundle_is_called_after_its_folder(tmp_path: Path, folder: str, name: str) -> None:
    plain.write(tmp_path / folder)
    assert load_spec(tmp_path / folder / "kolm.yaml").name == name


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("example", [None, *(name for name in EXAMPLE_NAMES if name != "easy-vqa")])
def test_the_next_steps_stand_in_the_order_in_which_they_work(example: str | None) -> None:
    asked = ("--example", example) if example else ()
    steps = invoke("init", "new", *asked, "--json").document()["next"]
    verbs = [" ".join(word for word in step.split()[1:3] if word.isalpha()) for step in steps]
    order = ["keys new", "capture import", "check", "compile", "verify", "run"]
    assert verbs == [verb for verb in order if verb in verbs]
    assert {"keys new", "capture import", "compile"} <= set(verbs)
    shown = invoke("init", "again", *asked).stdout.splitlines()
    assert shown[1:3] == ["  cd again", f"  {steps[0]}"]
    assert ("kolm help guides/capture" in shown[-1]) == (example is None)


@pytest.mark.usefixtures("empty")
@pytest.mark.parametrize("command", ["check", "compile", "plan"])
def test_an_empty_folder_is_told_how_a_project_begins(command: str) -> None:
    error = invoke(command, "--json").error()
    assert error["code"] == "E_SPEC_MISSING"
    begin = error["hint"].partition("   ")[0].replace("DIR", "new").split()
    assert invoke(*begin[1:]).code == 0
    assert "E_SPEC_MISSING" not in invoke("check", "new/kolm.yaml").stderr


def test_a_spec_that_stands_here_under_another_name_is_named(empty: Path) -> None:
    plain.write(empty)
    assert invoke("check", "kolm.yml", "--json").error()["hint"] == "did you mean kolm.yaml?"


@pytest.mark.usefixtures("empty")
def test_rows_that_are_not_there_yet_are_explained() -> None:
    hint = invoke("capture", "import", "pairs.jsonl", "--json").error()["hint"]
    assert "kolm help guides/capture" in hint
    assert "kolm capture template FOLDER --prompt TEXT" in hint
