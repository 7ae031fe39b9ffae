"""A tiny base of every family through the command line: compiled, sealed, verified, run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kolm import digest, roles
from kolm.bundle.reader import Bundle
from kolm.errors import Refused
from kolm.format.names import LOCK
from kolm.spec.load import load_spec
from kolm.spec.resolve import advice_on, train_block
from tests.support import families
from tests.support.lines import Line, noise, of_text, same_answer

pytest.importorskip("torch")
pytestmark = pytest.mark.heavy

# That the bundle is good is not asked: a random base has learnt nothing in 8 steps.
POLICY = "V62"
LOOKED_AT = {f"V{number}" for number in (*range(20, 30), 40, 41, 42, 43, 46, 47, 48)}


# The others run in `make acceptance`: each takes a minute. This one's forward pass is wholly the
# library's own, which no other compile of `make test` covers.
QUICK = "llava"
PRECISIONS = ("float32", "bfloat16")
EVERY = [
    pytest.param(
        name, of, marks=() if (name, of) == (QUICK, PRECISIONS[0]) else (pytest.mark.slow,)
    )
    for name in sorted(roles.FAMILIES)
    for of in PRECISIONS
]


@pytest.mark.parametrize(("model_type", "precision"), EVERY)
def test_a_base_of_the_family_is_compiled_verified_and_run(
    model_type: str, precision: str, tmp_path: Path
) -> None:
    base = families.save(model_type, tmp_path / "base")
    sees = roles.family(model_type).takes_pictures
    rows = same_answer(24) if sees else of_text(24)
    stated = f"  precision: {precision}\n"
    line = Line.make(tmp_path / "line", rows=rows, base=base, steps=8, more=stated)
    line.compile("--allow-below-gate")
    template = Bundle.open(line.bundle).document(LOCK)["base"]["template"]
    own = families.processor(model_type).chat_template
    of = {"base": [own], "family": roles.family(model_type).training_templates}
    assert template["digest"] in [digest.of_bytes(t.encode()) for t in of[template["source"]]]
    ran = line.kolm(
        "verify", line.bundle, "--base", base, "--captures", "captures", "--rescore", "4", "--json"
    )
    verdicts = {check["id"]: check["verdict"] for check in ran.document()["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict == "failed"] == [POLICY]
    assert {name for name in LOOKED_AT if verdicts[name] != "ok"} == set()
    answer = line.demand(
        "run", line.bundle, "--base", base, *(["--image", "0000.png"] if sees else []),
        "--prompt", "what is picture 0?", "--allow-below-gate", "--json",
    )  # fmt: skip
    assert answer.document()["tokens"] > 0
    if not sees:
        picture = tmp_path / "picture.png"
        picture.write_bytes(noise(1))
        asked = line.kolm(
            "run", line.bundle, "--base", base, "--image", picture, "--prompt", "what?"
        )
        assert (asked.code, "E_RUN_IMAGE" in asked.stderr) == (2, True)
        assert "none: the base reads text alone" in line.demand("inspect", line.bundle).stdout


@pytest.mark.slow
def test_adapted_experts_are_compiled_verified_and_run(tmp_path: Path) -> None:
    base = families.save("qwen3_vl_moe", tmp_path / "base")
    method = "{kind: lora, rank: 2, alpha: 4, experts: true}"
    line = Line.make(tmp_path / "line", rows=same_answer(24), base=base, steps=8, method=method)
    line.compile("--allow-below-gate")
    bundle = Bundle.open(line.bundle)
    assert bundle.document(LOCK)["train"]["method"]["experts"] == ["gate_up_proj", "down_proj"]
    ran = line.kolm(
        "verify", line.bundle, "--base", base, "--captures", "captures", "--rescore", "4", "--json"
    )
    verdicts = {check["id"]: check["verdict"] for check in ran.document()["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict == "failed"] == [POLICY]
    assert {name for name in LOOKED_AT if verdicts[name] != "ok"} == set()


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("name", "method", "opens"),
    [
        ("llama", "prompt", "kolm, PEFT"),
        ("llama", "p_tuning", "kolm"),
        ("qwen2_vl", "prompt", "kolm"),
        ("llava", "{kind: p_tuning, encoder: lstm, encoder_size: 8}", "kolm"),
        # By the family's own names of layers.
        ("lfm2_vl", "ia3", "kolm, PEFT"),
        ("phi3", "ia3", "kolm, PEFT"),
        ("qwen3_5", "bottleneck", "kolm"),
        ("qwen3_vl_moe", "bottleneck", "kolm"),
    ],
)
def test_other_methods_are_compiled_verified_and_run(
    name: str, method: str, opens: str, precision: str, tmp_path: Path
) -> None:
    base, sees = families.save(name, tmp_path / "base"), roles.family(name).takes_pictures
    rows = same_answer(24) if sees else of_text(24)
    stated = f"  precision: {precision}\n"
    line = Line.make(tmp_path / "line", rows=rows, base=base, steps=8, method=method, more=stated)
    assert f"opens in   {opens}\n" in line.kolm("compile", "--allow-below-gate").stdout
    ran = line.kolm(
        "verify", line.bundle, "--base", base, "--captures", "captures",
        "--rescore", "4", "--replay", "1", "--json",
    )  # fmt: skip
    verdicts = {check["id"]: check["verdict"] for check in ran.document()["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict == "failed"] == [POLICY]
    assert {name for name in LOOKED_AT if verdicts[name] != "ok"} == set()
    answer = line.demand(
        "run", line.bundle, "--base", base, *(["--image", "0000.png"] if sees else []),
        "--prompt", "what is picture 0?", "--allow-below-gate", "--json",
    )  # fmt: skip
    assert answer.document()["tokens"] > 0


def test_captures_with_pictures_stop_a_compile_on_a_base_that_reads_text_alone(
    tmp_path: Path,
) -> None:
    base = families.save("qwen2", tmp_path / "base")
    rows = [*of_text(20), *same_answer(24)[20:22], *of_text(24)[22:]]
    line = Line.make(tmp_path / "line", rows=rows, base=base, steps=8)
    ran = line.kolm("compile", "--allow-below-gate")
    assert ran.code == 1
    assert "E_ENCODE_NO_PICTURES" in ran.stderr
    for number in (21, 22):
        assert f"pairs.jsonl:{number}" in ran.stderr
    assert line.stage_folders("train") == []
    assert not line.bundle.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("projector", "full"),
        ("projector", "frozen"),
        ("projector_learning_rate", "0.001"),
        ("freeze", "{vision: false}"),
        ("freeze", "{projector_after_steps: 2}"),
        ("shrink_images", "true"),
    ],
)
def test_settings_of_a_tower_or_projector_are_refused_where_there_is_none(
    key: str, value: str
) -> None:
    train = yaml.safe_load(f"{key}: {value}")
    spec = load_spec(
        {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}, "train": train}
    )

    def block_of(name: str) -> dict[str, object]:
        advice = advice_on(spec.train, "b", name)
        return train_block(spec.train, advice, spec.evaluation, examples=100, family_name=name)

    with pytest.raises(Refused) as caught:
        block_of("llama")
    assert caught.value.code == "E_SPEC_CONFLICT"
    assert caught.value.where.startswith(f"train.{key}")
    assert block_of("qwen2_vl")["projector"] is not None
