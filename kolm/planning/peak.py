"""Planning: the memory that a training of known examples needs at most, from its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolm.format.compute import Batches
from kolm.format.examples import lengths_of
from kolm.methods import method_of
from kolm.methods.quantisation import quantisation_of
from kolm.objectives import objective_of
from kolm.planning.memory import Batch
from kolm.planning.settings import Setting
from kolm.planning.trained import branch_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kolm.format.examples import Lengths
    from kolm.format.outline import Outline
    from kolm.records.documents import ExamplesRow, Lock


def predicted_bytes(
    lock: Lock,
    examples: Iterable[ExamplesRow],
    base: Outline,
    *,
    numbers: int,
    shared: bool,
    front: int,
) -> int:
    """What `kolm plan` says of these settings and lengths, without its margin.

    It is comparable with what is observed: of a process on the CPU all that is resident, libraries
    included; on an accelerator the tensors alone, without what its driver takes.

    Args:
        lock: of the training.
        examples: the rows of examples.jsonl.
        base: its outline.
        numbers: that are trained.
        shared: both answers of a pair stand behind one prompt.
        front: virtual tokens that the method puts in front of every row.
    """
    train, quantisation = lock["train"], quantisation_of(lock["train"]["quantisation"])
    side = lengths_of(examples)["train"]
    on_cpu, method = lock["environment"]["device"] == "cpu", method_of(train["method"])
    made = Batches(objective_of(train["objective"]), shared, front)
    batch, pictures = largest_batch(side, made, train["batch_size"])
    setting = Setting(
        precision=train["precision"],
        four_bits=quantisation is not None,
        double=quantisation is not None and quantisation.double,
        optimizer=train["optimizer"],
        numbers=numbers,
        batch=batch,
        image_tokens=pictures,
        adapted_tower=train["freeze"]["vision"] is False,
        projector=train["projector"] not in (None, "frozen"),
        branches=branch_bytes(base, method, train["precision"]),
        place_branches=branch_bytes(base, method, train["precision"], of_places=True),
        on_cpu=on_cpu,
    )
    need = setting.need(base)
    return need.total if on_cpu else need.total - need.context


def largest_batch(side: Lengths, made: Batches, size: int) -> tuple[Batch, int]:
    """The batch of the longest captures of a side, and the image tokens in it."""
    longest = longest_of(side, size)
    work = made.of(side, longest)
    rows = len(longest) * (2 if made.objective.PAIRED and not made.shared else 1)
    return Batch(rows, work.positions // rows, work.labels), work.image_tokens


def longest_of(side: Lengths, size: int) -> list[int]:
    """The numbers of the longest captures of a side."""
    lengths = side.ordered_by
    return sorted(range(len(lengths)), key=lengths.__getitem__)[-size:]
