"""A whole tiny base of each family of models: one entry a family, one file a group of families.

A file here that has `BASES` is found by itself: a new family needs no other line. What the
functions give is made once and shared, so that no caller may change it, but `make_model`'s.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from kolm import roles
from tests.support.families.base import TinyBase, config_of

_FILES = [
    importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
]
BASES: dict[str, TinyBase] = {
    name: base for file in _FILES for name, base in getattr(file, "BASES", {}).items()
}


@lru_cache
def processor(model_type: str) -> Any:
    """The processor of a tiny base."""
    return BASES[model_type].processor()


@lru_cache
def pictures(model_type: str) -> Any:
    """The same on pictures."""
    from kolm.models.folder import image_token_id
    from kolm.models.pictures import NO_TOKEN, PictureProcessor

    table = roles.family(model_type)
    sees = table.takes_pictures
    number = image_token_id(config(model_type).to_dict()) if sees else NO_TOKEN
    return PictureProcessor(processor(model_type), table, number)


def config(model_type: str) -> Any:
    """The configuration of its model, a new one."""
    return BASES[model_type].config(processor(model_type).tokenizer)


def library(model_type: str) -> Any:
    """The library's class that makes its model."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    sees = roles.family(model_type).takes_pictures
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def make_model(model_type: str, seed: int = 0, scale: float = 1.0, made_for: Any = None) -> Any:
    """The model of a tiny base, a new one, frozen and in evaluation mode.

    Args:
        model_type: its family.
        seed: of the weights.
        scale: of the matrices; larger ones give answers that differ more.
        made_for: another configuration than that of the tiny base.
    """
    import torch

    from kolm.models.load import attention_of

    torch.manual_seed(seed)
    made_for = config(model_type) if made_for is None else made_for
    made = library(model_type).from_config(
        made_for, attn_implementation=attention_of(made_for.to_dict())
    )
    with torch.no_grad():  # the library starts some at constants, which hides mistakes
        for parameter in made.parameters():
            if parameter.ndim == 1:
                share = 0.05 if len(parameter) > 1 else 1.0  # a gate that is hardly open hides more
                parameter.add_(torch.randn_like(parameter) * share)
            elif bool(parameter.any()):
                parameter.mul_(scale)
            else:
                parameter.normal_(std=0.02 * scale)
    return made.eval().requires_grad_(False)


model = lru_cache(make_model)


@lru_cache
def published(model_type: str) -> Any:
    """The model of the library's default configuration, without memory for its weights."""
    import torch

    with torch.device("meta"):
        return library(model_type).from_config(config_of(model_type, **BASES[model_type].published))


def save(model_type: str, folder: Path) -> Path:
    """Write a tiny base as a folder that kolm resolves like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    model(model_type).save_pretrained(folder)
    made = processor(model_type)
    saved = made if roles.family(model_type).takes_pictures else made.tokenizer
    saved.save_pretrained(folder)
    if stored := BASES[model_type].stored:
        from safetensors.torch import load_file, save_file

        weights = folder / "model.safetensors"
        save_file(stored(load_file(weights)), weights, metadata={"format": "pt"})
    return folder


SEEING = [name for name in BASES if roles.family(name).takes_pictures]


def messages(
    capture: dict[str, Any], shown: Iterator[Any], *, sees: bool = True
) -> list[dict[str, Any]]:
    """The messages of a capture as the library's processors take them, with the next pictures; or
    as tokenizers do."""
    if not sees:
        return [
            {**message, "content": "".join(block["text"] for block in message["content"])}
            for message in capture["messages"]
        ]
    return [
        {
            "role": message["role"],
            "content": [
                {"type": "image", "image": next(shown)} if block["type"] == "image" else block
                for block in message["content"]
            ],
        }
        for message in capture["messages"]
    ]


def whole(model_type: str, own: Any, conversations: list[Any], template: str) -> Any:
    """What the library's own processor of a base makes of whole conversations: tensors, padded on
    the right."""
    from kolm.models.library import quiet_library

    padding = {"padding": True, "padding_side": "right"}
    with quiet_library():  # some warn of their own code
        if make := BASES[model_type].whole:
            return make(own, conversations, template, padding)
        if not roles.family(model_type).takes_pictures:
            return own.tokenizer.apply_chat_template(
                conversations,
                chat_template=template,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
                padding=True,
                tokenizer_kwargs={"padding_side": padding["padding_side"]},
            )
        return own.apply_chat_template(
            conversations,
            chat_template=template,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs=padding,
        )
