"""Encode: one capture as two conversations, which differ in their last answer and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kolm.encode.budget import TokenRun
from kolm.encode.examples import Example, Pair
from kolm.errors import Refused
from kolm.format.examples import next_pair

if TYPE_CHECKING:
    from kolm.records.documents import Capture, CapturePartText


def with_rejected(capture: Capture) -> Capture:
    """The conversation with the rejected answer as its last turn.

    Raises:
        Refused: ``E_TRAIN_NO_REJECTED``.
    """
    rejected = capture.get("rejected")
    if rejected is None:
        raise Refused(
            "E_TRAIN_NO_REJECTED",
            "the objective learns from pairs of answers, and the capture has no rejected one",
            where="rejected",
            expected="rejected: an answer to the same prompt that is worse",
            hint="give the row a rejected answer, leave it out, or set train.objective: sft",
        )
    *before, last = capture["messages"]
    part: CapturePartText = {"type": "text", "text": rejected}
    return {**capture, "messages": [*before, {**last, "content": [part]}]}


def letters(capture: Capture) -> str:
    """The last answer without any white space."""
    return "".join(_answer(capture).split())


def front(capture: Capture) -> int:
    """How many characters of white space the last answer begins with."""
    text = _answer(capture)
    return len(text) - len(text.lstrip())


def _answer(capture: Capture) -> str:
    parts = capture["messages"][-1]["content"]
    return "".join(part["text"] for part in parts if part["type"] == "text")


def last_answer(runs: Sequence[TokenRun]) -> int:
    """The number of the run with which the last answer begins."""
    number = len(runs)
    while number and not runs[number - 1].trained:
        number -= 1
    while number and runs[number - 1].trained:
        number -= 1
    return number


def after_one_prompt(
    runs: Sequence[TokenRun], other: Sequence[TokenRun], *, is_cut: bool
) -> list[TokenRun]:
    """The last answer of another conversation, behind the prompt of this one.

    Args:
        runs: of this conversation.
        other: of the other one, whole.
        is_cut: the prompt of this one lost tokens; else both have the same.

    Raises:
        Refused: ``E_ENCODE_PAIR``.
    """
    prompt, own = runs[: last_answer(runs)], last_answer(other)
    if not is_cut and _ids(prompt) != _ids(other[:own]):
        raise Refused(
            "E_ENCODE_PAIR",
            "the two answers of a capture do not follow the same tokens of a prompt",
            where="rejected",
        )
    return [*prompt, *other[own:]]


def _ids(runs: Sequence[TokenRun]) -> list[int]:
    return [number for run in runs for number in run.ids]


def answered(prompt: Example, runs: Sequence[TokenRun], corrected: tuple[bool, ...]) -> Example:
    """A prompt with the labels of a conversation's last answer behind it."""
    own = [run for run in runs[last_answer(runs) :] if run.trained]
    ids, start = tuple(_ids(own)), prompt.tokens
    return replace(
        prompt,
        input_ids=prompt.input_ids + ids,
        trained=((start, start + len(ids)),),
        corrected=corrected,
    )


def with_unrelated(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs, each with the next one's chosen answer behind its own prompt as well."""
    return [
        replace(pair, unrelated=_behind(pair.chosen, pairs[next_pair(number, len(pairs))].chosen))
        for number, pair in enumerate(pairs)
    ]


def _behind(example: Example, other: Example) -> Example:
    """An example with another's last answer."""
    ((start, _),), ((first, last),) = example.trained, other.trained
    answer = other.input_ids[first:]
    return replace(
        example,
        input_ids=example.input_ids[:start] + answer,
        trained=((start, start + last - first),),
        corrected=(),
    )
