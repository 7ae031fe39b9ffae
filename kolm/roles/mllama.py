"""Roles of Mllama (Llama 3.2 Vision).

Every fifth block of the language model attends to pictures and not to the text; its layers have the
names of those that do. A list of suffixes such as q_proj would adapt the tower too. Source:
transformers, ``modeling_mllama.py`` and ``processing_mllama.py``.
"""

from __future__ import annotations

from kolm.roles.family import DECODER_LEAVES, Beside, Config, Family, Role, Stack, Taps

_TOWER, _PROJECTOR = "model.vision_model", "model.multi_modal_projector"
_LANGUAGE = "model.language_model"


def whole_tower(config: Config) -> Taps:
    """The projector reads what the tower gives at its end, states of earlier layers among it."""
    return Taps(recorded=(_TOWER,))


FAMILY = Family(
    model_type="mllama",
    prefixes={
        Role.VISION: (_TOWER,),
        Role.PROJECTOR: (_PROJECTOR,),
        Role.LANGUAGE: (_LANGUAGE,),
        Role.HEAD: ("lm_head",),
    },
    language=Stack(
        blocks=f"{_LANGUAGE}.layers",
        leaves={
            leaf: ("cross_attn", *parents) if parents == ("self_attn",) else parents
            for leaf, parents in DECODER_LEAVES.items()
        },
    ),
    papers=("arXiv:2407.21783",),
    projector_modules=(_PROJECTOR,),
    vision=Stack(
        blocks=f"{_TOWER}.transformer.layers",
        leaves={
            **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), ("self_attn",)),
            **dict.fromkeys(("fc1", "fc2"), ("mlp",)),
        },
        more=(f"{_TOWER}.global_transformer.layers",),
    ),
    taps=whole_tower,
    beside=Beside(
        reader=_LANGUAGE,
        states="cross_attention_states",
        mask="cross_attention_mask",
        tiles="aspect_ratio_mask",
    ),
    spellings={
        _LANGUAGE: ("language_model.model",),
        _TOWER: ("vision_model",),
        _PROJECTOR: ("multi_modal_projector",),
        "lm_head": ("language_model.lm_head",),
    },
    license_note="the Llama 3.2 Community License: none of its rights to models that see are given "
    "to who is domiciled in the European Union",
)
