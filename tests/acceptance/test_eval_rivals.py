"""``kolm eval`` beside a model behind an endpoint, and beside another base: the whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoints import endpoint, said
from tests.support.lines import STEPS, Line, coloured

pytest.importorskip("torch")
pytestmark = [pytest.mark.heavy, pytest.mark.slow]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line.make(tmp_path_factory.mktemp("rivals"), rows=coloured(96), steps=STEPS)
    made.compile()
    return made


def scored(line: Line, output: Path, *words: str | Path) -> dict[str, Any]:
    ran = line.kolm(
        "--json", "eval", line.bundle, "--captures", "captures", "-o", output,
        "--allow-below-gate", *words,
    )  # fmt: skip
    document = ran.document()
    assert "kscore" in document, document
    rival: dict[str, Any] = document["kscore"]["rivals"][0]
    checks = line.kolm("--json", "verify", output).document()["checks"]
    assert {check["id"]: check["verdict"] for check in checks}["V35"] != "failed"
    return rival


def test_an_endpoint_answers_beside_the_bundle(line: Line, tmp_path: Path) -> None:
    with endpoint(lambda _: said("red square", model="big-2026")) as fake:
        rival = scored(
            line, tmp_path / "a.kolm", "--endpoint", fake.url, "--model", "big",
            "--answers", tmp_path / "said.jsonl",
        )  # fmt: skip
    assert len(fake.asked) == rival["cases"] == 96
    assert rival["who"]["said_by"] == ["big-2026"]
    assert rival["accuracy"] == "0.25"
    assert rival["paired"]["bundle_only"] > rival["paired"]["rival_only"]


def test_another_base_answers_beside_the_bundle(line: Line, tmp_path: Path) -> None:
    rival = scored(line, tmp_path / "b.kolm", "--against-base", "kolm/nano-1")
    assert rival["who"]["kind"] == "base"
    assert rival["who"]["digest"].startswith("sha256:")
    assert rival["paired"]["bundle_only"] > rival["paired"]["rival_only"]


def test_offline_nobody_is_asked(line: Line, tmp_path: Path) -> None:
    with endpoint(lambda _: said("red square")) as fake:
        ran = line.kolm(
            "--offline", "eval", line.bundle, "--captures", "captures", "--endpoint", fake.url,
            "--model", "big", "--answers", tmp_path / "said.jsonl",
        )  # fmt: skip
    assert ran.code == 5
    assert fake.asked == []
