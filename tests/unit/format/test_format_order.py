"""The data order: a pure function of seed and lengths in which nothing is lost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kolm import digest
from kolm.format.order import GROUPED_BATCHES, BatchOrder, epoch_batches

SEED = digest.of_bytes(b"order")
LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=300)


@given(LENGTHS, st.integers(1, 9), st.integers(0, 3))
def test_an_epoch_holds_every_example_once(lengths, batch_size, epoch):
    batches = epoch_batches(lengths, seed=SEED, epoch=epoch, batch_size=batch_size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert sum(len(batch) < batch_size for batch in batches) <= 1
    assert len(batches) == -(-len(lengths) // batch_size)


@given(LENGTHS, st.integers(1, 9))
def test_batches_hold_examples_of_neighbouring_lengths(lengths, batch_size):
    batches = epoch_batches(lengths, seed=SEED, epoch=0, batch_size=batch_size)
    if len(lengths) > GROUPED_BATCHES * batch_size:
        return
    spans = sorted((min(b), max(b)) for b in ([lengths[i] for i in batch] for batch in batches))
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))


def test_the_order_is_the_one_that_it_always_was():
    batches = epoch_batches([5, 3, 9, 1, 7, 2, 8], seed=SEED, epoch=0, batch_size=2)
    assert batches == [[4, 6], [2], [1, 0], [3, 5]]


def test_epochs_and_seeds_differ():
    lengths = [1] * 50
    first = epoch_batches(lengths, seed=SEED, epoch=0, batch_size=5)
    assert first != epoch_batches(lengths, seed=SEED, epoch=1, batch_size=5)
    other = digest.of_bytes(b"another")
    assert first != epoch_batches(lengths, seed=other, epoch=0, batch_size=5)


def test_a_run_can_start_at_any_batch():
    order = BatchOrder([3, 1, 4, 1, 5], seed=SEED, batch_size=2)
    told = [order.batch(number) for number in range(9)]
    again = BatchOrder([3, 1, 4, 1, 5], seed=SEED, batch_size=2)
    assert [again.batch(number) for number in (7, 2, 0)] == [told[7], told[2], told[0]]
    assert sorted(told[3] + told[4] + told[5]) == [0, 1, 2, 3, 4]
