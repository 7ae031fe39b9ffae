"""Words as the metrics for running text count them: runs of letters and digits, in lower case.

For ASCII this is the tokeniser of the published ROUGE scorers (what is not a letter or a digit
parts words). Letters of other scripts count as letters here, and so do the marks that they carry.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import dropwhile, groupby
from unicodedata import category

from kolm.metrics.exact import fold

_ASCII_WORD = re.compile(r"[a-z0-9]+")


@lru_cache(maxsize=256)  # a reference is compared with four outputs
def tokens(text: str) -> tuple[str, ...]:
    """The words of a text, folded."""
    folded = fold(text)
    if folded.isascii():
        return tuple(_ASCII_WORD.findall(folded))
    runs = (run for inside, run in groupby(folded, key=_of_word) if inside)
    words = ("".join(dropwhile(_is_mark, run)) for run in runs)  # no letter carries the first marks
    return tuple(word for word in words if word)


def _of_word(character: str) -> bool:
    return character.isalnum() or _is_mark(character)


def _is_mark(character: str) -> bool:
    return category(character)[0] == "M"
