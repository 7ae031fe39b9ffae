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
from collections.abc import Iterator, Mapping
from functools import lru_cache

from kolm.encode.processing import AddedToken, Tokenizer
from kolm.errors import Refused

_CACHED_TEXTS = 65_536  # a question repeats over thousands of images; 64 Ki short texts are ~50 MB

Span = tuple[int, int]


class TextEncoder:
    """Tokenises plain text and nothing but plain text.

    Args:
        tokenizer: of the base.
        control: of each control token's id the token.

    Attributes:
        control_ids: of each control token's name its id.
        control_names: a pattern that matches the names, longest first.
        inside: a control token that stands for text which goes on before a text.
        ids: `_ids`, which remembers.
    """

    def __init__(self, tokenizer: Tokenizer, control: Mapping[int, AddedToken]) -> None:
        self._tokenizer = tokenizer
        self.control_ids = {str(token): number for number, token in control.items()}
        self._forbidden = frozenset(control)
        names = sorted(self.control_ids, key=len, reverse=True)
        # With no control token at all the pattern must match nothing, not everything.
        self.control_names = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        # Some are tokens only where no letter stands beside them.
        self._free = {str(token) for token in control.values() if not token.single_word}
        calm = (str(t) for t in control.values() if not (t.rstrip or t.lstrip or t.single_word))
        self.inside = next(calm, "")
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
        ids: list[int] = []
        for _, left, part, right in self._parts(text, before, after):
            found = self._encode(left + part + right)
            ids += found[len(left) > 0 : len(found) - (len(right) > 0)]
        if not self._forbidden.isdisjoint(ids):
            raise Refused(
                "E_ENCODE_CONTROL_TOKEN",
                "a text is tokenised as a control token",
                where="messages",
                found=repr(text[:80]),
            )
        return tuple(ids)

    def spans(self, text: str, before: str = "", after: str = "") -> tuple[Span, ...]:
        """Of each id that `ids` gives the characters that it stands for."""
        spans: list[Span] = []
        for start, left, part, right in self._parts(text, before, after):
            out = self._tokenizer(
                left + part + right,
                add_special_tokens=False,
                return_offsets_mapping=True,
                verbose=False,
            )
            shift = start - len(left)
            places = out["offset_mapping"]
            spans += [
                (max(start, first + shift), end + shift)
                for first, end in places[len(left) > 0 : len(places) - (len(right) > 0)]
            ]
        return tuple(spans)

    def _parts(self, text: str, before: str, after: str) -> Iterator[tuple[int, str, str, str]]:
        """The text in parts, none of which holds a control token's name: where each starts, the
        control token to tokenise it behind, the part, and the one to tokenise it before."""
        start, left = 0, before
        whole = text + after
        while match := self.control_names.search(whole, start):
            cut = match.start() + 1
            if cut >= len(text):  # the token after the text, or a last character that begins one
                break
            yield start, self._left(left, text[start:cut]), text[start:cut], ""
            start, left = cut, self.inside
        if start < len(text):  # nothing begins in the text and ends in the token after it
            beside = match is not None and match.start() == len(text) and after in self._free
            part = text[start:]
            yield start, self._left(left, part), part, after if beside else ""

    def _left(self, before: str, text: str) -> str:
        """The control token before a text, where it stays a token of its own beside it."""
        match = self.control_names.match(before + text)
        return before if match and match.group() == before and before in self._free else ""

    def _encode(self, text: str) -> list[int]:
        # The library warns of long texts, which the budget has not cut yet.
        return self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
