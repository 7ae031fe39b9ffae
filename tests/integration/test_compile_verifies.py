"""A compile seals nothing that its own verify refuses, nor what the named policy refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kolm import canonical
from kolm.sign import predicates
from tests.support.lines import LOWEST_FLOORS, STEPS, Line

pytestmark = pytest.mark.heavy


@pytest.fixture
def line(compiled: Line, tmp_path: Path) -> Line:
    """A compiled project of one's own, without its bundle."""
    shutil.copytree(compiled.folder, tmp_path / "project")
    shutil.copytree(compiled.home, tmp_path / "home")
    line = Line(folder=tmp_path / "project", home=tmp_path / "home", name=compiled.name)
    line.bundle.unlink()
    return line


def write_policy(line: Line, **clauses: object) -> str:
    claims = [{"predicate": predicates.KSCORE, "role": "evaluator", "threshold": 1}]
    policy = {"schema": "urn:kolm:policy:v1", "name": "buyer", "claims": claims, **clauses}
    (line.folder / "policy.json").write_bytes(canonical.dumps(policy))
    return "policy.json"


def test_what_the_named_policy_refuses_is_not_sealed(line: Line) -> None:
    ran = line.kolm("compile", "--policy", write_policy(line, minimum_eval_cases=10_000))
    assert ran.code == 1
    assert "E_COMPILE_NOT_VERIFIED" in ran.stderr
    assert "V62" in ran.stderr
    assert not line.bundle.exists()
    reached = write_policy(line, minimum_eval_cases=4, reach=["delta_scope", "base_identity"])
    line.demand("compile", "--policy", reached)
    line.demand("verify", line.bundle, "--policy", reached, "--base", "kolm/nano-1")


def test_a_declaration_that_the_policy_demands_is_asked_for_before_training(line: Line) -> None:
    shutil.rmtree(line.folder / ".kolm")
    policy = write_policy(line, dossier=["provider", "intended_use"])
    declared = "{}\ndossier: {provider: Example GmbH}"
    line.write_spec(steps=STEPS, publish=declared)
    ran = line.kolm("compile", "--policy", policy)
    assert ran.code == 1
    assert "E_DOSSIER_NOT_STATED" in ran.stderr
    assert "intended_use: …" in ran.stderr
    assert not line.stage_folders("train")


def test_what_could_not_be_looked_at_for_the_policy_is_not_sealed(line: Line) -> None:
    ran = line.kolm("compile", "--policy", write_policy(line, reach=["process"]))
    assert ran.code in (1, 3)
    assert not line.bundle.exists()


def test_a_policy_that_cannot_be_read_is_told_before_anything_else(line: Line) -> None:
    shutil.rmtree(line.folder / ".kolm")
    (line.folder / "policy.json").write_bytes(b"{}")
    assert line.kolm("compile", "--policy", "policy.json").code == 3
    assert not line.stage_folders("train")


def test_a_damaged_state_that_would_be_published_is_not_sealed(line: Line) -> None:
    """The states are in no result's record; V08 holds them to the trace."""
    (folder,) = line.stage_folders("train")
    state = sorted((folder / "checkpoints").glob("*.safetensors"))[1]
    data = bytearray(state.read_bytes())
    data[-1] ^= 1
    state.write_bytes(data)
    line.write_spec(steps=STEPS, publish="{checkpoints: bundle}")
    ran = line.kolm("compile")
    assert ran.code == 1, ran
    assert "V08" in ran.stderr
    assert not line.bundle.exists()


def test_a_bundle_below_the_gate_is_sealed_when_its_maker_says_so(line: Line) -> None:
    line.write_spec(steps=STEPS, floors=LOWEST_FLOORS.replace("k: 0", "k: 1"))
    assert line.kolm("compile").code == 1
    assert not line.bundle.exists()
    again = line.kolm("-v", "compile")  # as its advice says
    assert again.code == 1
    assert "train: done earlier" in again.stderr
    assert "measure latency" in again.stderr
    line.demand("compile", "--allow-below-gate")
    assert line.bundle.exists()


def test_with_every_floor_off_a_bundle_is_sealed_and_says_so(line: Line) -> None:
    names = ("accuracy_lower_bound", "worst_slice", "better_than_base_p", "above_blind")
    off = ", ".join(f"{name}: null" for name in (*names, "above_majority", "k"))
    line.write_spec(steps=STEPS, floors=f"{{{off}}}")
    ran = line.demand("compile")
    assert ran.stdout.count("demanded nothing") == 7
    line.demand("verify", line.bundle)
