"""LoRA's product, scaled where it is narrow."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from peft import LoraConfig, get_peft_model  # noqa: E402

from kolm.adapters.lora import ScaledEarly, scale_early  # noqa: E402


def layer(alpha: int, **options: Any) -> Any:
    """A linear layer with LoRA of rank 8 whose factors both are noise, and PEFT's model of it."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(48, 96))
    config = LoraConfig(r=8, lora_alpha=alpha, target_modules=["0"], **options)
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        parameter.data = torch.randn(parameter.shape)
    return wrapped, wrapped.base_model.model[0]


def bits(wrapped: Any) -> list[Any]:
    """What the layer gives for a batch, and the gradients of its factors and of its input."""
    torch.manual_seed(4)
    rows = torch.randn(5, 7, 48, requires_grad=True)
    given = wrapped(rows)
    trained = [p for p in wrapped.parameters() if p.requires_grad]
    return [given, *torch.autograd.grad(given.square().sum(), [*trained, rows])]


@pytest.mark.parametrize("alpha", [2, 8, 16, 32])
def test_a_power_of_two_gives_pefts_own_bits_forward_and_backward(alpha: int) -> None:
    wrapped, adapted = layer(alpha)
    before = bits(wrapped)
    scale_early(wrapped)
    assert isinstance(adapted.lora_variant["default"], ScaledEarly)
    for own, early in zip(before, bits(wrapped), strict=True):
        assert torch.equal(own, early)


@pytest.mark.parametrize(
    ("alpha", "options"), [(12, {}), (16, {"use_dora": True}), (8, {"use_rslora": True})]
)
def test_another_number_or_another_formula_stays_as_peft_has_it(
    alpha: int, options: dict[str, Any]
) -> None:
    wrapped, adapted = layer(alpha, **options)
    before = dict(adapted.lora_variant)
    scale_early(wrapped)
    assert adapted.lora_variant == before
    assert not any(isinstance(kind, ScaledEarly) for kind in before.values())
