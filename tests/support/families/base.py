"""What a tiny base of a family is: random weights at the published layout, and the library's own
processor with a tokenizer that has the family's pre-tokenizer, control tokens and chat template.

No entry names a published base; what a template here writes is what theirs writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

WAYS = ("full", "frozen", "lora")
TOWER = "tower"


class TinyBase(NamedTuple):
    """A base of one family.

    Attributes:
        config: makes the configuration of its model, for its tokenizer.
        processor: makes its processor.
        stored: what a published checkpoint holds, of what the library would save.
        whole: makes tensors of its processor, conversations, a template and how to pad, where the
            library's processor has no way from conversations to tensors.
        sizes: width and height of three pictures: where a family can, each takes other tokens.
        published: settings of the published model that the library's default config does not have.
        end: what ends an answer, where it is not what the tokenizer says ends a text.
        sized: whether the sizes of one of its published bases are known (`kolm/models/published`).
        uncounted: ways to train its projector (`WAYS`) in which a step takes other operations than
            are counted (docs/format/compute.md); all of them, where even the base alone does;
            and `TOWER` where the tower does.
        system: whether its template has a place for a system turn in a finished conversation.
    """

    config: Callable[[Any], Any]
    processor: Callable[[], Any]
    stored: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    whole: Callable[..., Any] | None = None
    sizes: tuple[tuple[int, int], ...] = ((32, 32), (64, 32), (32, 48))
    end: str = ""
    system: bool = True
    sized: bool = True
    uncounted: tuple[str, ...] = ()
    published: Mapping[str, Any] = MappingProxyType({})


def config_of(model_type: str, **settings: Any) -> Any:
    """A configuration of the library's."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return CONFIG_MAPPING[model_type](**settings)


def ids_of(tokenizer: Any) -> dict[str, int | None]:
    """The ids that a configuration states of its tokenizer."""
    return {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("bos", "eos", "pad")}


def decoder(tokenizer: Any, **settings: Any) -> dict[str, Any]:
    """A decoder of the Llama kind at its smallest."""
    return {
        "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "vocab_size": len(tokenizer), "max_position_embeddings": 512, **ids_of(tokenizer),
        **settings,
    }  # fmt: skip
