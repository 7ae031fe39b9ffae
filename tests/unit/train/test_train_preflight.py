"""Preflight: what training will see, and what stops it before it starts."""

import pytest

from kolm.encode.encoder import Encoder
from kolm.errors import Refused
from kolm.models.family import runtime
from kolm.train.plan import read_plan
from kolm.train.preflight import check_captures
from tests.support import tiny_vlm
from tests.support.tiny_vlm import make_capture
from tests.support.train_run import ZERO, make_lock


def check(captures, **train):
    plan = read_plan(make_lock(ZERO, **{"max_seq_length": 60, "max_images": 1, **train}))
    encoder = Encoder(
        tiny_vlm.make_processor(),
        runtime("qwen2_5_vl"),
        image_token_id=tiny_vlm.IMAGE,
        max_seq_length=plan.max_seq_length,
        max_images=plan.max_images,
    )
    return check_captures(plan, enumerate(captures), encoder)


def test_it_counts_what_training_will_see():
    found = check(
        [
            make_capture(("user", [0, "a?"]), ("assistant", "yes")),
            make_capture(("user", [0, "b" * 90]), ("assistant", "no")),
            make_capture(("user", "c?"), ("assistant", "maybe"), images=0),
            make_capture(("user", [0, "d?"]), ("assistant", "x" * 90)),
            make_capture(("user", [0, 1, "e?"]), ("assistant", "so"), images=2),
        ],
        steps=6, batch_size=2,
    )  # fmt: skip
    assert found.examples == 3
    assert found.dropped == {"over_budget": 1, "too_many_images": 1}
    assert (found.cut_prompts, found.without_images, found.images) == (1, 1, 2)
    assert found.image_tokens == 8
    assert found.label_tokens == 4 + 3 + 6
    assert found.longest_tokens == 60
    assert found.steps_per_epoch == 2
    assert found.epochs_permille == 3000
    assert len(found.warnings()) == 4


def test_nothing_to_train_on_is_refused():
    with pytest.raises(Refused) as caught:
        check([make_capture(("user", [0, "d?"]), ("assistant", "x" * 90))])
    assert caught.value.code == "E_TRAIN_NO_EXAMPLES"
    assert "1 over_budget" in caught.value.found
