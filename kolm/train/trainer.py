"""Train: one optimizer step, and the whole state between two steps.

The loop, resuming after a kill and replaying a segment all use this class, so a step means the
same in each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kolm import digest
from kolm.adapters.attach import Attached, seed_torch
from kolm.counting import counted
from kolm.encode.examples import Learnable
from kolm.encode.pictures import Pictures
from kolm.errors import Refused
from kolm.format.optimizer import Form, moment_forms
from kolm.format.order import BatchOrder
from kolm.models import device as devices
from kolm.models.base import LoadedBase
from kolm.train.gradients import GradientCounter
from kolm.train.losses import make_loss
from kolm.train.optimizer import Moments, make_optimizer
from kolm.train.plan import TrainPlan
from kolm.train.processes import ALONE, Learned, Processes
from kolm.train.survey import dtype_name

if TYPE_CHECKING:
    import torch

    from kolm.records.documents import TraceRowValidationAnswers
    from kolm.train.answering import Answering

# Means that an objective states beside the loss, and how many pairs were preferred.
Facts = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What one step did; the floats are exact, the trace rounds them.

    Attributes:
        positions: the captures that it read, by `Example.position`.
        learning_rate: the rate that was used, as the trace states it.
        projector_learning_rate: the projector's; None when it did not learn.
        facts: what the objective states of the step.
    """

    step: int
    positions: tuple[int, ...]
    label_tokens: int
    real_tokens: int
    loss: float
    grad_norm: float
    learning_rate: str
    projector_learning_rate: str | None
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a look at examples that are not learned from gave; the loss is their mean."""

    loss: float
    label_tokens: int
    facts: Facts


class Trainer:
    """An adapter, its optimizer and its data cursor.

    Args:
        plan: of the lock.
        attached: the base with its adapter, at its initial weights.
        base: that the adapter is on.
        examples: the train split, by number; those that no step reads may be missing.
        pictures: gives those of a batch.
        lengths: tokens of each example of the split, where `examples` does not have all of them.
        processes: that train together.
    """

    def __init__(
        self,
        plan: TrainPlan,
        attached: Attached,
        base: LoadedBase,
        examples: Sequence[Learnable] | Mapping[int, Learnable],
        pictures: Pictures,
        *,
        lengths: Sequence[int] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.plan = plan
        self.attached = attached
        self.step = 0
        self.examples = examples
        self.gradients = GradientCounter(attached.tensors)
        self._loss = make_loss(plan.objective, base, pictures)
        if lengths is None:
            lengths = [examples[number].tokens for number in range(len(examples))]
        self._order = BatchOrder(
            lengths,
            seed=plan.schedule.order_seed,
            batch_size=plan.schedule.batch_size,
        )
        self._processes = processes
        self.optimizer = make_optimizer(plan, attached.tensors)
        self._moments = Moments(self.optimizer)
        attached.set_dropout(on=True)
        self._seed(0)

    def run_step(self) -> StepFacts:
        """Run the next step: forward and backward over the window, clip, update.

        Raises:
            Refused: the loss or the gradient is not a finite number.
        """
        import torch

        number = self.step + 1
        self._freeze_projector(number)
        parts = self.plan.schedule.accumulation
        first = self.step * parts
        batches = [self._batch(first + part) for part in range(parts)]
        window = [example for batch in batches for example in batch]
        size, real_tokens, total = self._loss.size(window), 0, 0.0
        sums: Counter[str] = Counter()
        point = self._loss.point(batches)

        def learn(part: int) -> Learned:
            self._seed(first + part)
            found = self._loss(batches[part], point)
            torch.autograd.backward(found.loss / size)
            return Learned(float(found.loss.detach()), found.real_tokens, found.facts)

        parameters = [tensor.parameter for tensor in self.attached.tensors]
        for found in self._processes.each(parts, learn, parameters):
            total += found.loss
            real_tokens += found.real_tokens
            sums.update(found.facts)
        self._seed(first + parts)
        norm = float(self.gradients.observe())
        if not (torch.isfinite(torch.tensor(norm)) and total == total):
            raise Refused(
                "E_TRAIN_NOT_FINITE",
                "the loss or the gradient is no longer a finite number",
                where=f"step {number}",
                hint="lower the learning rate, or raise warmup_steps",
            )
        self._clip(norm)
        rate, projector_rate = self._set_rates(number)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step = number
        return StepFacts(
            step=number,
            positions=tuple(example.position for example in window),
            label_tokens=sum(example.label_tokens for example in window),
            real_tokens=real_tokens,
            loss=total / size,
            grad_norm=norm,
            learning_rate=rate,
            projector_learning_rate=projector_rate,
            facts=_means(sums, size),
        )

    def validate(self, examples: Sequence[Learnable]) -> Validation:
        """The mean loss over other examples, without learning from them."""
        import torch

        total, sums = 0.0, Counter[str]()
        size = self.plan.schedule.batch_size
        ordered = sorted(examples, key=lambda example: (example.tokens, example.position))
        batches = [ordered[start : start + size] for start in range(0, len(ordered), size)]
        self.attached.set_dropout(on=False)
        with torch.no_grad():
            point = self._loss.point(batches)
            for batch in batches:
                found = self._loss(batch, point)
                total += float(found.loss)
                sums.update(found.facts)
        self.attached.set_dropout(on=True)
        return Validation(
            loss=total / self._loss.size(ordered),
            label_tokens=sum(example.label_tokens for example in ordered),
            facts=_means(sums, self._loss.size(ordered)),
        )

    def answer(self, answering: Answering) -> TraceRowValidationAnswers:
        """What the adapter as it is answers to questions, judged."""
        self.attached.set_dropout(on=False)
        found = answering.score()
        self.attached.set_dropout(on=True)
        return found

    def tensors(self) -> dict[str, torch.Tensor]:
        """The state between two steps as tensors: weights, moments and the random generator."""

        state = {"random": devices.random_state(self.plan.device)}
        for tensor in self.attached.tensors:
            state[f"weights.{tensor.name}"] = tensor.parameter.detach()
            for kind, moment in self._moments.of(tensor.parameter).items():
                state[f"{kind}.{tensor.name}"] = moment
        return state

    def updates(self) -> dict[str, int]:
        """How often the optimizer has updated each tensor."""
        return {
            tensor.name: self._moments.updates(tensor.parameter) for tensor in self.attached.tensors
        }

    def in_8_bits(self) -> frozenset[str]:
        """The tensors whose moments really are in 8 bits."""
        import torch

        return frozenset(
            tensor.name
            for tensor in self.attached.tensors
            for moment in self._moments.of(tensor.parameter).values()
            if moment.dtype == torch.uint8
        )

    def restore(
        self,
        step: int,
        tensors: Mapping[str, torch.Tensor],
        updates: Mapping[str, int],
        gradient_steps: Mapping[str, int],
    ) -> None:
        """Continue from a state that `tensors` and `updates` gave."""

        self.take_over(tensors, updates)
        devices.set_random_state(self.plan.device, tensors["random"])
        self.gradients.restore(gradient_steps)
        self.step = step

    def take_over(self, tensors: Mapping[str, torch.Tensor], updates: Mapping[str, int]) -> None:
        """Take weights and moments from a state, and nothing else of it.

        Raises:
            Refused: ``E_TRAIN_CONTINUES_OTHER``, the state is of other tensors.
        """
        import torch

        wanted: dict[str, Form] = {}
        for tensor in self.attached.tensors:
            shape = tuple(tensor.parameter.shape)
            wanted[f"weights.{tensor.name}"] = "F32", shape
            if updates.get(tensor.name):
                for kind, form in moment_forms(self.plan.optimizer, shape).items():
                    wanted[f"{kind}.{tensor.name}"] = form
        found = {n: (dtype_name(t), tuple(t.shape)) for n, t in tensors.items() if n != "random"}
        if wanted != found:
            differing = sorted({n for n, _ in wanted.items() ^ found.items()})
            raise Refused(
                "E_TRAIN_CONTINUES_OTHER",
                "the state belongs to another adapter than the one to be trained",
                where="train.continues",
                expected="the same base, rank, targets, freeze and optimizer as before",
                found=f"{counted(len(differing), 'tensor')} differ, first {differing[0]}",
            )
        with torch.no_grad():
            for tensor in self.attached.tensors:
                tensor.parameter.copy_(tensors[f"weights.{tensor.name}"])
                if updates.get(tensor.name):
                    kinds = moment_forms(self.plan.optimizer, tensor.parameter.shape)
                    kept = {kind: tensors[f"{kind}.{tensor.name}"] for kind in kinds}
                    self._moments.restore(tensor.parameter, updates[tensor.name], kept)

    def _seed(self, batch: int) -> None:
        """Let dropout's draws follow from the seed and a batch's number alone (rule Q9)."""
        root = self.plan.initialisation_seed
        seed_torch(digest.derive("dropout", root, digest.of_value(batch)))

    def _batch(self, number: int) -> list[Learnable]:
        return [self.examples[index] for index in self._order.batch(number)]

    def _freeze_projector(self, number: int) -> None:
        """After its warm-up the projector takes no gradient, and so no update."""
        if number > self.plan.schedule.projector_steps:
            for tensor in self.attached.tensors:
                if tensor.projector:
                    tensor.parameter.requires_grad_(False)

    def _clip(self, norm: float) -> None:
        """Scale the gradients down to the largest norm; 0 switches clipping off."""
        import torch

        limit = self.plan.max_grad_norm
        if 0 < limit < norm:
            gradients = [tensor.parameter.grad for tensor in self.attached.tensors]
            torch._foreach_mul_([g for g in gradients if g is not None], limit / norm)

    def _set_rates(self, number: int) -> tuple[str, str | None]:
        """Set this step's learning rates to the numbers that the trace states, and give those."""
        rate = self.plan.schedule.rate(number)
        projector_rate = self.plan.schedule.projector_rate(number)
        for group in self.optimizer.param_groups:
            # A projector that no longer learns has no gradient, so its rate is not read.
            group["lr"] = float((projector_rate or "0") if group["projector"] else rate)
        return rate, projector_rate


def _means(sums: Mapping[str, float], size: int) -> Facts:
    return {name: n if name == "preferred" else n / size for name, n in sorted(sums.items())}
