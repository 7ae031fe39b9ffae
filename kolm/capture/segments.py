"""Capture: the segments in which two answers differ, word by word.

T. Yu et al., "RLHF-V" (2023, arXiv:2312.00849), section 2.2, weighs the tokens of segments that a
person corrected. Here a segment is a run of words that differ; a word keeps the white space after
it. The difference is that of Python's `difflib` over words, which Ratcliff and Obershelp described
(1988): the longest common run, then what is left of it and right of it.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from kolm.capture import limits
from kolm.records.capture import Correction

# Of each text, beside what both begin and end with. The matcher's time grows with the product; the
# answers of RLHF-V have some 150 words.
MAX_WORDS = 512
_WORDS = re.compile(r"\s+|\S+\s*")


def corrections(rejected: str, response: str) -> tuple[Correction, ...]:
    """The corrections that turn a rejected answer into a response; none where they are equal.

    Where the two differ in more than `MAX_WORDS` words or in more places than a capture may state,
    everything between what they begin with and what they end with is one.
    """
    if rejected == response:
        return ()
    left, right = _WORDS.findall(rejected), _WORDS.findall(response)
    start, end = _shared(left, right)
    old, new = left[start : len(left) - end], right[start : len(right) - end]
    at = sum(map(len, left[:start]))
    whole = (_correction(at, old, new),)
    if max(len(old), len(new)) > MAX_WORDS:
        return whole
    edits = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            edits.append(_correction(at + sum(map(len, old[:a])), old[a:b], new[c:d]))
    return tuple(edits) if len(edits) <= limits.MAX_CORRECTIONS else whole


def _correction(start: int, old: list[str], new: list[str]) -> Correction:
    return Correction(start=start, end=start + sum(map(len, old)), replacement="".join(new))


def _shared(left: list[str], right: list[str]) -> tuple[int, int]:
    """How many words both begin with, and how many both end with beside those."""
    most = min(len(left), len(right))
    start = next((n for n in range(most) if left[n] != right[n]), most)
    rest = most - start
    end = next((n for n in range(rest) if left[-1 - n] != right[-1 - n]), rest)
    return start, end
