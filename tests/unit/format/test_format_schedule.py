"""The schedule: boundaries, rates and what comes when, as everybody derives them again."""

import itertools
import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.format.schedule import Happening, Schedule, read_schedule
from tests.support.train_run import ZERO, make_lock


def make_schedule(**train) -> Schedule:
    return read_schedule(make_lock(ZERO, **train))


@given(st.integers(1, 2000), st.integers(1, 60))
def test_boundaries_cut_a_run_evenly_from_zero_to_its_last_step(steps, segments):
    cuts = make_schedule(steps=steps, segments=segments).boundaries()
    assert cuts[0] == 0
    assert cuts[-1] == steps
    assert len(cuts) == min(segments, steps) + 1
    lengths = [right - left for left, right in itertools.pairwise(cuts)]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("shape", ["cosine", "linear", "constant"])
def test_the_rate_warms_up_to_its_peak_and_every_step_learns(shape):
    schedule = make_schedule(schedule=shape, steps=100, warmup_steps=10, learning_rate="0.01")
    rates = [Decimal(schedule.rate(step)) for step in range(1, 101)]
    assert rates[:10] == [Decimal(step) / 1000 for step in range(1, 11)]
    assert max(rates) == Decimal("0.01")
    assert all(rate > 0 for rate in rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert (rates[-1] == max(rates)) is (shape == "constant")


@given(st.integers(1, 3000), st.integers(0, 50), st.data())
def test_the_cosine_is_the_one_of_the_mathematics_library(steps, warmup, data):
    schedule = make_schedule(steps=steps, warmup_steps=warmup, learning_rate="1")
    step = data.draw(st.integers(1, steps))
    if step > warmup:
        done = (step - warmup) / (steps - warmup + 1)
        wanted = 0.5 * (1 + math.cos(math.pi * done))
        assert float(schedule.rate(step)) == pytest.approx(wanted, abs=2e-15)


def test_a_rate_has_one_spelling_on_every_machine():
    schedule = make_schedule(steps=8, warmup_steps=2, learning_rate="0.0001")
    assert schedule.rate(3) == "0.000095048443395"
    assert schedule.rate(8) == "0.000004951556605"


def test_the_projector_learns_until_its_last_step():
    frozen = {"vision": True, "projector_after_steps": 3}
    schedule = make_schedule(freeze=frozen)
    assert [schedule.projector_rate(step) is None for step in (1, 3, 4)] == [False, False, True]
    assert make_schedule().projector_rate(8) is not None
    assert make_schedule(projector="frozen").projector_rate(1) is None


def test_a_run_without_early_stopping_is_steps_and_boundaries():
    found = list(make_schedule(steps=4, segments=2).happenings(None))
    assert found == [
        (Happening.CHECKPOINT, 0),
        (Happening.STEP, 1),
        (Happening.STEP, 2),
        (Happening.CHECKPOINT, 2),
        (Happening.STEP, 3),
        (Happening.STEP, 4),
        (Happening.CHECKPOINT, 4),
    ]


def test_a_run_may_look_without_ever_stopping():
    looking = {"every_steps": 2, "answers": None}
    found = list(make_schedule(steps=5, segments=1, validation=looking).happenings(None))
    assert [step for kind, step in found if kind is Happening.VALIDATION] == [2, 4]
    assert found[-1] == (Happening.CHECKPOINT, 5)


def test_early_stopping_is_told_the_score_where_it_is_on_the_metric():
    answers = {"cases": 3, "max_new_tokens": 4, "metric": {"kind": "exact"}}
    row = {"kind": "validation", "step": 2, "loss": "1.5", "label_tokens": 7}
    scored = {**row, "answers": {"cases": 3, "score": "0.25"}}
    for on, told in (("loss", ["1.5", "1.5"]), ("metric", [None, "0.25"])):
        schedule = make_schedule(
            validation={"every_steps": 2, "answers": answers},
            early_stopping={"patience": 1, "on": on},
        )
        assert [schedule.decisive(row), schedule.decisive(scored)] == told
        assert schedule.answered == 3
    patience = schedule.new_patience()
    assert [patience.tell(score) for score in ("0.2", "0.3", "0.1")] == [False, False, True]


LOSSES = st.lists(st.integers(0, 5).map(str), min_size=30, max_size=30)


@given(LOSSES, st.integers(1, 3), st.integers(1, 5), st.integers(1, 20), st.integers(1, 6))
def test_a_run_that_goes_on_after_a_checkpoint_does_what_it_would_have(
    losses, looks, every, steps, segments
):
    schedule = make_schedule(
        steps=steps,
        segments=segments,
        validation={"every_steps": every, "answers": None},
        early_stopping={"patience": looks, "on": "loss"},
    )

    def walk(patience, after=None):
        for happening, step in schedule.happenings(patience, after=after):
            if happening is Happening.VALIDATION:
                patience.tell(losses[step])
            yield happening, step, patience.to_document()

    whole = list(walk(schedule.new_patience()))
    for place, (happening, step, state) in enumerate(whole):
        if happening is Happening.CHECKPOINT:
            patience = schedule.new_patience()
            patience.restore(state)
            assert list(walk(patience, step)) == whole[place + 1 :]
