"""Encode: texts of a conversation become ids that are never control tokens.

A tokenizer turns the text ``<|image_pad|>`` into the control token of that name. In a captured
text it is just text, and must stay text: it is cut after its first character, so that no part of
it is a control token's name, and each part is tokenised on its own.
"""

from __future__ import annotations

import re
from functools import lru_cache

from kolm.encode.processing import Tokenizer
from kolm.errors import Refused

_CACHED_TEXTS = 65_536  # a question repeats over thousands of images; 64 Ki short texts are ~50 MB


class TextEncoder:
    """Tokenises plain text and nothing but plain text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        self._control_ids = frozenset(added)
        names = sorted((str(token) for token in added.values()), key=len, reverse=True)
        # With no added token at all the pattern must match nothing, not everything.
        self._control_names = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        self.ids = lru_cache(maxsize=_CACHED_TEXTS)(self._ids)

    def _ids(self, text: str) -> tuple[int, ...]:
        """The ids of a text.

        Raises:
            Refused: the tokenizer finds a control token even in the parts (its normaliser
                rewrites characters into one).
        """
        ids: list[int] = []
        for part in self._parts(text):
            # The library warns of long texts, which the budget has not cut yet.
            ids.extend(self._tokenizer.encode(part, add_special_tokens=False, verbose=False))
        if not self._control_ids.isdisjoint(ids):
            raise Refused(
                "E_ENCODE_CONTROL_TOKEN",
                "a text turns into a control token",
                where="messages",
                found=repr(text[:80]),
            )
        return tuple(ids)

    def _parts(self, text: str) -> list[str]:
        """The text cut so that no part holds the name of a control token."""
        parts = []
        rest = text
        while match := self._control_names.search(rest):
            cut = match.start() + 1
            parts.append(rest[:cut])
            rest = rest[cut:]
        if rest:
            parts.append(rest)
        return parts
