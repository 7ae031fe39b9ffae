"""The trainer by the names of fine-tuning scripts: what each becomes, and a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm.actions import keyring
from kolm.errors import KolmError, Usage
from kolm.spec.grid import full_key
from kolm.spec.load import load_spec
from kolm.vlm import FIELDS, VLMTrainConfig, vlm_trainer
from tests.support.lines import coloured
from tests.support.sweeps import stages_here


def spec_of(config: VLMTrainConfig, **more: Any) -> Any:
    return vlm_trainer("kolm/nano-1", [], config, **more).spec


def test_every_field_names_a_key_of_the_spec() -> None:
    for name, field in FIELDS.items():
        assert full_key(field.key) == field.key, name


def test_the_minimal_call_of_a_script_is_a_spec_with_its_settings() -> None:
    config = VLMTrainConfig(
        lora_r=16,
        lora_alpha=32,
        freeze_vision=True,
        learning_rate=1e-4,
        max_seq_length=2048,
        num_train_epochs=1,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=8,
        bf16=True,
    )
    train = load_spec(spec_of(config)).train
    assert (train.method, train.learning_rate) == ({"rank": 16, "alpha": 32}, "0.0001")
    assert (train.batch_size, train.accumulation, train.epochs) == (1, 8, "1")
    assert (train.max_seq_length, train.precision) == (2048, "bfloat16")
    assert train.freeze.vision


def test_every_field_can_be_stated_and_what_a_switch_leaves_off_has_the_default() -> None:
    config = VLMTrainConfig(
        lora_r=4, lora_alpha=8, lora_dropout=0.1, use_rslora=True, use_dora=True,
        target_modules=["q_proj", "v_proj"], freeze_vision=False, freeze_projector=True,
        learning_rate=0.001, lr_scheduler_type="linear", warmup_steps=3, weight_decay=0.01,
        max_grad_norm=0.5, optim="adamw_torch", max_steps=20, per_device_train_batch_size=2,
        gradient_accumulation_steps=2, max_seq_length=256, max_images=2, bf16=False, fp16=False,
        load_in_4bit=False, seed=7,
    )  # fmt: skip
    spec = load_spec(spec_of(config))
    train = spec.train
    assert train.method == {
        "rank": 4, "alpha": 8, "dropout": "0.1", "rslora": True, "dora": True,
        "targets": ["q_proj", "v_proj"],
    }  # fmt: skip
    assert (train.projector, train.freeze.vision, train.steps) == ("frozen", False, 20)
    assert (train.schedule, train.warmup_steps, train.optimizer) == ("linear", 3, "adamw")
    assert (train.precision, train.quantisation) == ("float32", None)
    assert spec.nonce == "7".zfill(64)
    assert load_spec(spec_of(VLMTrainConfig(target_modules="all-linear"))) == load_spec(
        spec_of(VLMTrainConfig())
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lora_rank": 4}, "did you mean lora_r?"),
        ({"max_steps": 4, "num_train_epochs": 1}, "exclude each other"),
        ({"bf16": True, "fp16": True}, "exclude each other"),
    ],
)
def test_unknown_and_contradictory_fields_are_refused(fields: Any, said: str) -> None:
    with pytest.raises(Usage) as caught:
        VLMTrainConfig(**fields)
    assert caught.value.code == "E_VLM_FIELD"
    assert said in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": "q_proj|v_proj"},
        {"target_modules": []},
        {"lora_r": 0},
        {"bf16": "yes"},
        {"optim": "lion"},
        {"lr_scheduler_type": "cosine_with_restarts"},
        {"seed": -1},
        {"seed": 2**256},
        {"learning_rate": float("nan")},
        {"load_in_4bit": True, "use_dora": True},
    ],
)
def test_what_a_spec_would_not_take_is_refused_as_a_spec_refuses_it(fields: Any) -> None:
    with pytest.raises(KolmError) as caught:
        load_spec(spec_of(VLMTrainConfig(**fields)))
    assert caught.value.code in ("E_SPEC_VALUE", "E_SPEC_CONFLICT")


def test_more_keys_join_the_fields_and_may_not_contradict_them() -> None:
    config = VLMTrainConfig(learning_rate=0.001)
    more = {"evaluation": {"metric": "anls"}, "data": {"split": {"eval": 0.5}}}
    spec = load_spec(spec_of(config, spec=more))
    assert (spec.evaluation.metric["kind"], spec.data.split.eval) == ("anls", "0.5")
    assert load_spec(spec_of(config, spec={"train": {"learning_rate": 0.001}})) == load_spec(
        spec_of(config)
    )
    for other in ({"train": {"learning_rate": 0.002}}, {"base": "other"}):
        with pytest.raises(Usage) as caught:
            spec_of(config, spec=other)
        assert caught.value.code == "E_VLM_FIELD"


def test_rows_to_score_by_are_a_side_of_their_own() -> None:
    train, scored = [{"image": "a", "prompt": "p", "response": "r"}], [{"image": "b"}]
    trainer = vlm_trainer("kolm/nano-1", train, eval_dataset=scored)
    assert [row["split"] for row in trainer.rows] == ["train", "eval"]
    assert load_spec(trainer.spec).data.split.kind == "official"
    assert load_spec(vlm_trainer("kolm/nano-1", train).spec).data.split.eval == "0.2"


@pytest.mark.heavy
def test_a_run_on_the_embedded_base_gives_a_bundle_and_its_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    keyring.new_key()
    stages_here(monkeypatch)
    trainer = vlm_trainer(
        model_id="kolm/nano-1",
        train_dataset=coloured(40),
        config=VLMTrainConfig(lora_r=4, lora_alpha=8, learning_rate=0.002, max_steps=3, seed=3),
        output_dir=tmp_path / "out",
        spec={"data": {"near_duplicates": "report"}},
    )
    trained = trainer.train(allow_below_gate=True)
    assert trained.bundle == tmp_path / "out" / "vlm.kolm"
    assert trained.receipt is not None
    said = trained.receipt["vlm_train"]
    assert (said["model_id"], said["method"]["lora_r"], said["steps"]) == ("kolm/nano-1", 4, 3)
    assert said["freeze_vision"] is True
    assert trained.result.lock["nonce"].endswith("3")
