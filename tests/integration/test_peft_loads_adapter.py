"""An unpacked bundle's adapter loads with PEFT unchanged and answers as the trained model did."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from kolm.bundle import tensor_writer  # noqa: E402
from kolm.bundle.base_root import base_root  # noqa: E402
from kolm.bundle.reader import Bundle  # noqa: E402
from kolm.format import adapter_config  # noqa: E402
from kolm.roles import FAMILIES  # noqa: E402
from tests.support import tiny_vlm  # noqa: E402
from tests.support.bundles import make_parts  # noqa: E402

pytestmark = pytest.mark.heavy
FAMILY = FAMILIES["qwen2_5_vl"]
EXPRESSION = FAMILY.target_expression(["q_proj", "v_proj", "down_proj"])


def _trained(dora: bool, projector: bool) -> Any:
    """A tiny model with an adapter whose every tensor has moved."""
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=EXPRESSION,
        modules_to_save=list(FAMILY.projector_modules) if projector else None,
        use_dora=dora,
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(tiny_vlm.make_model(0), config)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def _rows(model: Any, projector: bool) -> list[dict[str, Any]]:
    states = []
    for name, module in model.named_modules():
        if not list(module.parameters(recurse=False)):
            continue
        trained = projector and FAMILY.role_of(name) == "projector"
        adapted = re.fullmatch(EXPRESSION, name)
        state = "trained" if trained else "adapted" if adapted else "frozen"
        states.append({"module": name, "state": state, "role": FAMILY.role_of(name).value})
    return states


def _logits(model: Any) -> Any:
    picture = tiny_vlm.make_image_processor()(
        images=[tiny_vlm.make_picture(3)], return_tensors="pt"
    )
    ids = torch.tensor([[tiny_vlm.V_START, *[tiny_vlm.IMAGE] * 4, tiny_vlm.V_END, 5, 6, 7]])
    kinds = (ids == tiny_vlm.IMAGE).long()
    with torch.no_grad():
        return model(input_ids=ids, mm_token_type_ids=kinds, **picture).logits


@pytest.mark.parametrize(("dora", "projector"), [(False, True), (True, False)])
def test_peft_loads_the_unpacked_adapter(tmp_path: Path, dora: bool, projector: bool) -> None:
    model = _trained(dora, projector)
    model.save_pretrained(tmp_path / "saved")
    parts = make_parts(tmp_path / "toy")
    method = parts.lock["train"]["method"]
    method |= {"rank": 4, "alpha": 8, "dora": dora, "target_expression": EXPRESSION}
    weights = tensor_writer.canonicalise(tmp_path / "saved" / "adapter_model.safetensors")
    config = adapter_config.derive(parts.lock, _rows(tiny_vlm.make_model(0), projector))
    parts.overrides |= {"adapter_model.safetensors": weights, "adapter_config.json": config}
    Bundle.open(parts.seal(tmp_path / "x.kolm")).unpack(tmp_path / "unpacked")

    loaded = peft.PeftModel.from_pretrained(tiny_vlm.make_model(0), tmp_path / "unpacked").eval()
    ours, theirs = peft.get_peft_model_state_dict(loaded), peft.get_peft_model_state_dict(model)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(_logits(loaded), _logits(model))
    assert not torch.equal(_logits(loaded), _logits(tiny_vlm.make_model(0)))
    merged = loaded.merge_and_unload()
    assert torch.allclose(_logits(merged), _logits(model), atol=1e-5)


def test_the_canonical_file_is_written_for_files_as_for_bytes(tmp_path: Path) -> None:
    _trained(False, True).save_pretrained(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    assert tensor_writer.canonicalise(path) == tensor_writer.canonicalise(path.read_bytes())


def test_a_base_that_transformers_saved_is_measured(tmp_path: Path) -> None:
    folder = tiny_vlm.save_base(tmp_path / "base")
    facts = base_root(folder)
    model = tiny_vlm.make_model(0)
    own = {id(p): p for p in model.parameters()}
    assert facts.parameters == sum(p.numel() for p in own.values())
    assert facts.model_type == "qwen2_5_vl"
    assert {"config.json", "tokenizer.json"} <= {file.name for file in facts.files}
