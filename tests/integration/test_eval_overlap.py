"""`kolm eval` says in output and claim what of a pack the bundle was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.lines import STEPS, Line, coloured

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line.make(tmp_path_factory.mktemp("overlap"), rows=coloured(200), steps=STEPS)
    made.demand("compile")
    return made


def overlap(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["kscore"]["pack"]["overlap"]
    return found


def test_the_training_store_as_a_pack_is_found_out(line: Line, tmp_path: Path) -> None:
    words = ("eval", line.bundle, "--captures", "captures", "-o", tmp_path / "scored.kolm")
    ran = line.kolm("--json", *words, "--trained-on", "captures")
    found = overlap(ran.document())
    assert found["captures"] == found["seen_cases"] > 0
    assert found["seen_cases"] < found["cases"] == 200
    assert found["near_twins"] is not None
    assert f"{found['seen_cases']} of 200 cases show what the bundle was trained on" in ran.stderr
    told = line.kolm("verify", "-v", tmp_path / "scored.kolm")
    assert f"{found['seen_cases']} of 200 cases seen in training" in told.stdout
