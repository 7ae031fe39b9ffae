"""An empty project is called after its folder, whatever that is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.cli.examples import plain
from kolm.spec.load import load_spec


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
