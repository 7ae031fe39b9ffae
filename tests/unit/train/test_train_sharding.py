"""A base of 72B laid over eight processes, on no device: what each holds is what a plan says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from kolm import roles
from kolm.format.outline import outline
from kolm.models import published
from kolm.planning.memory import laid_over
from kolm.train.processes import Processes
from kolm.train.sharding import is_shared, shard

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.heavy
EIGHT = Processes(rank=0, size=8)


@pytest.fixture
def eight() -> Iterator[None]:
    """The first of eight processes, as torch fakes the others: nothing is sent anywhere."""
    import torch.distributed as dist
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=EIGHT.size, store=FakeStore())
    yield
    dist.destroy_process_group()


def test_each_of_eight_processes_holds_an_eighth_of_the_language_blocks(eight: None) -> None:
    from transformers import CONFIG_MAPPING, Qwen2_5_VLForConditionalGeneration

    found = published.find("Qwen/Qwen2.5-VL-72B-Instruct")
    assert found is not None
    stated: dict[str, Any] = dict(found.config)
    kind = CONFIG_MAPPING[stated.pop("model_type")]
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(kind(**stated)).bfloat16()
    model.requires_grad_(False)
    family = roles.family("qwen2_5_vl")
    total = sum(tensor.numel() for tensor in model.parameters())
    assert total == outline(found.parameters, family).total
    shard(model, family, EIGHT, "cpu")
    layers = family.target_expression(family.lora_leaf_names)
    shared = {name for name, tensor in model.named_parameters() if is_shared(tensor)}
    assert {name for name in shared if not name.startswith(f"{family.language.blocks}.")} == set()
    linear = {name for name, _ in model.named_modules() if re.fullmatch(layers, name)}
    assert {f"{name}.weight" for name in linear} <= shared
    held = sum(
        tensor.to_local().numel() if is_shared(tensor) else tensor.numel()
        for tensor in model.parameters()
    )
    base = outline(found.parameters, family)
    passing = 2 * max(sum(m.outputs * m.inputs for m in block.matrices) for block in base.blocks)
    planned = total - laid_over(base, 1, EIGHT.size) - passing
    assert math.isclose(held, planned, rel_tol=0.001)  # biases and norms are laid over as well
