"""The plan: boundaries and schedules that a replay derives again."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.errors import Refused
from kolm.train.plan import TrainPlan, read_plan
from tests.support.train_run import ZERO, make_lock


def make_plan(**train) -> TrainPlan:
    return read_plan(make_lock(ZERO, **train))


@given(st.integers(1, 2000), st.integers(1, 60))
def test_boundaries_cut_a_run_evenly_from_zero_to_its_last_step(steps, segments):
    cuts = make_plan(steps=steps, segments=segments).boundaries()
    assert cuts[0] == 0
    assert cuts[-1] == steps
    assert len(cuts) == min(segments, steps) + 1
    lengths = [right - left for left, right in itertools.pairwise(cuts)]
    assert min(lengths) >= 1
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_warms_up_to_its_peak_and_every_step_learns(schedule):
    plan = make_plan(schedule=schedule, steps=100, warmup_steps=10)
    rates = [plan.rate_factor(step) for step in range(1, 101)]
    assert rates[:10] == [step / 10 for step in range(1, 11)]
    assert max(rates) == 1.0
    assert all(rate > 0 for rate in rates)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert (rates[-1] == 1.0) is (schedule == "constant")


def test_the_cosine_is_half_way_down_in_the_middle():
    plan = make_plan(schedule="cosine", steps=101, warmup_steps=0)
    assert plan.rate_factor(51) == pytest.approx(0.5)


def test_the_projector_freezes_after_its_steps_and_not_before():
    frozen = {"vision": True, "projector": False, "projector_after_steps": 3}
    plan = make_plan(freeze=frozen)
    assert [plan.projector_frozen(step) for step in (1, 3, 4)] == [False, False, True]
    assert not make_plan().projector_frozen(8)


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("train.objective", {"objective": "dpo"}),
        ("train.schedule", {"schedule": "steps"}),
        ("train.method.kind", {"method": {"kind": "ia3"}}),
    ],
)
def test_what_this_version_does_not_train_is_refused_by_name(where, change):
    with pytest.raises(Refused) as caught:
        make_plan(**change)
    assert caught.value.code == "E_TRAIN_UNSUPPORTED"
    assert caught.value.where == where


def test_another_device_is_refused_before_anything_is_loaded():
    lock = make_lock(ZERO)
    lock["environment"]["device"] = "cuda"
    with pytest.raises(Refused) as caught:
        read_plan(lock)
    assert caught.value.where == "environment.device"
