"""Early stopping: a decision that a reader of the trace can make again."""

from hypothesis import given
from hypothesis import strategies as st

from kolm.format.stopping import Patience

LOSSES = st.lists(st.integers(0, 30).map(lambda n: f"{n / 10:g}"), min_size=1, max_size=20)


@given(LOSSES, st.integers(1, 4))
def test_it_stops_after_so_many_looks_without_a_new_lowest_loss(losses, looks):
    patience = Patience(looks)
    for count, loss in enumerate(losses, start=1):
        stop = patience.tell(loss)
        values = [float(value) for value in losses[:count]]
        best = values.index(min(values))
        assert stop is (count - 1 - best >= looks)
        if stop:
            break


@given(LOSSES, st.integers(1, 4))
def test_of_scores_the_highest_is_the_best(scores, looks):
    rising, falling = Patience(looks, rising=True), Patience(looks)
    for score in scores:
        mirrored = f"{30 - float(score):g}"
        assert rising.tell(score) is falling.tell(mirrored)


@given(LOSSES, LOSSES, st.integers(1, 4))
def test_its_state_survives_a_checkpoint(before, after, looks):
    first, second = Patience(looks), Patience(looks)
    for loss in before:
        first.tell(loss)
    second.restore(first.to_document())
    assert [first.tell(loss) for loss in after] == [second.tell(loss) for loss in after]


def test_a_fresh_state_survives_too():
    patience = Patience(1)
    patience.restore(Patience(1).to_document())
    assert patience.tell("5") is False
    assert patience.tell("5") is True
