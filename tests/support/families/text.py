"""Text alone: decoders of the Llama kind with a tokenizer and a template, and nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.support.families import texts
from tests.support.families.base import TinyBase, config_of, decoder

# Llama 3 writes a system turn in any case, with a date, and trims every text.
_LLAMA3 = (
    "{{ bos_token }}{% if strftime_now is defined %}{% set day = strftime_now('%d %b %Y') %}"
    "{% else %}{% set day = '26 Jul 2024' %}{% endif %}"
    "{% if messages[0].role == 'system' %}"
    "{% set said, turns = messages[0].content | trim, messages[1:] %}{% else %}"
    "{% set said, turns = '', messages %}{% endif %}"
    "{{ '<|start_header_id|>system<|end_header_id|>\n\nToday Date: ' + day + '\n\n' + said }}"
    "<|eot_id|>{% for message in turns %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}"
    "{{ message.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|python_tag|>")
_QWEN2 = (
    "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
    "<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Qwen3 thinks before it answers, unless told not to, and forgets its thoughts of earlier turns.
_QWEN3 = (
    "{% set at = namespace(last=0) %}{% for message in messages %}"
    "{% if message.role == 'user' %}{% set at.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.role == 'assistant' and loop.index0 > at.last %}"
    "{{ '<think>\n\n</think>\n\n' + message.content.lstrip('\n') }}"
    "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
_THOUGHTS = (
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
# Mistral has no system turn: what it would say stands before the last question.
_MISTRAL = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set said, turns = messages[0].content + '\n\n', messages[1:] %}{% else %}"
    "{% set said, turns = '', messages %}{% endif %}"
    "{% for message in turns %}{% if message.role == 'user' %}"
    "{{ '[INST] ' + (said if loop.last else '') + message.content + '[/INST]' }}"
    "{% else %}{{ ' ' + message.content | trim + eos_token }}{% endif %}{% endfor %}"
)
_GEMMA2 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}"
    "{{ message.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
_GEMMA3 = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}"
    "{% set before, turns = messages[0].content + '\n\n', messages[1:] %}{% else %}"
    "{% set before, turns = '', messages %}{% endif %}{% for message in turns %}"
    "{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else message.role) + '\n' }}"
    "{{ (before if loop.first else '') + message.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
# Phi-3 ends a text that is not to be gone on with by a token more.
_PHI3 = (
    "{% for message in messages %}"
    "{{ '<|' + message.role + '|>\n' + message.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)


def _processor(template: str, tokenizer: Any) -> Any:
    from kolm.models.processor import TextProcessor

    made = tokenizer()
    made.chat_template = template
    return TextProcessor(made, template)


def _config(model_type: str, tokenizer: Any, *, end: str = "", **settings: Any) -> Any:
    ends = {} if not end else {
        "eos_token_id": [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(end)]
    }  # fmt: skip
    made = decoder(tokenizer, **settings)
    if model_type == "phi3":  # its size follows from the others
        made.pop("head_dim")
    return config_of(model_type, **{**made, **ends})


def _with_frequencies(tensors: dict[str, Any]) -> dict[str, Any]:
    """Beside the model the constants that checkpoints of Llama 2 hold layer by layer."""
    import torch

    layers = (f"model.layers.{number}.self_attn.rotary_emb.inv_freq" for number in range(2))
    return {**tensors, **{name: torch.ones(8) for name in layers}}


def _phi() -> Any:
    """Its control tokens swallow the white space after them."""
    from tokenizers import AddedToken

    made = texts.llama(begins=False)
    names = ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
    made.add_tokens([AddedToken(n, special=True, rstrip=True, normalized=False) for n in names])
    made.eos_token = made.pad_token = "<|endoftext|>"
    return made


_GEMMA = partial(texts.gemma, special=("<start_of_turn>", "<end_of_turn>"))
_SLIDING = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 24}

BASES = {
    "llama": TinyBase(
        partial(_config, "llama"),
        partial(_processor, _LLAMA3, partial(texts.llama3, special=_HEADERS)),
        _with_frequencies,
    ),
    "qwen2": TinyBase(
        partial(_config, "qwen2", tie_word_embeddings=True),
        partial(_processor, _QWEN2, texts.qwen),
    ),
    "qwen3": TinyBase(
        partial(_config, "qwen3", tie_word_embeddings=True),
        partial(_processor, _QWEN3, partial(texts.qwen, plain=_THOUGHTS)),
    ),
    "mistral": TinyBase(
        partial(_config, "mistral", sliding_window=24),
        partial(_processor, _MISTRAL, partial(texts.llama, special=("[INST]", "[/INST]"))),
        system=False,
    ),
    "gemma2": TinyBase(
        partial(_config, "gemma2", end="<end_of_turn>", query_pre_attn_scalar=16, **_SLIDING),
        partial(_processor, _GEMMA2, _GEMMA),
        end="<end_of_turn>",
        system=False,
    ),
    "gemma3_text": TinyBase(
        partial(_config, "gemma3_text", end="<end_of_turn>", query_pre_attn_scalar=16, **_SLIDING),
        partial(_processor, _GEMMA3, _GEMMA),
        end="<end_of_turn>",
    ),
    "phi3": TinyBase(
        partial(_config, "phi3", end="<|end|>"),
        partial(_processor, _PHI3, _phi),
        end="<|end|>",
    ),
}
