"""Sizes of published bases are whole: every parameter has a role, and they add up."""

from __future__ import annotations

import math
import re

import pytest

from kolm import roles
from kolm.format.outline import outline
from kolm.models import published
from kolm.models.shapes import experts_per_token
from kolm.planning.memory import Footprint
from kolm.roles import Role

# The widest inner layer, where the config does not say it in one number.
FEED_FORWARD = {
    "LiquidAI/LFM2-VL-450M": 4608,  # two thirds of what the config says, up to a multiple of 256
    "Qwen/Qwen3.5-35B-A3B": 8 * 512 + 512,  # the chosen experts and the shared one
    "google/gemma-4-26B-A4B-it": 2112 + 8 * 704,  # the dense one and the chosen experts
    "google/gemma-4-E2B-it": 2 * 6144,  # of the layers that share keys and values
}


@pytest.mark.parametrize("name", published.names())
def test_each_parameter_of_a_published_base_has_one_role(name: str) -> None:
    found = published.find(name)
    assert found is not None
    assert found.base == name
    assert re.match(r"https://(huggingface\.co|github\.com)/", found.source)
    family = roles.family(found.config["model_type"])
    total = sum(math.prod(shape) for _, shape in found.parameters)
    of_role = dict.fromkeys(Role, 0)
    for parameter, shape in found.parameters:
        of_role[family.role_of(parameter)] += math.prod(shape)
    assert of_role[Role.OTHER] == 0
    assert sum(of_role.values()) == total
    sees = {Role.VISION, Role.PROJECTOR} if family.takes_pictures else set()
    assert {role for role, size in of_role.items() if size} >= {Role.LANGUAGE} | sees
    base = outline(found.parameters, family, experts_per_token=experts_per_token(found.config))
    assert base.total == total
    text = found.config.get("text_config") or found.config
    wide = FEED_FORWARD[name] if name in FEED_FORWARD else text["intermediate_size"]
    widest = max(Footprint(0, 1).of(block, base.hidden) for block in base.blocks)
    assert (base.hidden, widest) == (text["hidden_size"], wide)
    assert len(base.blocks) == text["num_hidden_layers"]
    assert base.vocabulary == text["vocab_size"]


# As the hub counts them in the published files.
COUNTED = {
    "Qwen/Qwen2-VL-2B-Instruct": 2_208_985_600,
    "Qwen/Qwen2.5-3B-Instruct": 3_085_938_688,
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-72B-Instruct": 73_410_777_344,
    "Qwen/Qwen3-VL-8B-Instruct": 8_767_123_696,
    "HuggingFaceTB/SmolVLM-256M-Instruct": 256_484_928,
    "HuggingFaceTB/SmolVLM2-2.2B-Instruct": 2_246_784_880,
    "google/gemma-3-4b-it": 4_300_079_472,
    "google/paligemma2-3b-pt-224": 3_032_242_416,
    "google/gemma-3-1b-it": 999_885_952,
    "llava-hf/llava-1.5-7b-hf": 7_063_427_072,
    "llava-hf/llava-v1.6-mistral-7b-hf": 7_566_747_648,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "microsoft/Phi-3-mini-4k-instruct": 3_821_079_552,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "zai-org/GLM-4.1V-9B-Thinking": 10_292_777_472,
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_published_base_has_as_many_parameters_as_its_files(name: str) -> None:
    found = published.find(name)
    assert found is not None
    assert sum(math.prod(shape) for _, shape in found.parameters) == COUNTED[name]


def test_a_base_that_is_not_in_the_table_is_not_guessed() -> None:
    assert published.find("Qwen/Qwen2.5-VL-8B-Instruct") is None
    assert published.find("../published/Qwen/Qwen2.5-VL-7B-Instruct") is None
