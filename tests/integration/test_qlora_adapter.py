"""An adapter of QLoRA (arXiv:2305.14314), as others train it: a base in 4 bits, bfloat16, PEFT.

What kolm asks of a delta that it counts has to hold for it, although the base is coarse.
"""

from __future__ import annotations

from typing import Any

import pytest

from kolm.format.norms import stated_norm
from kolm.methods import StoredTensor
from kolm.methods.lora import Lora
from kolm.train.survey import dtype_name, raw_bytes
from tests.support import tiny_vlm

pytestmark = pytest.mark.heavy

RANK, ALPHA, STEPS, RATE = 4, 8, 3, 1e-4
TARGETS = ("q_proj", "v_proj", "gate_proj")
EXPRESSION = r".*language_model.*(" + "|".join(TARGETS) + ")"  # what a text alone reaches
PREFIX = "base_model.model."


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """The base as it was loaded, dequantized by module, and the adapter after a few steps."""
    torch = pytest.importorskip("torch")
    bitsandbytes = pytest.importorskip("bitsandbytes")
    import peft
    from transformers import BitsAndBytesConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(1)
    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(
        tiny_vlm.save_base(tmp_path_factory.mktemp("qlora") / "base"),
        dtype=torch.bfloat16,
        device_map="cpu",
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
    )
    weights = {
        name: bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        for name, module in base.named_modules()
        if isinstance(module, bitsandbytes.nn.Linear4bit)
    }
    model = peft.get_peft_model(
        peft.prepare_model_for_kbit_training(base, use_gradient_checkpointing=False),
        peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=EXPRESSION),
    )
    model.train()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=RATE)
    ids = torch.arange(24).reshape(2, 12)
    for _ in range(STEPS):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return weights, peft.get_peft_model_state_dict(model)


def test_every_delta_of_a_short_run_counts_beside_its_quantized_weight(
    trained: tuple[Any, dict[str, Any]],
) -> None:
    weights, adapter = trained
    method = Lora(
        rank=RANK, alpha=ALPHA, dropout="0", rslora=False, dora=False, targets=TARGETS,
        target_expression="",
    )  # fmt: skip
    modules = {name.rpartition(".lora_")[0].removeprefix(PREFIX) for name in adapter}
    assert len(modules) >= 2 * len(TARGETS)
    for module in modules:
        weight = weights[module].double()
        norm = stated_norm(weight.square().sum(dim=1).tolist())
        factors = {
            part: _stored(adapter[f"{PREFIX}{module}.{part}"])
            for part in ("lora_A.weight", "lora_B.weight")
        }
        assert method.counts(factors, norm), module
        before = factors | {"lora_B.weight": _zeros(factors["lora_B.weight"])}
        assert not method.counts(before, norm)


def _stored(tensor: Any) -> StoredTensor:
    return StoredTensor(dtype_name(tensor), tuple(tensor.shape), raw_bytes(tensor))


def _zeros(tensor: StoredTensor) -> StoredTensor:
    return tensor._replace(raw=bytes(len(tensor.raw)))
