"""Tokenizers as the families have them, with the few merges that a line of English teaches."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

_WORDS = (
    "what is the colour of this picture and how many circles are there in it? a red square, two "
    "green triangles. the answer is yes, no, seven, left, right. USER: ASSISTANT: User: Assistant: "
    "user assistant system model a chat between a curious human and an assistant. What Which How "
    "The It\n"
)


@lru_cache
def bytes_learned(pattern: str) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges over bytes, none of which crosses a border of this pattern."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=380, initial_alphabet=sorted(letters), show_progress=False
    )
    core.train_from_iterator([_WORDS, _WORDS.title()], trainer)
    learned = json.loads(core.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


def qwen(
    model_type: str = "qwen2",
    *,
    special: Iterable[str] = (),
    plain: Iterable[str] = (),
    **settings: Any,
) -> Any:
    """A tokenizer of the Qwen kind: pieces of bytes, digits one by one, nothing before a text.

    Args:
        model_type: whose class it is.
        special: control tokens that are hidden from what is read, after those of every Qwen.
        plain: control tokens that are not.
        settings: of the class, such as the names of control tokens.
    """
    from tokenizers import AddedToken
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name
    from transformers.models.qwen2 import tokenization_qwen2
    from transformers.models.qwen3_5 import tokenization_qwen3_5

    module = tokenization_qwen3_5 if model_type == "qwen3_5" else tokenization_qwen2
    name = "Qwen3_5Tokenizer" if model_type == "qwen3_5" else "Qwen2Tokenizer"
    vocab, merges = bytes_learned(module.PRETOKENIZE_REGEX)
    tokenizer = tokenizer_class_from_name(name)(
        vocab=dict(vocab),
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        **settings,
    )
    every = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *special)
    tokenizer.add_tokens([AddedToken(token, special=True) for token in every])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in plain])
    return tokenizer


def llama(
    *, special: Iterable[str] = (), size: int = 480, begins: bool = True, **settings: Any
) -> Any:
    """A tokenizer of Llama 2: a space before the first text alone, bytes where nothing else fits,
    ``<s>`` before every text unless `begins` is false."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaTokenizer

    core = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    core.train_from_iterator([_WORDS, _WORDS.title()], trainer)
    learned = json.loads(core.to_str())["model"]
    vocab, merges = learned["vocab"], [tuple(pair) for pair in learned["merges"]]
    vocab["▁▁"] = len(vocab)  # the real one merges runs of spaces, and nothing else across words
    tokenizer = LlamaTokenizer(
        vocab=vocab, merges=[("▁", "▁"), *merges], legacy=False, add_bos_token=begins, **settings
    )
    tokenizer.add_special_tokens({"pad_token": "<pad>", "additional_special_tokens": list(special)})
    return tokenizer


_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def llama3(*, special: Iterable[str] = ()) -> Any:
    """A tokenizer of Llama 3: pieces of bytes, up to three digits, ``<|begin_of_text|>`` before
    every text."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocab, merges = bytes_learned(_LLAMA3)
    core = Tokenizer(models.BPE(vocab=dict(vocab), merges=merges, ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_LLAMA3), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    names = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|pad|>", *special)
    core.add_special_tokens([AddedToken(name, special=True) for name in names])
    begin = names[0]
    core.post_processor = TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B",
        special_tokens=[(begin, core.token_to_id(begin))],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=begin,
        eos_token="<end_of_utterance>" if "<end_of_utterance>" in names else "<|eot_id|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )


def smollm(*, special: Iterable[str] = ()) -> Any:
    """A tokenizer of SmolLM2: digits one by one, then pieces of bytes as in GPT-2."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab, merges = bytes_learned(_GPT2)
    core = Tokenizer(models.BPE(vocab=dict(vocab), merges=merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    core.decoder = decoders.ByteLevel()
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *special)
    core.add_special_tokens([AddedToken(name, special=True) for name in names])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        unk_token="<|endoftext|>",
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
    )


TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GLM = _LLAMA3


def of_bytes(
    pattern: str,
    *,
    special: Iterable[str] = (),
    plain: Iterable[str] = (),
    begins: bool = False,
    **settings: Any,
) -> Any:
    """A tokenizer over bytes without a class of its own.

    Args:
        pattern: what its words are.
        special: control tokens that are hidden from what is read.
        plain: control tokens that are not.
        begins: whether it writes its ``bos_token`` before every text.
        settings: its named control tokens.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocab, merges = bytes_learned(pattern)
    core = Tokenizer(models.BPE(vocab=dict(vocab), merges=merges))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(special))
    core.add_tokens([AddedToken(token, normalized=False) for token in plain])
    if begins:
        first = settings["bos_token"]
        core.post_processor = TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, core.token_to_id(first))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=core, **settings)


def gemma(*, special: Iterable[str] = (), plain: Iterable[str] = (), **settings: Any) -> Any:
    """A tokenizer of Gemma: spaces are characters of words, bytes where nothing else fits, and
    line ends and tags added to the vocabulary as text.

    Args:
        special: control tokens that are hidden from what is read.
        plain: further tokens that are text.
        settings: of the class, such as the names of control tokens.
    """
    from tokenizers import AddedToken, Tokenizer, models, trainers
    from transformers import GemmaTokenizer

    core = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    known = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        special_tokens=[*known, *(f"<0x{byte:02X}>" for byte in range(256))],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    core.train_from_iterator([_WORDS.replace(" ", "▁"), _WORDS.title().replace(" ", "▁")], trainer)
    learned = json.loads(core.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = GemmaTokenizer(vocab=learned["vocab"], merges=merges, **settings)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    lines = ["\n" * count for count in range(1, 6)]
    tags = ["<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<h1>", "</h1>", *plain]
    every = [AddedToken(token, special=False, normalized=False) for token in (*lines, *tags)]
    tokenizer.add_tokens(every)
    return tokenizer


def cohere(*, special: Iterable[str] = (), **settings: Any) -> Any:
    """A tokenizer of Cohere: pieces of bytes, digits one by one, ``<BOS_TOKEN>`` before a text."""
    from tokenizers import AddedToken
    from transformers import CohereTokenizer

    vocab, merges = bytes_learned(_GPT2)
    tokenizer = CohereTokenizer(vocab=dict(vocab), merges=merges, **settings)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer
