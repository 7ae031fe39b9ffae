"""The embedded base `kolm/nano-1`: the scenes that it learns from, its tokenizer and its shape.

A demonstration and test base in the Qwen2.5-VL architecture, small enough to ship in the wheel.
Its weights lie in `weights/` and never change under this name; MODEL_CARD.md says what it can do.
It is trained by `python -m tools.pretrain`.
"""
