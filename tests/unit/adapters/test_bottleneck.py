"""The network behind a layer: the formula, what it begins as, and where it is put."""

from __future__ import annotations

from typing import Any

import pytest

from kolm import digest, methods
from kolm.roles import Role, family
from kolm.spec.options import resolve_method
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
TABLE = family("qwen2_5_vl")


def attached(**options: Any) -> Any:
    from kolm.adapters.attach import attach

    block = resolve_method({"kind": "bottleneck", "size": 3, **options}, TABLE, vision=False)
    return attach(
        tiny_vlm.make_model(), TABLE, methods.method_of(block), projector="full",
        adapt_vision=False, seed=digest.of_bytes(b"seed"),
    )  # fmt: skip


def test_it_is_behind_attention_and_mlp_of_every_block_of_the_language_role() -> None:
    made = attached()
    modules = {tensor.module for tensor in made.tensors if not tensor.whole}
    assert modules == {
        f"model.language_model.layers.{number}.{name}"
        for number in range(2)
        for name in ("self_attn.o_proj", "mlp.down_proj")
    }
    assert {TABLE.role_of(t.module) for t in made.tensors if t.whole} == {Role.PROJECTOR}
    assert len([tensor for tensor in made.tensors if not tensor.whole]) == 4 * 4
    one = attached(targets=["down_proj"])
    assert {t.module.rpartition(".")[2] for t in one.tensors if not t.whole} == {"down_proj"}


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_layer_gives_what_the_formula_says_and_off_what_it_gave(activation: str) -> None:
    made = attached(activation=activation)
    torch.manual_seed(2)
    with torch.no_grad():
        for tensor in made.tensors:
            tensor.parameter.add_(torch.randn_like(tensor.parameter))
    name = "model.language_model.layers.1.mlp.down_proj"
    layer = made.base.get_submodule(name)
    parts = {
        tensor.name.removeprefix(f"base_model.model.{name}.lora_bottleneck_"): tensor.parameter
        for tensor in made.tensors
        if tensor.module == name
    }
    hidden = torch.randn(2, 5, 96)
    with torch.no_grad():
        given = hidden @ layer.base_layer.weight.T
        between = given @ parts["down.weight"].T + parts["down.bias"]
        shaped = between.clamp(min=0) if activation == "relu" else torch.nn.functional.gelu(between)
        expected = given + shaped @ parts["up.weight"].T + parts["up.bias"]
        assert torch.allclose(layer(hidden), expected, atol=1e-5)
        with made.model.disable_adapter():
            assert torch.allclose(layer(hidden), given, atol=1e-6)
