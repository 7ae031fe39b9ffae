"""Tiny random models of several families, and what their image processors give for a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

IMAGE, VOCABULARY = 399, 400
_TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": VOCABULARY, "pad_token_id": 0,
}  # fmt: skip
_VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "image_size": 56, "patch_size": 14,
}  # fmt: skip


class Tiny(NamedTuple):
    """A family at its smallest.

    Attributes:
        config: of the model.
        picture: the image processor's tensors for one picture of noise; sizes differ by number.
        tokens: how many tokens the picture of a number takes.
    """

    config: Callable[[], Any]
    picture: Callable[[int], dict[str, Any]]
    tokens: Callable[[int], int]


def build(tiny: Tiny, scale: float = 1.0) -> Any:
    """A frozen model in evaluation mode.

    Args:
        tiny: its family.
        scale: of the matrices; larger ones give answers that differ more.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(tiny.config(), attn_implementation="sdpa")
    with torch.no_grad():  # the library starts some at constants, which hides mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.05)
            elif bool(parameter.any()):
                parameter.mul_(scale)
            else:
                parameter.normal_(std=0.02 * scale)
    return model.eval().requires_grad_(False)


def loaded(model: Any, *, image_token_id: int = IMAGE, pad: int = 0) -> Any:
    """A model as training and evaluation hold it, without a processor."""
    from kolm import roles
    from kolm.models.base import LoadedBase, make_forward

    table = roles.family(model.config.model_type)
    return LoadedBase(
        folder=Path(),
        model=model,
        pictures=SimpleNamespace(table=table, image_token_id=image_token_id),
        forward=make_forward(model, table),
        end_ids=frozenset({3}),
        pad_token_id=pad,
    )


def _mapping(model_type: str) -> Any:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING[model_type]


def _noise(number: int, *shape: int) -> Any:
    import torch

    return torch.randn(*shape, generator=torch.Generator().manual_seed(number))


_GRIDS = ((1, 4, 4), (1, 4, 8), (1, 6, 4))


def _grid(number: int) -> tuple[int, int, int]:
    return _GRIDS[number % len(_GRIDS)]


def _qwen(model_type: str, **vision: Any) -> Tiny:
    def config() -> Any:
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
        return _mapping(model_type)(
            text_config={**_TEXT, "rope_parameters": rope},
            vision_config={"depth": 4, "patch_size": 8, "num_heads": 2, **vision},
            image_token_id=IMAGE,
            video_token_id=398,
            vision_start_token_id=397,
            vision_end_token_id=396,
        )

    def picture(number: int) -> dict[str, Any]:
        import torch

        _, rows, columns = _grid(number)
        pixels = _noise(number, rows * columns, 3 * 2 * 8 * 8)
        return {"pixel_values": pixels, "image_grid_thw": torch.tensor([_grid(number)])}

    return Tiny(config, picture, lambda number: _grid(number)[1] * _grid(number)[2] // 4)


def _llava_config() -> Any:
    from transformers import CLIPVisionConfig, LlamaConfig

    return _mapping("llava")(
        vision_config=CLIPVisionConfig(**_VISION, projection_dim=32),
        text_config=LlamaConfig(**_TEXT),
        image_token_index=IMAGE,
        image_token_id=IMAGE,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )


def _tiles(number: int, tiles: int = 1) -> dict[str, Any]:
    return {"pixel_values": _noise(number, tiles, 3, 56, 56)}


def _shrunk(model_type: str, text: dict[str, Any], vision: dict[str, Any], **own: Any) -> Any:
    def config() -> Any:
        made = _mapping(model_type)()
        for part, sizes in ((made.text_config, {**_TEXT, **text}), (made.vision_config, vision)):
            for name, value in sizes.items():
                if hasattr(part, name):
                    setattr(part, name, value)
        for name, value in {"image_token_id": IMAGE, "pad_token_id": 0, **own}.items():
            setattr(made, name, value)
        return made

    return config


def _idefics(model_type: str) -> Tiny:
    def picture(number: int) -> dict[str, Any]:
        import torch

        tiles = 1 + number % 2
        pixels = _noise(number, 1, tiles, 3, 56, 56)
        mask = torch.ones(1, tiles, 56, 56, dtype=torch.long)
        return {"pixel_values": pixels, "pixel_attention_mask": mask}

    config = _shrunk(model_type, {}, _VISION, scale_factor=2)
    return Tiny(config, picture, lambda number: 4 * (1 + number % 2))


_SLIDING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
_SQUARE = {**_VISION, "image_size": [56, 56], "patch_size": [14, 14]}

TABLE = {
    "llava": Tiny(_llava_config, _tiles, lambda number: 16),
    "qwen2_vl": _qwen("qwen2_vl", embed_dim=32, hidden_size=64),
    "qwen2_5_vl": _qwen(
        "qwen2_5_vl", hidden_size=32, intermediate_size=64, out_hidden_size=64, window_size=32,
        fullatt_block_indexes=[1, 3],
    ),
}  # fmt: skip

# Of families that have no table yet: what theirs would say, as `recorded` and `passed`.
DRAFTS = {
    "qwen3_vl": _qwen(
        "qwen3_vl", hidden_size=32, intermediate_size=64, out_hidden_size=64,
        num_position_embeddings=64, deepstack_visual_indexes=[1, 2],
    ),
    "idefics3": _idefics("idefics3"),
    "smolvlm": _idefics("smolvlm"),
    "gemma3": Tiny(
        _shrunk("gemma3", _SLIDING, _VISION, mm_tokens_per_image=4), _tiles, lambda number: 4
    ),
    "internvl": Tiny(
        _shrunk("internvl", {}, _SQUARE),
        lambda number: _tiles(number, 1 + number % 2),
        lambda number: 4 * (1 + number % 2),
    ),
}  # fmt: skip
DRAFT_TAPS = {
    "qwen3_vl": (
        tuple(f"model.visual.blocks.{n}" for n in (1, 2, 3)),
        ("model.visual.patch_embed", "model.visual.blocks.0"),
    ),
    "idefics3": (("model.vision_model",), ()),
    "smolvlm": (("model.vision_model",), ()),
    "gemma3": (("model.vision_tower",), ()),
    "internvl": (("model.vision_tower",), ()),
}
