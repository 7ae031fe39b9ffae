"""The keys and values beside attention: the formula, where they are, and that none is cached."""

from __future__ import annotations

from typing import Any

import pytest

from kolm import digest, methods
from kolm.errors import Refused
from kolm.roles import family
from kolm.spec.options import resolve_method
from tests.support import tiny_vlm

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
TABLE = family("qwen2_5_vl")
IDS = [[5, 6, 7, 8, 9, 10, 11]]


def attached(attention: str = "sdpa", model: Any = None) -> Any:
    from kolm.adapters.attach import attach

    model = model or tiny_vlm.make_model()
    model.set_attn_implementation(attention)
    block = resolve_method({"kind": "prefix", "virtual_tokens": 3}, TABLE, vision=False)
    made = attach(
        model, TABLE, methods.method_of(block), projector="frozen",
        adapt_vision=False, seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    torch.manual_seed(2)
    with torch.no_grad():
        for tensor in made.tensors:
            tensor.parameter.copy_(torch.randn_like(tensor.parameter))
    return made


def test_each_layer_of_the_language_role_has_one_and_the_tower_none() -> None:
    assert {tensor.module for tensor in attached().tensors} == {
        f"model.language_model.layers.{number}.self_attn.v_proj" for number in range(2)
    }


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_gives_what_the_formula_says_and_off_what_it_gave(attention: str) -> None:
    made = attached(attention)
    module = made.base.get_submodule("model.language_model.layers.1.self_attn")
    name = "base_model.model.model.language_model.layers.1.self_attn.v_proj.lora_prefix_"
    parts = {t.name.removeprefix(name): t.parameter for t in made.tensors}
    heads, sharing, size = 4, 2, 12
    query = torch.randn(2, heads, 5, size)
    key, value = torch.randn(2, 2, sharing, 5, size)
    ask = module.config._attn_implementation
    assert ask != made.base.config._attn_implementation == attention
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    function = ALL_ATTENTION_FUNCTIONS.get_interface(ask, None)
    with torch.no_grad(), made.model.disable_adapter():
        plain, _ = function(module, query, key, value, None, scaling=0.3)
    with torch.no_grad():
        given, _ = function(module, query, key, value, None, scaling=0.3)
        for head in range(heads):
            own = slice(head // 2 * size, (head // 2 + 1) * size)
            shares = (0.3 * query[:, head] @ parts["keys"][:, own].T).softmax(-1)
            expected = plain[:, :, head] + shares @ parts["values"][:, own]
            assert torch.allclose(given[:, :, head], expected, atol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_row_at_once_is_the_same_as_token_by_token_and_beside_padding(attention: str) -> None:
    model = attached(attention).model
    ids = torch.tensor(IDS)
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        cache, steps = None, []
        for position in range(ids.shape[1]):
            step = model(
                input_ids=ids[:, position : position + 1], past_key_values=cache, use_cache=True
            )
            cache = step.past_key_values
            steps.append(step.logits)
        padded = torch.cat([ids, torch.zeros_like(ids[:, :2])], dim=1)
        seen = (torch.arange(padded.shape[1]) < ids.shape[1]).long()[None]
        beside = model(input_ids=padded, attention_mask=seen).logits
        with model.disable_adapter():
            assert not torch.allclose(model(input_ids=ids).logits, whole, atol=1e-2)
    assert cache.get_seq_length() == ids.shape[1]
    assert torch.allclose(torch.cat(steps, dim=1), whole, atol=1e-5)
    assert torch.allclose(beside[:, : ids.shape[1]], whole, atol=1e-5)


def test_attention_that_asks_for_no_function_is_refused() -> None:
    model = tiny_vlm.make_model()
    module = model.get_submodule("model.language_model.layers.0.self_attn")

    class Fixed(type(module)):  # type: ignore[misc]
        def forward(self, *args: Any, **options: Any) -> Any:
            return super().forward(*args, **options)

    module.__class__ = Fixed
    with pytest.raises(Refused) as refused:
        attached(model=model)
    assert refused.value.code == "E_ADAPTER_TARGETS"
    assert refused.value.found == "Fixed"
