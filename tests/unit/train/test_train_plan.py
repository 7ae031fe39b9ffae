"""The plan: what this version trains, and what it does not."""

import pytest

from kolm.errors import Refused
from kolm.train.plan import TrainPlan, read_plan
from tests.support.train_run import ZERO, make_lock


def make_plan(**train) -> TrainPlan:
    return read_plan(make_lock(ZERO, **train))


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("train.objective.kind", {"objective": {"kind": "grpo"}}),
        ("train.schedule", {"schedule": "steps"}),
        ("train.method.kind", {"method": {"kind": "of tomorrow"}}),
    ],
)
def test_what_this_version_does_not_train_is_refused_by_name(where, change):
    with pytest.raises(Refused) as caught:
        make_plan(**change)
    assert caught.value.code == "E_TRAIN_UNSUPPORTED"
    assert caught.value.where == where


def test_another_device_is_refused_before_anything_is_loaded():
    lock = make_lock(ZERO)
    lock["environment"]["device"] = "tpu"
    with pytest.raises(Refused) as caught:
        read_plan(lock)
    assert caught.value.where == "environment.device"
