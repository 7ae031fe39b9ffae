"""The count of a training from its documents, and the comparison with a third of the base's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kolm import roles
from kolm.format.compute import (
    Batches,
    energy_text,
    flops_of,
    modifier_test,
    recount,
    short,
)
from kolm.format.examples import lengths_of
from kolm.format.flops import Work
from kolm.format.order import reading_of
from kolm.format.outline import of_modules
from kolm.format.schedule import read_schedule
from kolm.format.sights import tower_flops
from kolm.methods import method_of
from kolm.objectives import objective_of
from kolm.run.example_rows import kept_row
from kolm.spec.options import resolve_objective
from tests.support.bundles import BundleParts, make_parts

# tokens, labels, image tokens; of the other answer tokens, labels
ROWS = ((20, 3, 4, 22, 5), (30, 6, 0, 27, 3))


def side(objective: str = "dpo") -> Any:
    rows = []
    for tokens, labels, pictures, other, own in ROWS:
        rejected: Any = {"tokens": other, "labels": own} if objective != "sft" else None
        rows.append(
            kept_row(
                "train", tokens=tokens, labels=labels, cut=0, image_tokens=pictures,
                rejected=rejected,
            )
        )  # fmt: skip
    return lengths_of(rows)["train"]


def batches(objective: str, *, shared: bool = False) -> Batches:
    return Batches(objective_of(resolve_objective({"kind": objective})), shared)


def test_a_batch_is_as_long_as_its_longest_row() -> None:
    assert batches("sft").of(side("sft"), [0, 1]) == Work(2 * 30, 2 * 30**2, 9, 4, 30, 4 * 30)


def test_two_answers_of_a_pair_are_two_rows_with_the_same_pictures() -> None:
    assert batches("dpo").of(side(), [0, 1]) == Work(4 * 30, 4 * 30**2, 17, 8, 2 * 30, 8 * 30)


def test_behind_one_prompt_they_are_one_row() -> None:
    expected = Work(2 * 33, 2 * 33**2, 17, 4, 33, 4 * 33)
    assert batches("dpo", shared=True).of(side(), [0, 1]) == expected


def test_an_unrelated_answer_stands_behind_the_prompt() -> None:
    prompts, answers = (17, 24), (6, 3)  # each row takes the answer of the next
    longest = max(a + b for a, b in zip(prompts, answers, strict=True))
    expected = Work(2 * longest, 2 * longest**2, 9, 4, longest, 4 * longest)
    assert batches("kto").unrelated(side(), [0, 1]) == expected
    assert batches("dpo").unrelated(side(), [0, 1]) == Work()


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    made = make_parts(tmp_path_factory.mktemp("compute"))
    made.follow()
    return made


def counted(parts: BundleParts, **train: Any) -> dict[str, int]:
    lock: Any = {**parts.lock, "train": {**parts.lock["train"], **train}}
    examples: Any = parts.examples
    return recount(
        lock=lock,
        reading=reading_of(read_schedule(lock), examples),
        trace=parts.trace,  # type: ignore[arg-type]
        base=of_modules(parts.modules, roles.family("qwen2_5_vl")),  # type: ignore[arg-type]
        method=method_of(lock["train"]["method"]),
        shared=False,
    )


def test_logits_are_counted_of_every_label_that_the_trace_has(parts: BundleParts) -> None:
    steps = [row for row in parts.trace if row["kind"] == "step"]
    labels = sum(row["label_tokens"] for row in steps)
    base = of_modules(parts.modules, roles.family("qwen2_5_vl"))  # type: ignore[arg-type]
    assert counted(parts)["head"] == labels * base.vocabulary * base.hidden * 4


def test_a_frozen_projector_takes_less(parts: BundleParts) -> None:
    full, frozen = counted(parts, projector="full"), counted(parts, projector="frozen")
    assert frozen["projector"] < full["projector"]
    assert frozen["language"] < full["language"]  # no gradient flows into its first layers
    assert frozen["head"] == full["head"]


def test_a_projector_that_stops_learning_takes_less(parts: BundleParts) -> None:
    freeze = {**parts.lock["train"]["freeze"], "projector_after_steps": 1}
    assert counted(parts, freeze=freeze)["projector"] < counted(parts)["projector"]


def test_looks_at_the_validation_side_are_counted(parts: BundleParts) -> None:
    looking = parts.copy()
    looking.trace.append({"kind": "validation", "step": 4})
    assert counted(looking)["language"] > counted(parts)["language"]


def test_a_reference_is_counted_where_there_is_one(tmp_path: Path) -> None:
    pairs = make_parts(tmp_path, objective={"kind": "dpo"})
    pairs.follow()
    alone, none = counted(pairs), counted(pairs, objective=resolve_objective({"kind": "simpo"}))
    assert alone["reference"] > 0
    assert none["reference"] == 0
    assert alone["language"] == none["language"]


def test_the_tower_learns_where_it_is_adapted(parts: BundleParts) -> None:
    base = of_modules(parts.modules, roles.family("qwen2_5_vl"))  # type: ignore[arg-type]
    method = method_of(parts.lock["train"]["method"])
    assert tower_flops(base, {4: 1}, method=method) > tower_flops(base, {4: 1}) > 0
    assert tower_flops(base, {4: 3}) == 3 * tower_flops(base, {4: 1})


def test_the_total_is_the_sum() -> None:
    assert flops_of({"b": 2, "a": 10**30}) == {
        "a": "1" + 30 * "0",
        "b": "2",
        "total": str(10**30 + 2),
    }


LOCK: Any = {"train": {"continues": None}}


@pytest.mark.parametrize(
    ("declared", "total", "exceeds"),
    [
        (None, 10**23 // 3, False),
        (None, 10**23 // 3 + 1, True),
        ("3e3 FLOP, a card", 1000, False),
        ("3e3 FLOP, a card", 1001, True),
        ("6e24 FLOP, a card", 10**23, False),
    ],
)
def test_a_third_of_the_bases_is_the_limit(declared: str | None, total: int, exceeds: bool) -> None:
    lock = {**LOCK, "dossier": {"base_compute": declared}} if declared else LOCK
    found = modifier_test(total, lock)
    assert found["exceeds"] is exceeds
    assert ("not more than" in found["words"]) is not exceeds
    assert ("not declared" in found["words"]) is (declared is None)
    assert ("a card" in found["words"]) is (declared is not None)
    assert "no legal opinion" in found["words"]


def test_an_earlier_training_is_said_to_be_missing_from_the_count() -> None:
    continued: Any = {"train": {"continues": {"chain": "", "state": ""}}}
    assert "earlier training" in modifier_test(1, continued)["words"]
    assert "earlier training" not in modifier_test(1, LOCK)["words"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1e3"), (123456, "1.23e5"), (999999, "1e6"), (10**23, "1e23")],
)
def test_counts_are_short(count: int, text: str) -> None:
    assert short(count) == text


def test_energy_is_told_or_why_there_is_none() -> None:
    spent: Any = {"energy": {"joules": "12.5", "meters": ["nvml", "rapl"]}}
    assert energy_text(spent) == "12.5 J by nvml and rapl"
    assert "no meter" in energy_text({**spent, "energy": {"absent": "no meter"}})
