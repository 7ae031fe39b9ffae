"""``kolm check`` against a store: what cannot end well is said before anything is trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kolm import actions
from kolm.bundle import limits, members
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Unreadable
from tests.support.commands import invoke
from tests.support.pictures import capture, filled, picture
from tests.support.stores import add

pytest.importorskip("torch")  # a lock names the version that would train


def findings(
    folder: Path, *, captures: int, floor: str, metric: str = "exact"
) -> dict[str, dict[str, str]]:
    taken = [capture(number) for number in range(captures)]
    filled(folder / "captures", *taken, pictures=max(captures, 40)).close()
    spec = folder / "kolm.yaml"
    spec.write_text(
        "kolm: 1\nname: few\nbase: kolm/nano-1\n"
        "data: {captures: captures, split: {eval: 0.5, validation: 0}, near_duplicates: report}\n"
        "train: {method: {kind: lora}, steps: 8}\n"
        f"evaluation: {{metric: {metric}, floors: {{accuracy_lower_bound: {floor}}}}}\n"
    )
    return {finding["name"]: finding for finding in actions.check(spec)}


def test_a_floor_that_so_few_cases_cannot_reach_is_refused(tmp_path: Path) -> None:
    found = findings(tmp_path, captures=30, floor="0.8")["eval side"]
    assert (found["verdict"], found["code"]) == ("failed", "E_FLOOR_OUT_OF_REACH")
    assert found["found"] == (
        "15 eval cases, whose lower bound is at most 0.796117; 16 right answers would reach it"
    )


@pytest.mark.parametrize(("captures", "floor"), [(32, "0.8"), (30, "0.7")])
def test_one_case_more_or_a_lower_floor_is_within_reach(
    tmp_path: Path, captures: int, floor: str
) -> None:
    found = findings(tmp_path, captures=captures, floor=floor)
    assert found["captures"]["verdict"] == "ok"


@pytest.mark.parametrize("metric", ["vqa", "json_f1", "{kind: regex, pattern: '[0-9]{9}'}"])
def test_a_metric_by_which_no_response_earns_anything_is_refused(
    tmp_path: Path, metric: str
) -> None:
    found = findings(tmp_path, captures=32, floor="0.1", metric=metric)["eval side"]
    assert (found["verdict"], found["code"]) == ("failed", "E_METRIC_REFERENCES")
    assert found["found"] == "16 eval cases"


def test_more_cases_than_a_bundle_takes_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = limits.CASES_BYTES._replace(value=5_000)
    cases = members.kind_of("evalcases.jsonl")._replace(limit=small)
    table = [cases if kind.name == cases.name else kind for kind in members.TABLE]
    monkeypatch.setattr(members, "TABLE", tuple(table))
    found = findings(tmp_path, captures=40, floor="0.7")["captures"]
    assert (found["verdict"], found["code"]) == ("failed", "E_CONTAINER_LIMIT")
    assert found["where"] == "evalcases.jsonl"


def test_a_compile_that_may_end_below_the_gate_is_not_stopped_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kolm.actions import compiling, stages
    from kolm.sign.private_keys import generate

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    findings(tmp_path, captures=30, floor="0.8")
    key = generate()
    monkeypatch.setattr(compiling, "choose_key", lambda *_: key)
    monkeypatch.setattr(stages.children, "run", interrupted)
    spec = tmp_path / "kolm.yaml"
    with pytest.raises(Refused) as caught:
        actions.compile(spec)
    assert caught.value.code == "E_FLOOR_OUT_OF_REACH"
    with pytest.raises(KeyboardInterrupt):
        actions.compile(spec, allow_below_gate=True)
    with pytest.raises(Refused):
        actions.compile(spec, dry_run=True)
    tried = actions.compile(spec, dry_run=True, allow_below_gate=True)
    assert tried.lock["name"] == "few"


def test_what_a_compile_will_write_is_held_against_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = findings(tmp_path, captures=40, floor="0.7")["disk"]
    assert found["verdict"] == "ok"
    assert "10 states of " in found["message"]  # 9 boundaries, and one between two
    free = shutil.disk_usage(tmp_path)._replace(free=64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    shutil.rmtree(tmp_path / "captures")
    found = findings(tmp_path, captures=40, floor="0.7")["disk"]
    assert (found["verdict"], found["code"]) == ("failed", "E_DISK_FULL")
    assert "10 states of " in found["expected"]
    assert found["found"] == "64 MiB free"


def test_a_missing_base_does_not_hide_missing_captures(tmp_path: Path) -> None:
    findings(tmp_path, captures=4, floor="0.7")
    spec = tmp_path / "kolm.yaml"
    spec.write_text(spec.read_text().replace("kolm/nano-1", "local/none"))
    (tmp_path / "captures" / "captures.db").unlink()
    failed = {found["code"] for found in actions.check(spec) if found["verdict"] == "failed"}
    assert {"E_BASE_NOT_FOUND", "E_STORE_MISSING"} <= failed
    with pytest.raises(Unreadable, match="2 problems") as caught:
        actions.compile(spec, dry_run=True)
    assert "E_BASE_NOT_FOUND" in caught.value.found
    assert "E_STORE_MISSING" in caught.value.found


@pytest.mark.parametrize(
    "command", ["check", "check --spec-only", "plan", "compile", "compile --dry-run"]
)
def test_float16_is_refused_alike_before_anything_is_read(tmp_path: Path, command: str) -> None:
    spec = tmp_path / "kolm.yaml"
    spec.write_text(
        "kolm: 1\nname: few\nbase: local/none\ndata: {captures: none}\n"
        "train: {precision: float16}\n"
    )
    ran = invoke(*command.split(), str(spec), "--json")
    assert ran.code == 1
    told = ran.document()
    (error,) = told["findings"] if "findings" in told else [told["error"]]
    assert error["code"] == "E_TRAIN_FLOAT16"
    assert error["where"] == "kolm.yaml:5"
    assert "small gradients vanish in it" in error["message"]
    assert "precision: bfloat16, which has the range of float32; or float32" in error["hint"]


@pytest.mark.parametrize(
    ("method", "rate", "is_far"),
    [
        ("lora", "0.0002", False), ("lora", "0.01", True),
        ("ia3", "0.01", False), ("ia3", "0.0001", True),
        ("prefix", "0.01", False), ("prefix", "0.0001", True),
    ],
)  # fmt: skip
def test_a_rate_is_warned_of_by_what_works_for_the_method(
    tmp_path: Path, method: str, rate: str, is_far: bool
) -> None:
    spec = tmp_path / "kolm.yaml"
    spec.write_text(
        "kolm: 1\nname: few\nbase: Qwen/Qwen2.5-VL-3B-Instruct\ndata: {captures: none}\n"
        f"train: {{method: {method}, learning_rate: {rate}, projector_learning_rate: 0.0002}}\n"
    )
    ran = invoke("check", "--spec-only", str(spec), "--json")
    said = [one["message"] for one in ran.document()["findings"] if one["verdict"] == "warning"]
    assert any(message.startswith("train.learning_rate") for message in said) == is_far


@pytest.mark.parametrize(
    ("base", "train", "said"),
    [
        # Its blocks have tables of their own.
        ("google/gemma-4-E2B-it", "{method: prompt}", "virtual ones have no such row"),
        ("google/gemma-4-31B-it", "{method: prompt}", None),
        # The last layer of its tower is never read.
        ("llava-hf/llava-1.5-7b-hf", "{freeze: {vision: false}}", "no gradient can reach 6 of"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "{freeze: {vision: false}}", None),
    ],
)
def test_what_a_base_has_no_place_for_is_refused_before_it_is_downloaded(
    tmp_path: Path, base: str, train: str, said: str | None
) -> None:
    spec = tmp_path / "kolm.yaml"
    spec.write_text(f"kolm: 1\nname: few\nbase: {base}\ndata: {{captures: none}}\ntrain: {train}\n")
    ran = invoke("check", "--spec-only", str(spec), "--json")
    failures = [one for one in ran.document()["findings"] if one["verdict"] == "failed"]
    assert [one["code"] for one in failures] == ["E_ADAPTER_TARGETS"] * (said is not None)
    assert all(said in one["message"] for one in failures)


@pytest.mark.parametrize(("captures", "warned"), [(98, True), (100, False)])
def test_what_the_built_in_policy_will_not_take_is_said_before_training(
    tmp_path: Path, captures: int, warned: bool
) -> None:
    found = findings(tmp_path, captures=captures, floor="0.7")
    assert ("audit" in found) == warned
    if warned:
        assert found["audit"]["verdict"] == "warning"
        assert "it demands 50 eval cases, and there are 49" in found["audit"]["message"]


@pytest.mark.parametrize(
    ("setting", "warned"),
    [
        ("projector_learning_rate: 0.1", "train.projector_learning_rate 0.1 is far"),
        ("steps: 800", "training sees each capture about"),
    ],
)
def test_settings_that_seldom_work_are_warned_about(
    tmp_path: Path, setting: str, warned: str
) -> None:
    findings(tmp_path, captures=40, floor="0.7")
    spec = tmp_path / "kolm.yaml"
    said = " ".join(found["message"] for found in actions.check(spec))
    assert warned not in said
    text = spec.read_text().replace("steps: 8}", "steps: 8, learning_rate: 0.001}")
    text = text.replace("steps: 8", setting if "steps" in setting else f"steps: 8, {setting}")
    spec.write_text(text)
    found = [finding["message"] for finding in actions.check(spec)]
    assert any(message.startswith(warned) for message in found)


def test_shares_that_pass_over_the_rows_own_sides_are_a_warning(tmp_path: Path) -> None:
    findings(tmp_path, captures=40, floor="0.7")
    with CaptureStore.open(tmp_path / "captures") as store:
        add(store, [capture(50, split="eval")], [picture(50)])
    warned = [
        finding["message"]
        for finding in actions.check(tmp_path / "kolm.yaml")
        if (finding["name"], finding["verdict"]) == ("captures", "warning")
    ]
    assert ["1 capture with a stated side" in message for message in warned] == [True]


def test_of_several_keys_the_one_that_will_sign_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    findings(tmp_path, captures=40, floor="0.7")
    for name in ("work", "home"):
        assert invoke("keys", "new", "--name", name).code == 0
    for options, answer in (
        ((), "E_KEY_AMBIGUOUS"),
        (("--key", "home"), None),
        (("--key", "none"), "E_KEY_MISSING"),
    ):
        ran = invoke("check", str(tmp_path / "kolm.yaml"), *options, "--json")
        (found,) = [one for one in ran.document()["findings"] if one["name"] == "key"]
        assert found.get("code") == answer


def test_a_quiet_check_says_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    spec = tmp_path / "kolm.yaml"
    spec.write_text("kolm: 1\nname: A B\nbase: kolm/nano-1\ndata: {captures: captures}\n")
    ran = invoke("-q", "check", "--spec-only", str(spec))
    assert (ran.code, ran.stdout.split()[:2]) == (1, ["FAILED", "spec"])
    spec.write_text(spec.read_text().replace("A B", "a"))
    ran = invoke("-q", "check", "--spec-only", str(spec))
    assert (ran.code, ran.stdout) == (0, "")


def test_a_run_that_validates_on_nothing_is_refused_by_check_and_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    assert invoke("keys", "new").code == 0
    findings(tmp_path, captures=40, floor="0.7")
    spec = tmp_path / "kolm.yaml"
    stop = "steps: 8, validate_every: 2, early_stopping: {patience: 1}"
    spec.write_text(spec.read_text().replace("steps: 8", stop))
    for command in ("check", "compile"):
        ran = invoke("-q", command, str(spec))
        said = ran.stdout + ran.stderr
        assert ran.code == 1
        assert "no captures are held out to validate on   train.validate_every" in said
        assert "data.validation: 0.05" in said
