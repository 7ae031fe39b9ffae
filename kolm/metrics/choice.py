"""The choice metric: which of some options an answer picks, by its letter or by its text.

The rule follows the exact matching of the harnesses for multiple choice (VLMEvalKit's
``can_infer``): the one letter among the last words, else the letter after *answer is*, else the
one option whose text stands in an answer that is not much longer than the options. Here a text
must stand as whole words, and a letter is a capital.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from string import ascii_uppercase
from typing import ClassVar, Final

from kolm.metrics.contains import words
from kolm.metrics.metric import RIGHT, UNREAD, WRONG, Score, best_of

_SIGNS: Final = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST_WORDS: Final = 4  # where a letter that stands first among others of its kind is a choice
_SAID = re.compile(r"\banswer is \**([A-Z])\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """`choices` are the options' texts: the first is A, the second B."""

    choices: tuple[str, ...]
    kind: ClassVar[str] = "choice"
    least_credit: ClassVar[Fraction] = Fraction(1)

    def no_laxer_than(self, other: Choice) -> bool:
        """Only with the same options: more or other ones make other answers right."""
        return self.choices == other.choices

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """1 when answer and reference pick the same; an answer that picks none is not parsed."""
        answer = self.pick(output)
        if answer is None:
            return UNREAD
        return RIGHT if answer == self.pick(reference) else WRONG

    def pick(self, text: str) -> str | None:
        """The letter of the option that a text picks, if it is one."""
        letters = ascii_uppercase[: len(self.choices)]
        spoken = text.translate(_SIGNS).split()
        standing = [letter for letter in letters if letter in spoken]
        if len(standing) == 1 and spoken.index(standing[0]) >= len(spoken) - _LAST_WORDS:
            return standing[0]
        said = _SAID.search(text)
        if said and said.group(1) in letters:
            return said.group(1)
        if len(text) > 2 * sum(map(len, self.choices)):
            return None
        whole = f" {' '.join(words(text))} "
        named = [
            letter
            for letter, choice in zip(letters, self.choices, strict=True)
            if (sought := words(choice)) and f" {' '.join(sought)} " in whole
        ]
        return named[0] if len(named) == 1 else None

    def shortest_right(self, reference: str) -> str | None:
        """The letter."""
        return self.pick(reference)
