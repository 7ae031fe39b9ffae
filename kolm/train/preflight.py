"""Train: what a run would do with its captures, told before an hour is spent on it.

Pure: captures and an encoder in, a record or a refusal out; no model is loaded. `kolm check` and
`kolm compile` call it in the parent process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped, Example
from kolm.encode.order import epoch_batches
from kolm.errors import Refused
from kolm.train.plan import TrainPlan

Numbered = tuple[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What training will see.

    Attributes:
        examples: captures that can be trained on.
        dropped: captures that cannot, by reason.
        cut_prompts: examples whose prompt will be shortened.
        without_images: examples that show no image.
        images: image uses in all examples.
        image_tokens: tokens of those images.
        tokens: of all examples.
        label_tokens: tokens that are learned.
        longest_tokens: of the longest example.
        padding_tokens: tokens that only fill batches up, in one epoch.
        steps_per_epoch: optimizer steps in one pass over the examples.
        epochs_permille: passes that the plan's steps make, in thousandths.
    """

    examples: int
    dropped: Mapping[str, int]
    cut_prompts: int
    without_images: int
    images: int
    image_tokens: int
    tokens: int
    label_tokens: int
    longest_tokens: int
    padding_tokens: int
    steps_per_epoch: int
    epochs_permille: int

    def warnings(self) -> list[str]:
        """What a person should know before they start, in sentences."""
        told = [f"{count} captures are left out: {why}" for why, count in self.dropped.items()]
        if self.cut_prompts:
            told.append(f"{self.cut_prompts} prompts are longer than the budget and will be cut")
        if self.without_images:
            told.append(f"{self.without_images} examples show no image")
        return told


def check_captures(plan: TrainPlan, captures: Iterable[Numbered], encoder: Encoder) -> Preflight:
    """Encode the train split and say what training will see.

    Args:
        plan: of the lock.
        captures: (line of ``snapshot.jsonl``, capture document) of the train split.
        encoder: with the plan's budget.

    Raises:
        Refused: no capture can be trained on (``E_TRAIN_NO_EXAMPLES``), or the template does not
            fit.
    """
    examples: list[Example] = []
    dropped: Counter[str] = Counter()
    for position, capture in captures:
        encoded = encoder.encode(capture, position=position)
        if isinstance(encoded, Dropped):
            dropped[encoded.reason.value] += 1
        else:
            examples.append(encoded)
    if not examples:
        raise Refused(
            "E_TRAIN_NO_EXAMPLES",
            "no capture of the train split can be trained on",
            found=", ".join(f"{count} {why}" for why, count in dropped.items()) or "none",
            hint="raise train.max_seq_length or train.max_images, or capture more",
        )
    return _summarise(plan, examples, dict(sorted(dropped.items())))


def _summarise(
    plan: TrainPlan, examples: Sequence[Example], dropped: Mapping[str, int]
) -> Preflight:
    lengths = [len(example.input_ids) for example in examples]
    batches = epoch_batches(lengths, seed=plan.order_seed, epoch=0, batch_size=plan.batch_size)
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    uses = [use for example in examples for use in example.images]
    batches_run = plan.steps * plan.accumulation
    return Preflight(
        examples=len(examples),
        dropped=dropped,
        cut_prompts=sum(example.cut_tokens > 0 for example in examples),
        without_images=sum(not example.images for example in examples),
        images=len(uses),
        image_tokens=sum(use.tokens for use in uses),
        tokens=sum(lengths),
        label_tokens=sum(example.label_tokens for example in examples),
        longest_tokens=max(lengths),
        padding_tokens=padded - sum(lengths),
        steps_per_epoch=-(-len(batches) // plan.accumulation),
        epochs_permille=batches_run * 1000 // len(batches),
    )
