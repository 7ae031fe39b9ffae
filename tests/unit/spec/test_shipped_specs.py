"""Every spec of specs/ can be compiled once base and captures are here: its settings hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.models import published
from kolm.spec.load import load_spec
from tests.support.commands import invoke

SPECS = sorted((Path(__file__).parents[3] / "specs").glob("*.yaml"))
EMBEDDED = "kolm/nano-1"


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_a_shipped_spec_is_accepted_without_its_base_and_captures(spec: Path) -> None:
    wanted = load_spec(spec)
    assert wanted.base == EMBEDDED or published.find(wanted.base) is not None
    ran = invoke("check", str(spec), "--spec-only", "--json")
    assert ran.code == 0, ran.stdout
    found = {one["name"]: one for one in ran.document()["findings"]}
    assert [one for one in found.values() if one["verdict"] == "warning"] == (
        [] if wanted.base == EMBEDDED else [found["base"]]
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_a_shipped_spec_is_planned_for(spec: Path) -> None:
    ran = invoke("plan", str(spec), "--json")
    assert ran.code == 0, ran.stderr
    made = ran.document()
    assert any(device["fits"] for device in made["devices"])
    assert int(made["flops"]["step"]) > 0


def test_captures_that_are_not_here_fail_a_check_of_the_whole(tmp_path: Path) -> None:
    """What cannot be compiled is not said to be: --spec-only is asked for by name."""
    spec = tmp_path / "kolm.yaml"
    spec.write_bytes((SPECS[0].parent / "chart-qa.yaml").read_bytes())
    ran = invoke("check", str(spec), "--json")
    assert ran.code == 3
    failed = {one["name"]: one["code"] for one in ran.document()["findings"] if "code" in one}
    assert failed["base"] == "E_BASE_NOT_FOUND"
    assert failed["captures"] == "E_STORE_MISSING"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("targets: [qkv_proj]", "E_ROLES_UNKNOWN_TARGET"),
        ("kind: prefix", "E_SPEC_CONFLICT"),
    ],
)
def test_settings_that_the_base_does_not_take_are_refused(
    tmp_path: Path, change: str, code: str
) -> None:
    spec = tmp_path / "kolm.yaml"
    projector = "lora" if "prefix" in change else "full"
    spec.write_text(
        "kolm: 1\nname: odd\nbase: Qwen/Qwen2.5-VL-7B-Instruct\ndata: {captures: captures}\n"
        f"train: {{method: {{{change}}}, projector: {projector}}}\n"
    )
    ran = invoke("check", str(spec), "--spec-only", "--json")
    assert ran.code == 1
    assert code in [one.get("code") for one in ran.document()["findings"]]
