"""Format: which examples a step reads: a pure function of a seed and the examples' lengths.

An epoch is a shuffle cut into groups of many batches; inside a group examples of like length
come together, so little is padded; then the batches are shuffled. Nothing else, no worker and no
clock, has a part in the order, so anyone can derive it again. Rules: docs/format/randomness.md.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest
from kolm.digest import Digest, Stream
from kolm.format.examples import Lengths, lengths_of

if TYPE_CHECKING:
    from kolm.format.schedule import Schedule
    from kolm.records.documents import ExamplesRow

# Sorting within 64 batches leaves under 3 % padding on real lengths and keeps batches mixed.
GROUPED_BATCHES = 64
_KEPT_INDICES = 64 * 1024  # of epochs that are not derived again for whoever asks next


def epoch_batches(
    lengths: Sequence[int], *, seed: Digest, epoch: int, batch_size: int
) -> list[list[int]]:
    """The batches of one epoch, as indices into `lengths`.

    Every index stands in exactly one batch; one batch of an epoch may be smaller.
    """
    stream = Stream(digest.derive("epoch", seed, digest.of_value(epoch)))
    order = list(range(len(lengths)))
    stream.shuffle(order)
    batches: list[list[int]] = []
    group = GROUPED_BATCHES * batch_size
    for start in range(0, len(order), group):
        members = sorted(order[start : start + group], key=lambda index: lengths[index])
        batches.extend(
            members[first : first + batch_size] for first in range(0, len(members), batch_size)
        )
    stream.shuffle(batches)
    return batches


class BatchOrder:
    """The batches of a whole run, epoch after epoch, found by number.

    Args:
        lengths: tokens of each example.
        seed: the lock's ``order`` seed.
        batch_size: examples a batch.
    """

    def __init__(self, lengths: Sequence[int], *, seed: Digest, batch_size: int) -> None:
        self._lengths = lengths
        self._seed = seed
        self._batch_size = batch_size
        self.batches_per_epoch = -(-len(lengths) // batch_size)
        self._epochs: dict[int, list[list[int]]] = {}

    def batch(self, number: int) -> list[int]:
        """The indices of the batch with this 0-based number in the run."""
        epoch, within = divmod(number, self.batches_per_epoch)
        if epoch not in self._epochs:
            if (len(self._epochs) + 1) * len(self._lengths) > _KEPT_INDICES:
                self._epochs.clear()
            self._epochs[epoch] = epoch_batches(
                self._lengths, seed=self._seed, epoch=epoch, batch_size=self._batch_size
            )
        return self._epochs[epoch][within]

    def window(self, step: int, accumulation: int) -> Iterator[int]:
        """The indices that a 1-based step reads, batch after batch, found as they are asked for."""
        for number in range((step - 1) * accumulation, step * accumulation):
            yield from self.batch(number)


class Reading(NamedTuple):
    """What a training reads, as its lock and examples.jsonl fix it.

    Attributes:
        schedule: of the lock.
        train: the captures that steps learn from.
        validation: those that are looked at in between.
        order: of the batches of `train`.
    """

    schedule: "Schedule"
    train: Lengths
    validation: Lengths
    order: BatchOrder


def reading_of(schedule: "Schedule", examples: "Iterable[ExamplesRow]") -> Reading:
    """What a training by a schedule reads of the rows of examples.jsonl."""
    sides = lengths_of(examples)
    train = sides["train"]
    order = BatchOrder(train.ordered_by, seed=schedule.order_seed, batch_size=schedule.batch_size)
    return Reading(schedule, train, sides["validation"], order)
