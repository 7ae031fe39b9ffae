"""Published checkpoints are held against trace, modules and adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import digest
from kolm.bundle.reader import Bundle
from tests.support.bundles import BundleParts, make_parts
from tests.support.references import members_agree
from tests.support.toy_base import Tensor, floats

Change = Callable[[int, dict[str, Any], dict[str, Tensor]], None]
A = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"
PROJECTOR = "base_model.model.model.visual.merger.mlp.0.weight"
MIDDLE, LAST = 2, 4


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    return make_parts(tmp_path_factory.mktemp("toy"), cases=6)


def complaints(
    toy: BundleParts, path: Path, change: Change | None = None, **train: Any
) -> set[str]:
    """Where the rules complain, once everything else follows from the change."""
    parts = toy.copy()
    parts.lock["train"].update(train)
    parts.publish_checkpoints(change)
    bundle = Bundle.open(parts.seal(path / "x.kolm"))
    return {error.where for error in members_agree(bundle.documents)}


def at(step: int, edit: Callable[[dict[str, Any], dict[str, Tensor]], Any]) -> Change:
    return lambda now, document, state: edit(document, state) if now == step else None


def test_honest_checkpoints_are_accepted(toy: BundleParts, tmp_path: Path) -> None:
    assert complaints(toy, tmp_path) == set()


def test_the_state_of_early_stopping_is_the_one_that_the_losses_give(
    toy: BundleParts, tmp_path: Path
) -> None:
    stopping = {
        "validation": {"every_steps": 1, "answers": None},
        "early_stopping": {"patience": 2, "on": "loss"},
    }
    assert complaints(toy, tmp_path, **stopping) == set()
    forged = at(MIDDLE, lambda d, _: d.update(patience={"best": "1.5", "since": 1}))
    assert complaints(toy, tmp_path, forged, **stopping) == {"checkpoint-00000002.json#/patience"}


def test_without_early_stopping_there_is_no_such_state(toy: BundleParts, tmp_path: Path) -> None:
    forged = at(LAST, lambda d, _: d.update(patience={"best": None, "since": 0}))
    assert complaints(toy, tmp_path, forged) == {"checkpoint-00000004.json#/patience"}


def test_a_document_is_of_its_own_step(toy: BundleParts, tmp_path: Path) -> None:
    forged = at(MIDDLE, lambda d, _: d.update(step=3))
    assert complaints(toy, tmp_path, forged) == {"checkpoint-00000002.json#/step"}


def counting(field: str, tensor: str, count: int) -> Callable[[dict[str, Any], Any], None]:
    def edit(document: dict[str, Any], _: Any) -> None:
        document[field] = {**document[field], tensor: count}

    return edit


@pytest.mark.parametrize(
    "forged",
    [
        at(MIDDLE, counting("updates", A, MIDDLE + 1)),  # more than there were steps
        at(MIDDLE, counting("gradient_steps", A, MIDDLE + 1)),
        at(MIDDLE, counting("updates", A, 1)),  # with a gradient, and not updated
        at(0, counting("gradient_steps", A, 1)),
    ],
)
def test_no_tensor_learns_more_often_than_there_are_steps(
    toy: BundleParts, tmp_path: Path, forged: Change
) -> None:
    assert any(place.endswith(f": {A}") for place in complaints(toy, tmp_path, forged))


def test_no_tensor_was_updated_before_a_run_that_begins_anew(
    toy: BundleParts, tmp_path: Path
) -> None:
    forged = at(0, counting("updates", A, 1))
    assert f"checkpoint-00000000.json: {A}" in complaints(toy, tmp_path, forged)


def test_what_goes_on_from_an_earlier_training_brings_its_updates(
    toy: BundleParts, tmp_path: Path
) -> None:
    def earlier(step: int, document: dict[str, Any], state: dict[str, Tensor]) -> None:
        document["updates"] = dict.fromkeys(document["updates"], step + 7)
        for name in [n for n in state if n.startswith("weights.")]:
            for kind in ("exp_avg", "exp_avg_sq"):
                state[name.replace("weights", kind)] = state[name]

    continued = {"chain": digest.of_bytes(b"chain"), "state": digest.of_bytes(b"state")}
    assert complaints(toy, tmp_path, earlier, continues=continued) == set()


def test_a_projector_learns_no_longer_than_the_lock_says(toy: BundleParts, tmp_path: Path) -> None:
    freeze = {"projector_after_steps": 1, "vision": True}
    found = complaints(toy, tmp_path, freeze=freeze)
    assert f"checkpoint-00000002.json: {PROJECTOR}" in found
    assert f"checkpoint-00000002.json: {A}" not in found


def test_the_counts_are_those_of_the_adapters_tensors(toy: BundleParts, tmp_path: Path) -> None:
    forged = at(MIDDLE, counting("updates", "another", 0))
    assert complaints(toy, tmp_path, forged) == {"checkpoint-00000002.json"}


def test_the_last_counts_are_those_of_the_modules_list(toy: BundleParts, tmp_path: Path) -> None:
    forged = at(LAST, counting("gradient_steps", A, LAST - 1))
    assert complaints(toy, tmp_path, forged) == {f"checkpoint-00000004.json#/gradient_steps/{A}"}


@pytest.mark.parametrize("step", [0, LAST])
def test_the_weights_at_both_ends_are_known(toy: BundleParts, tmp_path: Path, step: int) -> None:
    name = f"weights.{A}"
    forged = at(step, lambda _, s: s.update({name: floats("other", s[name][1])}))
    assert complaints(toy, tmp_path, forged) == {f"checkpoint-{step:08d}.safetensors: {name}"}


@pytest.mark.parametrize(
    "edit",
    [
        lambda state: state.pop(f"exp_avg.{A}"),
        lambda state: state.pop(f"weights.{A}"),
        lambda state: state.update(payload=floats("payload", (64,))),
        lambda state: state.update({f"weights.{A}": floats("shape", (1,))}),
    ],
)
def test_a_state_holds_weights_moments_and_generator(
    toy: BundleParts, tmp_path: Path, edit: Callable[[dict[str, Tensor]], Any]
) -> None:
    (place,) = complaints(toy, tmp_path, at(MIDDLE, lambda _, state: edit(state)))
    assert place.startswith("checkpoint-00000002.safetensors: ")
