"""Roles: families that are known by name and refused on purpose, and what to take instead.

What belongs here: a type of which it is known why no table would do. A type that merely has no
table yet is not listed: kolm says what a table needs.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """Why there is no table for a family.

    Attributes:
        reason: a sentence without its full stop.
        instead: what a user can do.
    """

    reason: str
    instead: str


_REMOTE = "its code is not part of transformers, and code of a model's repository is never run"

REFUSED: Final[dict[str, Refusal]] = {
    **dict.fromkeys(
        ("phi3_v", "phi4mm", "minicpmv", "minicpmo", "molmo"),
        Refusal(_REMOTE, "take Qwen2.5-VL or Qwen3-VL of its size"),
    ),
    **dict.fromkeys(
        ("internvl_chat", "llava_llama", "llava_mistral", "llava_qwen"),
        Refusal(
            _REMOTE, "take the same weights in the form of transformers: names that end in -hf"
        ),
    ),
    "lfm2-vl": Refusal(_REMOTE, "take the base as it is published now: its type is lfm2_vl"),
    **dict.fromkeys(
        ("moondream", "moondream1", "moondream3"), Refusal(_REMOTE, "take SmolVLM of its size")
    ),
    **dict.fromkeys(
        ("cambrian", "cambrian_llama", "cambrian_phi3"),
        Refusal(
            "its frozen towers lie in a plain Python list, where no walk over parameters sees them",
            "take LLaVA-NeXT or LLaVA-OneVision of its size",
        ),
    ),
    "florence2": Refusal(
        "it is an encoder with a decoder: an answer does not go on from its prompt",
        "take SmolVLM of its size",
    ),
    "janus": Refusal(
        "much of it makes pictures and is neither vision, projector nor language",
        "take InternVL or Qwen2.5-VL of its size",
    ),
    "idefics": Refusal(
        "its language model looks at pictures by cross attention, through a mask of its own, and "
        "its bases are older than chat templates",
        "take Idefics2 or Idefics3",
    ),
    "phi4_multimodal": Refusal(
        "the library makes the features of a picture and writes them among the tokens in one call, "
        "so that there is nothing to record, and its weights see pictures only with an adapter "
        "that lies beside them",
        "take Qwen2.5-VL or Gemma 3 of its size; of text alone, Phi-4-mini is known as phi3",
    ),
    **dict.fromkeys(
        ("chameleon", "emu3"),
        Refusal(
            "it turns pictures into tokens of a vocabulary: there is no projector to train",
            "take Qwen2.5-VL or Qwen3-VL of its size",
        ),
    ),
    "blip-2": Refusal(
        "its language model is an OPT or a T5 that goes on with texts: no base has a chat "
        "template, and a T5 is an encoder with a decoder",
        "take SmolVLM or Qwen2.5-VL of its size",
    ),
    **dict.fromkeys(
        ("instructblip", "instructblipvideo"),
        Refusal(
            "its Q-Former reads the question beside the picture, with a tokenizer of its own: a "
            "picture has no features without the text that asks about it",
            "take SmolVLM or Qwen2.5-VL of its size",
        ),
    ),
    "fuyu": Refusal(
        "it has no vision tower: patches of a picture go straight into the language model",
        "take Qwen2.5-VL or Qwen3-VL of its size",
    ),
}

UNKNOWN = Refusal(
    "there is no role table for this family of models",
    "use a base of one of these; or add a table, which says by name what is vision, projector, "
    "language and head, which modules the projector reads and which layers are adapted (kolm help "
    "concepts/code)",
)
