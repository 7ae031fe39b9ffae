"""Encode: texts of a conversation become ids that are never control tokens.

A tokenizer turns the text ``<|image_pad|>`` into the control token of that name. In a captured
text it is just text, and must stay text: it is cut after its first character, so that no part of
it is a control token's name, and each part is tokenised on its own.

Tokenizers also treat a text otherwise by what stands beside it: some put a space before the first
text and not after a control token, some control tokens swallow the spaces beside them. So a text is
tokenised together with the control tokens around it, whose ids are taken off again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from kolm.encode.processing import Tokenizer
from kolm.errors import Refused

_CACHED_TEXTS = 65_536  # a question repeats over thousands of images; 64 Ki short texts are ~50 MB

Span = tuple[int, int]


class TextEncoder:
    """Tokenises plain text and nothing but plain text.

    Attributes:
        control_ids: of each control token's name its id.
        control_names: a pattern that matches the names, longest first.
        inside: a control token that stands for text which goes on before a text.
        ids: `_ids`, which remembers.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        self.control_ids = {str(token): number for number, token in added.items()}
        self._forbidden = frozenset(added)
        names = sorted(self.control_ids, key=len, reverse=True)
        # With no added token at all the pattern must match nothing, not everything.
        self.control_names = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        self.inside = next(
            (str(token) for token in added.values() if not (token.rstrip or token.lstrip)), ""
        )
        self.ids = lru_cache(maxsize=_CACHED_TEXTS)(self._ids)

    def _ids(self, text: str, before: str = "", after: str = "") -> tuple[int, ...]:
        """The ids of a text.

        Args:
            text: what a user or a template wrote.
            before: the control token before it; empty at the very start. `inside` stands for
                text that goes on before it.
            after: the control token after it, or empty.

        Raises:
            Refused: the tokenizer finds a control token even in the parts (its normaliser
                rewrites characters into one).
        """
        return tuple(number for number, _ in self._tokens(text, before, after))

    def spans(self, text: str, before: str = "", after: str = "") -> tuple[Span, ...]:
        """Of each id that `ids` gives the characters that it stands for."""
        return tuple(span for _, span in self._tokens(text, before, after))

    def _tokens(self, text: str, before: str, after: str) -> list[tuple[int, Span]]:
        tokens: list[tuple[int, Span]] = []
        starts = self._starts(text, after)
        for start, end in zip(starts, [*starts[1:], len(text)], strict=False):
            left = before if start == 0 else self.inside
            right = after if end == len(text) else ""
            found = self._between(left, text[start:end], right)
            tokens += [(number, (start + one, start + two)) for number, (one, two) in found]
        if any(number in self._forbidden for number, _ in tokens):
            raise Refused(
                "E_ENCODE_CONTROL_TOKEN",
                "a text turns into a control token",
                where="messages",
                found=repr(text[:80]),
            )
        return tokens

    def _starts(self, text: str, after: str) -> list[int]:
        """Where the text is cut so that no part holds a control token's name, with the token after
        it or without."""
        starts = [0] if text else []
        whole = text + after
        while starts and (match := self.control_names.search(whole, starts[-1])):
            if match.start() >= len(text) - 1:  # a last character alone is no name
                break
            starts.append(match.start() + 1)
        return starts

    def _between(self, before: str, text: str, after: str) -> Sequence[tuple[int, Span]]:
        """Ids and spans of a text between two control tokens."""
        found = self._encode(before + text + after)
        first, last = (1 if before else 0), len(found) - (1 if after else 0)
        if before and found[0][0] != self.control_ids[before]:
            return self._encode(text)
        if after and found[-1][0] != self.control_ids[after]:
            return self._encode(text)
        shift = len(before)
        return [(number, (max(0, a - shift), b - shift)) for number, (a, b) in found[first:last]]

    def _encode(self, text: str) -> list[tuple[int, Span]]:
        # The library warns of long texts, which the budget has not cut yet.
        out = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return list(zip(out["input_ids"], out["offset_mapping"], strict=True))
