"""The embedded base: its tokenizer and chat template.

Byte-level BPE, so that any UTF-8 text round-trips, trained on the questions that the scenes ask;
a digit is always one token. The template costs two tokens a turn beside the text.
"""

from __future__ import annotations

import random
from typing import Any

from tools.pretrain.questions import ask
from tools.pretrain.scenes import draw_scene

PAD, END = "<|pad|>", "<|end|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
SPECIAL = (PAD, END, SYSTEM, USER, ASSISTANT, VISION_START, VISION_END, IMAGE, VIDEO)

_CORPUS_SCENES = 6000
_CORPUS_SEED = 12345
_LARGEST_VOCABULARY = 1024
_LEAST_FREQUENCY = 20  # a word of the domain stands some thousand times in the corpus
_COMMON_WORDS = (
    "You are a helpful assistant. Answer with one word. Answer briefly. the and of to in that it "
    "for with as this not are on what a an by from or be has was were which all can"
)

_CONTENT = (
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{{ '<|end|>' }}"
)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}" + _CONTENT + "{% endgeneration %}"
    "{% else %}" + _CONTENT + "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer() -> Any:
    """Train the tokenizer: a `tokenizers.Tokenizer`, the same on every machine."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_LARGEST_VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=_LEAST_FREQUENCY,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return tokenizer


def _corpus() -> list[str]:
    rng = random.Random(_CORPUS_SEED)
    lines = []
    for _ in range(_CORPUS_SCENES):
        scene, _ = draw_scene(rng, 64)
        for question in ask(rng, scene, 8):
            lines += [question.text, question.answer]
    return lines + [_COMMON_WORDS] * (2 * _LEAST_FREQUENCY)
