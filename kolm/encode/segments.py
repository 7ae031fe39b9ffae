"""Encode: which tokens of two answers were corrected, and which are the same in both.

From the corrections that a capture states, else from the difference of the two answers' tokens. An
answer's end token is never corrected. Source: arXiv:2312.00849, section 3.2, which calls them the
corrected and the unchanged segments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from kolm.encode.budget import TokenRun

if TYPE_CHECKING:
    from kolm.encode.control import Span
    from kolm.records.documents import CaptureCorrection

Marks = tuple[bool, ...]  # one for each label of an answer


def corrected_texts(
    corrections: Iterable[CaptureCorrection],
) -> tuple[list[Span], list[Span]]:
    """The characters that corrections take out of the rejected answer and put into the chosen."""
    old: list[Span] = []
    new: list[Span] = []
    shift = 0
    for edit in corrections:
        first = edit["start"] + shift
        old.append((edit["start"], edit["end"]))
        new.append((first, first + len(edit["replacement"])))
        shift += len(edit["replacement"]) - (edit["end"] - edit["start"])
    return old, new


def marks_of(runs: Sequence[TokenRun], corrected: Iterable[Span], stripped: int = 0) -> Marks:
    """A token was corrected that stands for a character which was.

    Args:
        runs: of an answer, located.
        corrected: characters of its text.
        stripped: characters that the template takes off the front of the text.
    """
    spans = [(first - stripped, last - stripped) for first, last in corrected]
    return tuple(
        any(start < last and first < end for first, last in spans)
        for run in runs
        if run.trained
        for start, end in (run.places or ((0, 0),) * len(run.ids))
    )


def marks_by_difference(
    chosen: Sequence[TokenRun], rejected: Sequence[TokenRun], match_tokens: int
) -> tuple[Marks, Marks]:
    """Tokens outside the runs that both answers have in common, in their order.

    Args:
        chosen: runs of an answer, located.
        rejected: those of the other.
        match_tokens: a shorter run of equal tokens counts as corrected: it is there by chance.
    """
    first, second = (
        [number for run in runs if run.places for number in run.ids] for runs in (chosen, rejected)
    )
    same: tuple[set[int], set[int]] = set(), set()
    for match in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks():
        if match.size >= match_tokens:
            same[0].update(range(match.a, match.a + match.size))
            same[1].update(range(match.b, match.b + match.size))

    def marks(runs: Sequence[TokenRun], unchanged: set[int]) -> Marks:
        found: list[bool] = []
        number = 0
        for run in runs:
            if run.trained and run.places:
                found += [place not in unchanged for place in range(number, number + len(run.ids))]
                number += len(run.ids)
            elif run.trained:
                found += [False] * len(run.ids)
        return tuple(found)

    return marks(chosen, same[0]), marks(rejected, same[1])
