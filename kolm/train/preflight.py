"""Train: what a run would do with its captures, told before an hour is spent on it.

Pure: captures and an encoder in, records out; no model is loaded. `kolm check` and `kolm compile`
call it in the parent process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kolm.digest import Digest
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped, Learnable
from kolm.errors import KolmError, Refused
from kolm.format.examples import Lengths
from kolm.metrics import metric_of
from kolm.score.cases import reference_of, references_of
from kolm.score.judge import Judge
from kolm.train.plan import TrainPlan
from kolm.train.prepare import example_row

if TYPE_CHECKING:
    from kolm.metrics.metric import References
    from kolm.records.documents import Capture, LockEvaluation


class Named(NamedTuple):
    """A capture with the name by which a person finds it."""

    name: str
    position: int
    capture: Capture


class Counted(NamedTuple):
    """What is kept of an example; its tokens themselves would fill the memory."""

    tokens: int
    images: int


@dataclass(slots=True)
class Encoded:
    """What encoding gave for the captures of one side. Names are those of `Named`.

    Attributes:
        examples: what will be trained on, or answered.
        names: of the examples, in their order.
        dropped: captures that are left out, by reason.
        cut: captures whose prompt will be shortened.
        refused: captures that stop the run, each with its error.
        pictures: what the tower is shown of each distinct picture (`ImageUse.shown`).
        long_answers: of an eval side: references of more tokens than an answer may have.
        worthless: of an eval side: captures whose own response earns nothing by the metric.
        unreachable: how many of them no shorter answer can meet, by the metric.
        lengths: of the examples that will be trained on, as examples.jsonl will have them.
    """

    examples: list[Counted] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    cut: list[str] = field(default_factory=list)
    refused: list[tuple[str, KolmError]] = field(default_factory=list)
    pictures: dict[tuple[Digest, int], tuple[int, int]] = field(default_factory=dict)
    long_answers: list[str] = field(default_factory=list)
    worthless: list[str] = field(default_factory=list)
    unreachable: int = 0
    lengths: Lengths = field(default_factory=Lengths.none)

    def keep(self, name: str, example: Learnable) -> None:
        """Add an example."""
        shown = example.images
        self.examples.append(Counted(tokens=example.tokens, images=len(shown)))
        self.pictures |= {(use.pixels, use.max_pixels or 0): use.shown for use in shown}
        self.names.append(name)
        if example.cut_tokens:
            self.cut.append(name)


def encode_to_learn(captures: Iterable[Named], encoder: Encoder) -> Encoded:
    """Encode a side that is trained on, or validated with."""
    found = Encoded()
    for name, position, capture in captures:
        try:
            encoded = encoder.learnable(capture, position=position)
        except KolmError as error:
            found.refused.append((name, error))
            continue
        if isinstance(encoded, Dropped):
            found.dropped.setdefault(encoded.reason.value, []).append(name)
        else:
            found.keep(name, encoded)
            found.lengths.take(example_row("train", encoded), position)
    return found


def encode_to_answer(
    captures: Iterable[Named], encoder: Encoder, evaluation: LockEvaluation
) -> Encoded:
    """Encode the prompts of a side that is scored, and measure its references.

    Args:
        captures: of the eval side.
        encoder: with the plan's budget.
        evaluation: the lock's object; its metric says how short a right answer may be.
    """
    found = Encoded()
    asked: list[tuple[str, References]] = []
    limit, metric = evaluation["max_new_tokens"], metric_of(evaluation["metric"])
    for name, position, capture in captures:
        try:
            asked.append((name, references_of(capture, where=name)))
            found.keep(name, encoder.encode_prompt(capture, position=position))
            tokens = encoder.answer_tokens(capture)
            if tokens <= limit:
                continue
            shortest = metric.shortest_right(reference_of(capture, where=name))
            if shortest is None:
                found.long_answers.append(name)
            elif encoder.text_tokens(shortest) + 1 > limit:
                found.long_answers.append(name)
                found.unreachable += 1
        except KolmError as error:
            found.refused.append((name, error))
    judge = Judge(evaluation, [references for _, references in asked])
    for name, references in asked:
        if not judge.judge_text(references[0], references).score_millionths:
            found.worthless.append(name)
    return found


def demand_examples(*, train: int, dropped: Mapping[str, int], validation: int | None) -> None:
    """Refuse sides that nothing can be learned from.

    Args:
        train: captures that can be trained on.
        dropped: how many others cannot, by reason.
        validation: captures to validate with; None where nobody asks.

    Raises:
        Refused: there are none.
    """
    if not train:
        raise Refused(
            "E_TRAIN_NO_EXAMPLES",
            "no capture of the train split can be trained on",
            found=", ".join(f"{count} {why}" for why, count in sorted(dropped.items())) or "none",
            hint="raise train.max_seq_length or train.max_images, or add captures",
        )
    if validation == 0:
        raise Refused(
            "E_TRAIN_NO_VALIDATION",
            "the run is to look at the validation side, and nothing of it can be used",
            where="train.validate_every",
            hint="set data.validation to a share of the captures",
        )


class Preflight(NamedTuple):
    """What training will see.

    Attributes:
        examples: captures that can be trained on.
        without_images: examples that show no image.
        longest_tokens: of the longest example.
        epochs_permille: passes that the plan's steps make, in thousandths.
    """

    examples: int
    without_images: int
    longest_tokens: int
    epochs_permille: int


def summarise(plan: TrainPlan, examples: Sequence[Counted]) -> Preflight:
    """What the plan's steps will see of these examples, of which there is at least one."""
    schedule = plan.schedule
    batches = -(-len(examples) // schedule.batch_size)
    return Preflight(
        examples=len(examples),
        without_images=sum(not example.images for example in examples),
        longest_tokens=max(example.tokens for example in examples),
        epochs_permille=schedule.steps * schedule.accumulation * 1000 // batches,
    )
