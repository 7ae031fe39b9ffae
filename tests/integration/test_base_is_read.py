"""A compile signs what it read itself: what is remembered of a base serves looking ahead alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from kolm import digest
from kolm.actions import compiling, measuring, preparing
from kolm.actions.acceptance import acceptance
from kolm.actions.compiling import compile_bundle
from kolm.bundle.base_root import FileStamp, base_root
from kolm.errors import Unreadable
from kolm.run.names import BASES
from kolm.worker import main
from tests.support import tiny_vlm
from tests.support.lines import Line, same_answer

pytest.importorskip("torch")


class Reached(Exception):
    """Everything is settled, and the first child would start."""


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    base = tiny_vlm.save_base(tmp_path / "base", template=tiny_vlm.PLAIN)
    made = Line.make(tmp_path / "line", rows=same_answer(24), base=base, steps=2)
    monkeypatch.setenv("KOLM_HOME", str(made.home))
    clock = measuring.time.time_ns
    monkeypatch.setattr(measuring.time, "time_ns", lambda: clock() + 3_600 * 10**9)
    return made


def _settled(line: Line, monkeypatch: pytest.MonkeyPatch) -> preparing.Prepared:
    """What a compile has settled when its first child would start."""
    found: list[preparing.Prepared] = []

    def reach(prepared: preparing.Prepared, _: Any) -> Any:
        found.append(prepared)
        raise Reached

    monkeypatch.setattr(compiling, "finished", reach)
    with pytest.raises(Reached):
        compile_bundle(line.folder / "kolm.yaml")
    return found[0]


def test_a_compile_reads_what_a_dry_run_remembers(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "base"
    true = base_root(base).root
    memory = measuring.RememberedDigests(line.home / "cache" / BASES, now_ns=2**62, believe=True)
    for path in base.glob("*.safetensors"):
        forged = [digest.EMPTY] * len(base_root(base).tensors)
        memory.remember(FileStamp.of(path.stat()), tuple(forged))
    ahead = compile_bundle(line.folder / "kolm.yaml", dry_run=True).lock
    assert ahead["base"]["root"] != true  # the forged digests are believed here
    settled = _settled(line, monkeypatch)
    assert settled.lock["base"]["root"] == true
    assert settled.facts == base_root(base)


def test_a_policy_of_the_compile_asks_of_the_base_that_was_read(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = _settled(line, monkeypatch)
    key = compiling.choose_key(None, lambda _: None).public
    demands = acceptance(None, key=key, prepared=settled)
    assert demands.measured(tmp_path / "base") is settled.facts
    os.utime(tmp_path / "base" / "config.json")
    with pytest.raises(Unreadable) as caught:
        demands.measured(tmp_path / "base")
    assert caught.value.code == "E_BASE_CHANGED"


def test_a_child_does_not_train_on_another_base_than_was_measured(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from kolm.actions import stages
    from kolm.run import folder as files
    from kolm.train import arithmetic, profile

    settled, run = _settled(line, monkeypatch), tmp_path / "run"
    run.mkdir()
    places = files.Places(
        base=settled.base.folder, captures=settled.store_folder, base_stamp=settled.stamp
    )
    stages.write_inputs(run, settled.snapshot.files(), settled.lock, places)
    os.utime(tmp_path / "base" / "config.json")
    monkeypatch.setattr(profile, "check_environment", lambda *_, **__: None)
    measured = arithmetic.Arithmetic("cpu", "", digest.EMPTY, bfloat16=True, accelerator=None)
    monkeypatch.setattr(arithmetic, "measure", lambda _: measured)
    for task in ("train", "evaluate"):
        assert main([task, str(run)]) == 1
        assert "E_BASE_CHANGED" in capfd.readouterr().out
