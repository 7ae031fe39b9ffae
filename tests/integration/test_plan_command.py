"""``kolm plan``: what a training will need, with and without the base and its data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import invoke
from tests.support.pictures import capture, filled

SPEC = """\
kolm: 1
name: planned
base: {base}
data: {{captures: captures, split: {{eval: 0.5, validation: 0}}, near_duplicates: report}}
train: {{{train}}}
"""


def write(folder: Path, base: str, train: str = "method: lora") -> Path:
    spec = folder / "kolm.yaml"
    spec.write_text(SPEC.format(base=base, train=train))
    return spec


def planned(spec: Path, *options: str) -> dict[str, object]:
    ran = invoke("plan", str(spec), "--json", *options)
    assert ran.code == 0, ran.stderr
    return ran.document()


def test_a_published_base_is_planned_for_without_it_and_without_data(tmp_path: Path) -> None:
    train = "method: lora, batch_size: 1, max_seq_length: 2048, precision: bfloat16, steps: 100"
    made = planned(write(tmp_path, "Qwen/Qwen2.5-VL-7B-Instruct", train), "--throughput", "100")
    assert made["base"] == {
        "id": "Qwen/Qwen2.5-VL-7B-Instruct",
        "family": "qwen2_5_vl",
        "sizes_from": "published",
    }
    assert made["parameters"]["total"] == 8_292_166_656
    assert made["parameters"]["projector"] == 44_574_464
    assert made["data"] is None
    [why] = made["unread"]
    assert why["message"].startswith("captures: ")
    assert why["hint"]
    assert why["message"] not in made["notes"]
    assert made["batch"]["lengths_from"] == "spec"
    memory = made["memory"]
    terms = ("weights", "state", "activations", "logits", "tower", "context", "kept")
    assert memory["total"] == sum(memory[term] for term in terms)
    assert memory["weights"] == 2 * 8_292_166_656
    step, run = int(made["flops"]["step"]), int(made["flops"]["run"])
    assert step == sum(map(int, made["flops"]["step_terms"].values()))
    assert run == 100 * step
    assert float(made["time"]["step_seconds"]) == pytest.approx(step / 1e14, abs=1e-3)
    ways = {(way["method"], way["checkpointing"]): way for way in made["compared"]}
    for method in ("lora", "qlora"):
        assert ways[method, False]["flops"] == made["flops"]["step"]
        assert ways[method, False]["step_seconds"] == made["time"]["step_seconds"]


def test_operations_of_each_way_are_told_with_the_time_where_a_throughput_is(
    tmp_path: Path,
) -> None:
    spec = write(tmp_path, "Qwen/Qwen2.5-VL-7B-Instruct", "method: lora, accumulation: 2")
    for options, seconds in ((), 0), (("--throughput", "100"), 1):
        table = invoke("plan", str(spec), *options).stdout.partition("* with checkpointing\n")[2]
        found = planned(spec, *options)
        for way in found["compared"]:
            name = way["method"] + (" *" if way["checkpointing"] else "")
            [row] = [line for line in table.splitlines() if line.strip().startswith(f"{name}  ")]
            cells = row.removeprefix(f"  {name}").split()
            assert len(cells) == 4 + 1 + seconds
            assert cells[4] == f"{float(way['flops']):.3g}"
            assert cells[5:] == [way["step_seconds"]] * seconds


@pytest.mark.parametrize(
    ("base", "rows", "length"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", 2, 512 + 16),  # both answers behind one prompt
        ("google/gemma-3-4b-it", 4, 512),  # a row for each
    ],
)
def test_pairs_are_planned_for_as_they_go_through_the_model(
    tmp_path: Path, base: str, rows: int, length: int
) -> None:
    train = "method: lora, objective: dpo, batch_size: 2, max_seq_length: 512"
    batch = planned(write(tmp_path, base, train))["batch"]
    assert (batch["rows"], batch["length"], batch["labels"]) == (rows, length, 2 * 2 * 16)


def test_virtual_tokens_are_in_every_row(tmp_path: Path) -> None:
    base, common = "Qwen/Qwen2.5-VL-7B-Instruct", "batch_size: 1, max_seq_length: 512"
    made = {
        kind: planned(write(tmp_path, base, f"method: {method}, {common}"))
        for kind, method in (
            ("lora", "{kind: lora, rank: 1}"),
            ("prompt", "{kind: prompt, virtual_tokens: 64}"),
        )
    }
    assert {kind: plan["batch"]["length"] for kind, plan in made.items()} == {
        "lora": 512, "prompt": 576,
    }  # fmt: skip
    projector = made["prompt"]["parameters"]["projector"]
    assert made["prompt"]["trained"]["numbers"] == projector + 64 * 3584
    activations = {kind: plan["memory"]["activations"] for kind, plan in made.items()}
    assert activations["prompt"] == pytest.approx(activations["lora"] * 576 / 512, rel=1e-3)


def test_a_spec_that_does_not_fit_is_told_what_to_change(tmp_path: Path) -> None:
    spec = write(tmp_path, "Qwen/Qwen2.5-VL-7B-Instruct", "method: lora, batch_size: 1")
    ran = invoke("plan", str(spec), "--memory", "24")
    assert ran.code == 1
    assert "does not fit into 24.00 GiB" in ran.stdout
    assert "train.precision: bfloat16" in ran.stdout
    assert ran.stdout.count("  fits") == 1
    assert invoke("plan", str(spec), "--memory", "800").code == 0


@pytest.mark.parametrize("option", [("--memory", "much"), ("--memory", "-1"), ("--memory", "NaN")])
def test_a_number_that_is_none_is_refused(tmp_path: Path, option: tuple[str, str]) -> None:
    ran = invoke("plan", str(write(tmp_path, "kolm/nano-1")), *option, "--json")
    assert ran.code == 2
    assert ran.error()["code"] == "E_PLAN_NUMBER"


def test_of_an_unknown_base_nothing_is_guessed(tmp_path: Path) -> None:
    ran = invoke("plan", str(write(tmp_path, "nobody/has-this")), "--json")
    assert ran.code == 3
    error = ran.error()
    assert error["code"] == "E_BASE_NOT_FOUND"
    assert "Qwen/Qwen2.5-VL-7B-Instruct" in error["hint"]


def test_the_embedded_base_is_counted_with_the_data_that_is_there(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    filled(tmp_path / "captures", *(capture(n) for n in range(30)), pictures=40).close()
    made = planned(write(tmp_path, "kolm/nano-1", "method: lora, batch_size: 4, epochs: 2"))
    assert made["base"]["sizes_from"] == "weights"
    data, batch = made["data"], made["batch"]
    assert data["examples"] == 15
    assert data["refused"] == 0
    for shown in (data["tokens"], data["image_tokens"], data["labels"]):
        assert sum(one["examples"] for one in shown["bins"]) == 15
    assert batch["lengths_from"] == "data"
    assert (batch["rows"], batch["length"]) == (4, data["tokens"]["longest"])
    assert batch["steps"] == 8
    assert made["disk"]["features_bytes"] > 0


def test_a_folder_with_nothing_but_a_config_is_planned_for(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    base = tmp_path / "tiny"
    base.mkdir()
    text = {
        "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "vocab_size": 100,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 7,
    }  # fmt: skip
    config = {"model_type": "idefics3", "scale_factor": 2, "text_config": text}
    (base / "config.json").write_text(json.dumps({**config, "vision_config": vision}))
    made = planned(write(tmp_path, "tiny"))
    assert made["base"] == {"id": "local/tiny", "family": "idefics3", "sizes_from": "config"}
    block = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128 + 2 * 64
    assert made["parameters"]["language"] == 2 * block + 64
    assert made["parameters"]["projector"] == 32 * 4 * 64


def test_a_broken_config_is_told_as_such(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "odd").mkdir()
    config = {"model_type": "idefics3", "text_config": {"model_type": "nobody"}}
    (tmp_path / "odd" / "config.json").write_text(json.dumps(config))
    ran = invoke("plan", str(write(tmp_path, "odd")))
    assert ran.code == 1
    assert "E_BASE_CONFIG" in ran.stderr


@pytest.mark.parametrize(("objective", "asked"), [("simpo", False), ("dpo", True), ("kto", True)])
def test_a_references_pass_is_in_the_operations(
    tmp_path: Path, objective: str, *, asked: bool
) -> None:
    filled(tmp_path / "captures", *(capture(n) for n in range(30)), pictures=40).close()
    train = f"method: lora, objective: {objective}, batch_size: 1, max_seq_length: 512, steps: 10"
    flops = planned(write(tmp_path, "llava-hf/llava-1.5-7b-hf", train))["flops"]
    assert (flops["reference"] != "0") is asked
    assert int(flops["run"]) == 10 * int(flops["step"]) + int(flops["reference"])


def test_answers_to_other_prompts_are_in_the_operations_of_a_step(tmp_path: Path) -> None:
    common = "method: lora, batch_size: 2, max_seq_length: 512"
    step = {
        objective: int(
            planned(
                write(
                    tmp_path,
                    "llava-hf/llava-1.5-7b-hf",
                    f"{common}, objective: {objective}",
                )
            )["flops"]["step"]
        )
        for objective in ("dpo", "kto")
    }
    assert step["kto"] > step["dpo"]


def test_a_processor_has_libraries_and_no_driver(tmp_path: Path) -> None:
    base, common = "llava-hf/llava-1.5-7b-hf", "method: lora, batch_size: 1, max_seq_length: 512"
    context = {
        device: planned(write(tmp_path, base, f"{common}, device: {device}"))["memory"]["context"]
        for device in ("cpu", "cuda")
    }
    assert context["cpu"] < context["cuda"] == 1 << 30


def test_why_the_data_is_not_read_stands_where_the_data_would(tmp_path: Path) -> None:
    spec = write(tmp_path, "Qwen/Qwen2.5-VL-7B-Instruct")
    [why] = planned(spec)["unread"]
    lines = invoke("plan", str(spec)).stdout.splitlines()
    at = lines.index(f"data         not read: {why['message']}")
    assert lines[at + 1] == f"    hint      {why['hint']}"
