"""Format: the operations of a training, counted again from what its bundle states.

Lock, examples.jsonl and the trace fix which captures each batch held and how long they were, and
``modules.jsonl`` through which matrices they went. So whoever has the bundle counts what its maker
counted, without a model. Rules O1 to O8 of docs/format/compute.md.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from kolm.format.examples import Lengths, next_pair
from kolm.format.flops import Batched, Work, batch_work, training_flops
from kolm.format.order import Reading
from kolm.format.outline import Outline
from kolm.methods import Method
from kolm.objectives import objective_of

if TYPE_CHECKING:
    from kolm.objectives import Objective
    from kolm.records.documents import (
        Lock,
        PredicateComputeFlops,
        PredicateComputeModifierTest,
        Spent,
        TraceRow,
    )

# Terms that follow from the bundle; the tower's needs the pictures' sizes, which captures have.
RECOUNTED: Final = ("adapter", "attention", "head", "language", "projector", "reference")
# Training compute from which a model is taken to be of general purpose, where the base's is not
# known (Commission guidelines C(2025) 7719 final, as docs/format/compute.md has them).
ASSUMED_FLOPS: Final = 10**23
_GUIDELINES: Final = "Commission guidelines C(2025) 7719 final"


class Batches(NamedTuple):
    """How batches of captures go through a model.

    Attributes:
        objective: of the lock.
        shared: both answers of a pair stand behind one prompt.
        front: virtual tokens that the method puts in front of every row.
    """

    objective: Objective
    shared: bool
    front: int = 0

    def of(self, side: Lengths, numbers: Sequence[int]) -> Work:
        """One batch."""
        own = [side.tokens[n] for n in numbers]
        other = [side.other_tokens[n] for n in numbers]
        labels = side.learned(numbers)
        pictures = [side.pictures[n] for n in numbers]
        if not self.objective.PAIRED:
            return self._padded(own, labels, pictures)
        if self.shared:
            longer = [side.other_labels[n] for n in numbers]
            return self._padded([*map(int.__add__, own, longer)], labels, pictures)
        return self._padded([*own, *other], labels, [*pictures, *pictures])

    def unrelated(self, side: Lengths, numbers: Sequence[int]) -> Work:
        """A batch with the answers to other prompts, where the objective reads them."""
        if not self.objective.UNRELATED:
            return Work()
        labels = [side.labels[next_pair(n, len(side.tokens))] for n in numbers]
        before = (side.tokens[n] - side.labels[n] for n in numbers)
        lengths = [*map(int.__add__, before, labels)]
        return self._padded(lengths, sum(labels), [side.pictures[n] for n in numbers])

    def _padded(self, lengths: Sequence[int], labels: int, pictures: Sequence[int]) -> Work:
        return batch_work([self.front + length for length in lengths], labels, pictures)

    def reference(self, side: Lengths) -> Work:
        """Every capture of a side, alone."""
        total = Work()
        for number in range(len(side.tokens)):
            total = total.plus(self.of(side, [number])).plus(self.unrelated(side, [number]))
        return total

    def look(self, side: Lengths, size: int) -> Work:
        """A look at a whole side in batches of a size, the shortest captures first."""
        total, keys = Work(), side.ordered_by
        ordered = sorted(range(len(keys)), key=keys.__getitem__)
        for start in range(0, len(ordered), size):
            numbers = ordered[start : start + size]
            total = total.plus(self.of(side, numbers)).plus(self.unrelated(side, numbers))
        return total


def recount(
    *,
    lock: Lock,
    reading: Reading,
    trace: Iterable[TraceRow],
    base: Outline,
    method: Method,
    shared: bool,
) -> dict[str, int]:
    """The operations of a training by the terms in `RECOUNTED`.

    Args:
        lock: spec.lock.json.
        reading: what the lock and examples.jsonl make a training read.
        trace: the rows of trace.jsonl, which follow from both.
        base: its outline by ``modules.jsonl``.
        method: of the lock.
        shared: both answers of a pair stand behind one prompt.
    """
    train = lock["train"]
    objective, projector = objective_of(train["objective"]), train["projector"]
    made = Batches(objective, shared, method.front)
    adapted_tower = train["freeze"]["vision"] is False
    kinds = [row["kind"] for row in trace]
    looks = kinds.count("validation")
    work = _steps(reading, made, kinds.count("step"), adapted_tower)
    if looks:
        once = made.look(reading.validation, train["batch_size"])
        work = work._replace(unlabelled=work.unlabelled.plus(once, looks))
    terms = training_flops(base, method, projector, work, adapted_tower=adapted_tower)
    terms["reference"] = 0
    if objective.PAIRED and objective.reference is not None:
        once = made.reference(reading.train)
        if looks:
            once = once.plus(made.reference(reading.validation))
        # The base without any adapter, unless the training goes on from one and begins with it.
        goes_on = train["continues"] is not None and objective.reference == "start"
        alone = Batched(Work(), Work(), once)
        told = training_flops(base, method if goes_on else None, projector, alone)
        terms["reference"] = sum(told.values())
    return dict(sorted(terms.items()))


def _steps(reading: Reading, made: Batches, steps: int, adapted_tower: bool) -> Batched:
    """The work of the first steps of a training."""
    schedule, side = reading.schedule, reading.train
    learned, other, unlabelled = Work(), Work(), Work()
    for number in range(steps * schedule.accumulation):
        batch = reading.order.batch(number)
        own = made.of(side, batch)
        reached = adapted_tower or number < schedule.projector_steps * schedule.accumulation
        if own.image_tokens and reached:
            learned = learned.plus(own)
        else:
            other = other.plus(own)
        unlabelled = unlabelled.plus(made.unrelated(side, batch))
    return Batched(learned, other, unlabelled)


def flops_of(terms: Mapping[str, int]) -> PredicateComputeFlops:
    """The operations as a claim states them: each term, and their total."""
    stated = {term: str(count) for term, count in sorted(terms.items())}
    return cast("PredicateComputeFlops", {**stated, "total": str(sum(terms.values()))})


def modifier_test(total: int, lock: Lock) -> PredicateComputeModifierTest:
    """Whether a training took more than a third of what its base's took, in numbers and words.

    Args:
        total: its operations.
        lock: may declare the base's (`dossier.base_compute`), and the training that it goes on
            from.
    """
    declared = lock.get("dossier", {}).get("base_compute")
    number, _, source = (declared or "").partition(" FLOP, ")
    base = int(Decimal(number)) if declared else None
    limit = (base or ASSUMED_FLOPS) // 3
    exceeds = 3 * total > (base or ASSUMED_FLOPS)
    return {
        "base_flops": None if base is None else str(base),
        "exceeds": exceeds,
        "limit": str(limit),
        "words": " ".join(_words(lock, total, base, limit, exceeds, source)),
    }


def _words(
    lock: Lock, total: int, base: int | None, limit: int, exceeds: bool, source: str
) -> Iterator[str]:
    yield f"This training took {short(total)} floating point operations."
    if base is None:
        yield (
            f"The training compute of the base is not declared. A third of {short(ASSUMED_FLOPS)}, "
            f"which stands in for it, is {short(limit)}"
        )
    else:
        yield (
            f"The publisher declares {short(base)} for the base ({source}). "
            f"A third of it is {short(limit)}"
        )
    with decimal.localcontext(prec=3):
        share = Decimal(100 * total) / max(1, limit)
    than = "more" if exceeds else "not more"
    yield f"and this is {float(share):.3g} % of that: {than} than the limit."
    if lock["train"]["continues"] is not None:
        yield "The earlier training that this one goes on from is not in the count."
    yield (
        f"By the {_GUIDELINES} as summarised in docs/format/compute.md, a modification that takes "
        "more than a third of the original model's training compute is an indication that whoever "
        "makes it is the provider of a general-purpose model; where the original has systemic "
        "risk and its compute is not known, a third of 1e25 stands in. This compares two numbers "
        "and is no legal opinion."
    )


def short(count: int) -> str:
    """A count in three digits, such as 1.23e15."""
    mantissa, _, exponent = f"{Decimal(count):.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}" if count >= 1000 else str(count)


def energy_text(spent: Spent) -> str:
    """The energy of a claim in a few words, or why there is none."""
    energy = spent["energy"]
    if "absent" in energy:
        return f"energy not measured ({energy['absent']})"
    return f"{energy['joules']} J by {' and '.join(energy['meters'])}"
