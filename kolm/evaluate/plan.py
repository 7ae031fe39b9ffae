"""Evaluate: which prompts are answered together.

An answer's bits may depend on what shares its batch, so batches are fixed by the cases alone and
recorded in every prediction row; a rescore runs the recorded batches again.
docs/format/predictions.md, P5.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from kolm.counting import counted, listed
from kolm.digest import Digest
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Example
from kolm.errors import KolmError

if TYPE_CHECKING:
    from kolm.records.documents import Capture, PredictionsRow

CaptureRow: TypeAlias = "tuple[Digest, Capture]"
SHOWN_CASES = 10  # of those that one error names


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One case made ready to be answered."""

    case: str
    example: Example

    @property
    def order(self) -> tuple[object, ...]:
        """Where the case stands among all: by image forms, length, token ids, then its own id.

        Like forms and lengths need no padding; like tokens side by side are, in the blind run,
        the same prompt and are answered once.
        """
        forms = tuple(use.form for use in self.example.images)
        return forms, len(self.example.input_ids), self.example.input_ids, self.case


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalBatch:
    """Prompts that are answered together, in order."""

    number: int
    prompts: tuple[Prompt, ...]


def encode_prompts(encoder: Encoder, captures: Iterable[CaptureRow]) -> list[Prompt]:
    """The prompts of (case id, capture) pairs: everything before the last answer.

    Raises:
        Refused: prompts cannot be encoded; `where` is the one case, or `found` lists them.
    """
    prompts, wrong = [], []
    for case, capture in captures:
        try:
            prompts.append(Prompt(case=case, example=encoder.encode_prompt(capture)))
        except KolmError as error:
            error.where = case
            wrong.append(error)
    if len(wrong) > 1:
        lines = [f"{error.where}: {error.message} [{error.code}]" for error in wrong]
        raise type(wrong[0])(
            "E_EVAL_PROMPTS",
            f"{counted(len(wrong), 'capture')} cannot be encoded",
            found=listed(lines, SHOWN_CASES),
            hint="mend or remove them (kolm capture remove)",
        )
    if wrong:
        raise wrong[0]
    return prompts


def plan_batches(prompts: Iterable[Prompt], batch_size: int) -> list[EvalBatch]:
    """All prompts in order, cut into batches of `batch_size`; the last may be smaller."""
    ordered = sorted(prompts, key=lambda prompt: prompt.order)
    starts = range(0, len(ordered), batch_size)
    return [
        EvalBatch(number=number, prompts=tuple(ordered[start : start + batch_size]))
        for number, start in enumerate(starts)
    ]


def recorded_batches(
    rows: Sequence[PredictionsRow], chosen: Iterable[str]
) -> dict[int, tuple[str, ...]]:
    """The recorded batches that hold any of the chosen cases: batch number to its case ids.

    Args:
        rows: of predictions.jsonl.
        chosen: case ids.
    """
    wanted = set(chosen)
    members: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        members[row["batch"]].append(row["case"])
    return {
        number: tuple(cases)
        for number, cases in sorted(members.items())
        if not wanted.isdisjoint(cases)
    }
