"""Encode: how an example that is too long is made to fit, in a fixed order.

1. The longest prompt texts lose tokens from their middle, all down to one common length.
2. If the spec allows it, the images are processed with fewer pixels.
3. The example is dropped.
An image's tokens and an answer's tokens are never cut. Pure functions over token runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

# Below this a prompt says too little to be worth training on.
KEPT_PROMPT_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRun:
    """Consecutive tokens of one kind.

    Attributes:
        ids: the tokens.
        trained: they are labels.
        cuttable: they are the text of a prompt.
        image: number of the image whose tokens they are, or -1.
        places: of an answer's text that was located, the characters of each token, counted from
            where the conversation's own text begins.
    """

    ids: tuple[int, ...]
    trained: bool = False
    cuttable: bool = False
    image: int = -1
    places: tuple[tuple[int, int], ...] = ()


def count_tokens(runs: Sequence[TokenRun]) -> int:
    """The length of an example."""
    return sum(len(run.ids) for run in runs)


def least_tokens(runs: Sequence[TokenRun]) -> int:
    """The shortest length to which cutting prompt text can bring an example."""
    return sum(
        min(len(run.ids), KEPT_PROMPT_TOKENS) if run.cuttable else len(run.ids) for run in runs
    )


def cut_prompt(runs: Sequence[TokenRun], limit: int) -> list[TokenRun] | None:
    """Cut the middle out of the longest prompt texts until the example has `limit` tokens.

    Returns:
        The runs, at most `limit` tokens in all and as many of them as one common length for the
        longest texts allows; or None when even `KEPT_PROMPT_TOKENS` for each is too much.
    """
    if count_tokens(runs) <= limit:
        return list(runs)
    if least_tokens(runs) > limit:
        return None
    low, high = KEPT_PROMPT_TOKENS, max(len(run.ids) for run in runs)
    while low < high:  # the largest common length that fits
        middle = (low + high + 1) // 2
        if count_tokens(_capped(runs, middle)) <= limit:
            low = middle
        else:
            high = middle - 1
    return _capped(runs, low)


def _capped(runs: Sequence[TokenRun], length: int) -> list[TokenRun]:
    return [
        replace(run, ids=_without_middle(run.ids, length))
        if run.cuttable and len(run.ids) > length
        else run
        for run in runs
    ]


def _without_middle(ids: tuple[int, ...], length: int) -> tuple[int, ...]:
    head = (length + 1) // 2
    tail = length - head
    return ids[:head] + (ids[-tail:] if tail else ())
