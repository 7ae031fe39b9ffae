"""What a spec can change to need less, lengths in bins, and devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm import methods, roles
from kolm.format.flops import Work, batch_work
from kolm.format.outline import outline
from kolm.models import published
from kolm.planning.devices import DEVICES, smallest
from kolm.planning.histogram import histogram, upper_end
from kolm.planning.memory import GIB, Batch
from kolm.planning.operations import Step
from kolm.planning.settings import Setting, changes, compare
from kolm.spec.options import resolve_method

FOUND = published.find("Qwen/Qwen2.5-VL-7B-Instruct")
assert FOUND is not None
BASE = outline(FOUND.parameters, roles.family("qwen2_5_vl"))
SETTING = Setting(
    precision="float32",
    four_bits=False,
    double=True,
    optimizer="adamw",
    numbers=85_000_000,
    batch=Batch(8, 1024, 128),
    image_tokens=4096,
    projector=True,
    adapted_tower=True,
)


def test_each_change_needs_less_than_what_is_before_it() -> None:
    found = changes(SETTING, projector="full", numbers_without_projector=40_000_000)
    needs = [SETTING.need(BASE).total, *(one.setting.need(BASE).total for one in found)]
    assert needs == sorted(needs, reverse=True)
    assert len(set(needs)) == len(needs)
    lines = [one.line for one in found]
    assert lines[:2] == [
        "train.batch_size: 1, with train.accumulation to match",
        "train.precision: bfloat16",
    ]
    assert "train.projector: frozen" in lines


def test_nothing_is_proposed_that_the_spec_has_already() -> None:
    last = changes(SETTING, projector="full", numbers_without_projector=1)[-1].setting
    assert changes(last, projector="frozen", numbers_without_projector=1) == []


def test_usual_ways_are_compared_on_one_to_eight_devices() -> None:
    family = roles.family("qwen2_5_vl")
    step = Step(
        base=BASE,
        method=methods.method_of(resolve_method({"kind": "lora"}, family, vision=False)),
        projector="full",
        work=batch_work([2048], 2048, [1024]),
        unlabelled=Work(),
        pictured=True,
    )
    ways = list(compare(BASE, 85_000_000, Batch(1, 2048, 2048), step))
    assert {way.devices for way in ways} == {1, 2, 4, 8}
    one = {(w.method, w.checkpointing): w.memory.total for w in ways if w.devices == 1}
    assert one["qlora", True] < one["lora", True] < one["full, bfloat16", True]
    assert one["full, bfloat16", True] < one["full, mixed precision", True]
    assert all(one[method, True] < one[method, False] for method, _ in one)
    work = {(w.method, w.checkpointing): w.flops for w in ways}
    assert all(w.flops == work[w.method, w.checkpointing] for w in ways)
    assert all(work[method, True] > work[method, False] for method, _ in work)
    # Six operations a weight and token (arXiv:2001.08361, section 2.1), and attention beside them.
    met = BASE.parameters["language"] + BASE.parameters["head"]
    attention = step.terms()["attention"]
    expected = 6 * (2048 * met + 1024 * BASE.parameters["projector"]) + attention
    assert work["full, bfloat16", False] == pytest.approx(expected, rel=0.01)


def test_devices_are_told_from_the_smallest_with_their_sources() -> None:
    sizes = [device.memory_bytes for device in DEVICES]
    assert sizes == sorted(sizes)
    assert all(device.source.startswith("https://") for device in DEVICES)
    assert smallest(20 * GIB) == DEVICES[1]
    assert smallest(10**13) is None


@given(st.lists(st.integers(0, 100_000)))
def test_a_histogram_counts_each_number_once(numbers: list[int]) -> None:
    shown = histogram(numbers)
    assert sum(one["examples"] for one in shown["bins"]) == len(numbers)
    ends = [one["up_to"] for one in shown["bins"]]
    assert ends == sorted(set(ends))
    assert shown["longest"] == max(numbers, default=0)


@given(st.integers(0, 10**9))
def test_a_bin_ends_at_the_next_power_of_two(number: int) -> None:
    end = upper_end(number)
    assert number <= end
    assert number == 0 or end // 2 < number


def test_processes_share_the_blocks_and_hold_all_else_whole() -> None:
    one = SETTING._replace(numbers=0).need(BASE)
    inside = 4 * sum(m.outputs * m.inputs for block in BASE.blocks for m in block.matrices)
    whole = one.weights - inside
    block = inside // len(BASE.blocks)
    for count in (2, 4, 8):
        each = SETTING._replace(numbers=0, processes=count).need(BASE)
        assert each.weights == pytest.approx(whole + inside / count + 2 * block, rel=1e-9)
        assert each._replace(weights=one.weights) == one
    held = {n: SETTING._replace(processes=n).need(BASE).state for n in (1, 2, 8)}
    assert held[2] == held[8] == held[1] + 2 * 4 * SETTING.numbers
