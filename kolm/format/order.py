"""Format: which examples a step reads: a pure function of a seed and the examples' lengths.

An epoch is a shuffle cut into groups of many batches; inside a group examples of like length
come together, so little is padded; then the batches are shuffled. Nothing else, no worker and no
clock, has a part in the order, so anyone can derive it again. Rules: docs/format/randomness.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kolm import digest
from kolm.digest import Digest, Stream

# Sorting within 64 batches leaves under 3 % padding on real lengths and keeps batches mixed.
GROUPED_BATCHES = 64


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
        self._epoch = -1
        self._batches: list[list[int]] = []

    def batch(self, number: int) -> list[int]:
        """The indices of the batch with this 0-based number in the run."""
        epoch, within = divmod(number, self.batches_per_epoch)
        if epoch != self._epoch:
            self._batches = epoch_batches(
                self._lengths, seed=self._seed, epoch=epoch, batch_size=self._batch_size
            )
            self._epoch = epoch
        return self._batches[within]

    def window(self, step: int, accumulation: int) -> Iterator[int]:
        """The indices that a 1-based step reads, batch after batch, found as they are asked for."""
        for number in range((step - 1) * accumulation, step * accumulation):
            yield from self.batch(number)
