"""Encode: what encoding needs of a tokenizer, and nothing more of it."""

from __future__ import annotations

from typing import Any, Protocol


class AddedToken(Protocol):
    """The parts of a token that was added to a vocabulary which encoding reads."""

    @property
    def lstrip(self) -> bool:
        """Whether it swallows the white space before it."""

    @property
    def rstrip(self) -> bool:
        """Whether it swallows the white space after it."""

    @property
    def single_word(self) -> bool:
        """Whether it is a token only where no letter stands beside it."""


class Tokenizer(Protocol):
    """The parts of a transformers tokenizer that encoding reads."""

    @property
    def chat_template(self) -> Any:
        """The Jinja template, if the tokenizer holds it."""

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """Names such as ``bos_token`` that a template may read."""

    def encode(self, text: str, *, add_special_tokens: bool, verbose: bool) -> list[int]:
        """The ids of a text."""

    def __call__(
        self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool, verbose: bool
    ) -> Any:
        """Ids and, for each, the characters that it stands for."""
