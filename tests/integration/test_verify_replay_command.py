"""`kolm verify --replay` on a real bundle: the embedded base, a store, a publisher's folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kolm import canonical
from tests.support.lines import Line

pytestmark = pytest.mark.heavy
MATERIAL = ("--captures", "captures", "--base", "kolm/nano-1")


def test_a_compile_is_run_again_and_signed_and_the_draw_repeated(
    compiled: Line, tmp_path: Path
) -> None:
    """With the folder that a publisher hands over; the store stays as it is, byte for byte."""
    shutil.copy(compiled.bundle, tmp_path / "audited.kolm")
    (trained,) = compiled.stage_folders("train")
    shutil.copytree(trained / "checkpoints", tmp_path / "states")
    store = {p: p.stat().st_mtime_ns for p in (compiled.folder / "captures").rglob("*")}
    asked = (*MATERIAL, "--replay", "1", "--states", tmp_path / "states")
    ran = compiled.demand("verify", tmp_path / "audited.kolm", *asked, "--attest", "--json")
    report = ran.document()
    replay = report["replay"]
    assert replay["segments"] == 4
    assert replay["equal"] == replay["drawn"]
    assert len(replay["drawn"]) == 2
    assert report["conclusions"]["process"]["verdict"] == "ok"
    assert report["conclusions"]["process"]["evidence"] == "recomputed"
    assert store == {p: p.stat().st_mtime_ns for p in (compiled.folder / "captures").rglob("*")}
    signed = compiled.demand("verify", tmp_path / "audited.kolm", "--json").document()
    assert any(
        "https://slsa.dev/verification_summary/v1" in signer["predicates"]
        for signer in signed["signers"]
    )
    # The same draw again, of a publisher who no longer has most states.
    for path in (tmp_path / "states").iterdir():
        if not path.name.startswith("checkpoint-00000000."):
            path.unlink()
    again = compiled.kolm(
        "verify", tmp_path / "audited.kolm", *asked, "--nonce", replay["nonce"], "--json"
    )
    assert again.code == 3
    assert again.document()["replay"]["drawn"] == replay["drawn"]


def test_a_store_without_the_drawn_captures_is_told_what_it_lacks(
    compiled: Line, tmp_path: Path
) -> None:
    line = Line(folder=tmp_path, home=compiled.home)
    (tmp_path / "one.png").write_bytes(next(compiled.folder.glob("*.png")).read_bytes())
    row = {"image": "one.png", "prompt": "another", "response": "one"}
    (tmp_path / "pairs.jsonl").write_bytes(canonical.dump_lines([row]))
    line.demand("capture", "import", "pairs.jsonl")
    ran = line.kolm("verify", compiled.bundle, *MATERIAL, "--replay", "0", "--json")
    assert ran.code == 3
    assert len(ran.document()["replay"]["lacking"]) > 10


def test_words_that_make_no_sense_are_told_before_anything_runs(compiled: Line) -> None:
    for words in (
        ("--replay", "1"),
        ("--replay", "-1", *MATERIAL),
        ("--replay", "some", *MATERIAL),
        ("--replay", "1", *MATERIAL, "--nonce", "1"),
    ):
        assert compiled.kolm("verify", compiled.bundle, *words).code == 2
    missing = (*MATERIAL, "--replay", "1", "--states", "nothing here")
    assert compiled.kolm("verify", compiled.bundle, *missing).code == 3


def test_states_of_another_training_are_told_before_anything_runs(
    compiled: Line, tmp_path: Path
) -> None:
    (trained,) = compiled.stage_folders("train")
    assert f"states     {trained}/checkpoints " in compiled.demand("compile").stdout
    for path in (trained / "checkpoints").glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes() + b" ")
    asked = (*MATERIAL, "--replay", "1", "--states", tmp_path)
    ran = compiled.kolm("verify", compiled.bundle, *asked)
    assert (ran.code, ran.stdout) == (3, "")
    assert "E_STATES_MISSING" in ran.stderr
    assert "checkpoint-0000" in ran.stderr
    assert "kolm clean" in ran.stderr
