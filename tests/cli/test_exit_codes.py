"""Exit codes: for each one a way to reach it, and what then stands on which stream."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kolm import actions, digest
from kolm.cli.examples import gauges
from kolm.errors import Denied, Lacking, Network, Refused
from kolm.spec import load_spec
from tests.support.commands import invoke

pytestmark = pytest.mark.usefixtures("project")

TABLE = [
    (("check", "nowhere.yaml"), 3, "E_SPEC_MISSING"),
    (("inspect", "nowhere.kolm"), 3, None),
    (("inspect", "kolm.yaml"), 3, None),
    (("verify", "nowhere.kolm"), 3, None),
    (("capture", "stats", "--store", "nowhere"), 3, None),
    (("registry", "list", "--registry", "nowhere"), 3, None),
    (("registry", "pull", "demo/nothing"), 3, None),
    (("keys", "export", "nobody"), 3, None),
    (("keys", "trust", "nowhere.pem", "--as", "a", "--role", "builder"), 3, None),
    (("keys", "trust", "stranger.pem", "--as", "a", "--role", "publisher"), 2, "E_TRUST_NAMES"),
    (("init", "."), 1, "E_INIT_EXISTS"),
    (("help", "nothing"), 2, "E_HELP_TOPIC"),
    (("registry", "publish", "toy.kolm", "Not A Name"), 2, None),
    (("run", "toy.kolm"), 2, "E_USAGE"),
]


@pytest.mark.parametrize(("arguments", "code", "name"), TABLE)
def test_each_failure_has_its_code_and_document(
    arguments: tuple[str, ...], code: int, name: str | None
) -> None:
    ran = invoke(*arguments, "--json")
    assert ran.code == code, ran.stderr
    error = ran.document()["error"] if code == 1 else ran.error()
    assert name in (None, error["code"])
    assert code == 1 or ran.stdout == ""
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (Refused("E_X", "x"), 1),
        (Denied("E_X", "x"), 4),
        (Network("E_X", "x"), 5),
        (Lacking("E_X", "x"), 6),
        (ZeroDivisionError("x"), 70),
        (KeyboardInterrupt(), 130),
    ],
)
def test_what_the_library_raises_decides_the_code(
    raised: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    for name in ("compile", "check", "run", "evaluate_bundle"):
        monkeypatch.setitem(vars(actions), name, fail)
    run = ("run", "toy.kolm", "--image", "picture.png", "--prompt", "what?")
    for arguments in (("compile",), ("check",), run, ("eval", "toy.kolm", "--captures", ".")):
        assert invoke(*arguments).code == code


def test_a_damaged_bundle_is_a_no_and_a_missing_one_could_not_be_looked_at(project: Path) -> None:
    data = bytearray((project / "toy.kolm").read_bytes())
    at = data.index(b'"accuracy"')
    data[at + 1] ^= 1
    (project / "broken.kolm").write_bytes(data)
    assert invoke("verify", "toy.kolm").code == 0
    assert invoke("verify", "broken.kolm").code == 1
    assert invoke("inspect", "broken.kolm").code == 1
    assert invoke("verify", "gone.kolm").code == 3


def test_a_bundle_of_a_stranger_could_not_be_judged(project: Path) -> None:
    shutil.rmtree(project / ".kolm")
    assert invoke("verify", "toy.kolm").code == 3


def test_a_wrong_spec_is_listed_in_full_and_refused(project: Path) -> None:
    (project / "kolm.yaml").write_text(
        "kolm: 1\nname: x\nbase: b\ndata: {captures: c}\nfoo: 1\nbar: 2\n"
    )
    ran = invoke("check", "--json")
    assert ran.code == 1
    document = ran.document()
    assert not document["passed"]
    assert [finding["where"] for finding in document["findings"]] == ["kolm.yaml:5", "kolm.yaml:6"]
    assert "did you mean" not in invoke("check").stdout


def test_below_the_gate_nothing_is_sealed_and_wrong_answers_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sealed = actions.compile

    def below(*arguments: Any, **named: Any) -> Any:
        good = vars(sealed(*arguments, **named))
        case = {
            "case": "sha256:" + "0" * 64,
            "prompt": "what color?",
            "reference": "red",
            "output": "blue",
        }
        changes = {"bundle": None, "cid": None, "content_id": None, "gate_passed": False}
        return SimpleNamespace(**{**good, **changes, "failing_cases": (case,) * 30})

    monkeypatch.setitem(vars(actions), "compile", below)
    ran = invoke("compile")
    assert ran.code == 1
    assert "not sealed" in ran.stdout
    assert ran.stdout.count("what color?") == 10
    assert "expected  red" in ran.stdout
    document = invoke("compile", "--json").document()
    assert document["bundle"] is None
    assert len(document["failing_cases"]) == 10


def test_a_dry_run_prints_the_lock() -> None:
    assert '"urn:kolm:lock:v1"' in invoke("compile", "--dry-run").stdout
    assert invoke("compile", "--dry-run", "--json").document()["dry_run"] is True


def test_push_and_pull_are_the_registry_verbs(project: Path) -> None:
    what = ("toy.kolm", "demo/toy@1.0.1", "--json")
    assert invoke("push", *what).document()["new"] is True
    assert invoke("registry", "publish", *what).document()["new"] is False
    assert invoke("pull", "demo/toy", "-o", "pulled.kolm").code == 0
    assert (project / "pulled.kolm").read_bytes() == (project / "toy.kolm").read_bytes()


def test_inspect_unpacks_what_other_tools_load(project: Path) -> None:
    assert invoke("inspect", "toy.kolm", "--unpack", "files").code == 0
    names = {path.name for path in (project / "files").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json"} <= names


def test_the_quickstart_is_a_project_that_loads(project: Path) -> None:
    folder = project / "new"
    assert invoke("init", folder, "--example", "easy-vqa").code == 0
    assert load_spec(folder / "kolm.yaml").name == "easy-vqa"
    before = (folder / "kolm.yaml").read_bytes()
    assert invoke("init", folder, "--example", "easy-vqa").code == 1
    assert (folder / "kolm.yaml").read_bytes() == before


def test_the_gauges_are_different_pictures_and_can_be_imported(project: Path) -> None:
    folder = project / "new"
    assert invoke("init", folder, "--example", "gauges").code == 0
    assert load_spec(folder / "kolm.yaml").name == "gauges"
    pixels = {path.read_bytes() for path in (folder / "images").iterdir()}
    assert len(pixels) == gauges.DIALS
    source, store = folder / "pairs.jsonl", folder / "captures"
    ran = invoke("capture", "import", source, "--store", store, "--json")
    assert ran.document()["captures"] == 2 * gauges.DIALS


def test_the_gauges_are_the_same_every_time() -> None:
    def first() -> list[tuple[gauges.Dial, bytes]]:
        stream = digest.Stream(gauges.SEED)
        dials = [gauges._draw_lots(stream, number) for number in range(20)]
        return [(dial, gauges._picture(dial).tobytes()) for dial in dials]

    assert first() == first()
    assert {dial.reading for dial, _ in first()} == set(range(20, 101, 5))


def test_inspect_shows_k_slices_and_controls() -> None:
    shown = invoke("inspect", "toy.kolm").stdout
    assert re.search(
        r"^  K  +[01](\.\d+)? on the bundle's eval cases, gate passed, by key [0-9a-f]{16}$",
        shown,
        re.MULTILINE,
    )
    assert re.search(r"^  slices  +[01](\.\d+)? +\w+ .* on \d+ cases$", shown, re.MULTILINE)
    assert re.search(r"^  controls  +base ", shown, re.MULTILINE)
    assert re.search(
        r"^  compute  +\d\S* operations in 12.5 s, energy not measured", shown, re.MULTILINE
    )
    third = "it is 3.33e22 operations, a third of 1e23, as nobody declared what the base took"
    assert f"  EU limit   not exceeded: {third}" in shown
