"""V30–V39: one negative case each."""

from __future__ import annotations

from typing import Any

import pytest

from kolm import canonical, digest
from kolm.records.verification import Verdict
from kolm.sign import predicates
from tests.support.audits import World
from tests.support.bundles import BundleParts


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("scores"))


@pytest.fixture
def forged(world: World) -> BundleParts:
    return world.parts.copy()


def score(**changes: Any) -> Any:
    """Edit the K-score claim: keys are paths with double underscores."""

    def change(said: dict[str, Any]) -> None:
        for path, value in changes.items():
            target: Any = said[predicates.KSCORE]
            *steps, last = path.split("__")
            for step in steps:
                target = target[step]
            target[last] = value

    return change


def test_v30_an_edited_reference_answer_is_refused(world: World, forged: BundleParts) -> None:
    forged.cases[0]["messages"][-1]["content"][0]["text"] = "whatever the model says"
    assert "V30" in world.audit(forged).failed


def test_v30_a_case_with_another_picture_is_refused(world: World, forged: BundleParts) -> None:
    case = digest.of_value(forged.cases[0])
    leaf = next(row for row in forged.snapshot_rows if row["capture"] == case)
    leaf["images"][0]["pixels"] = digest.of_bytes(b"another picture")
    assert "V30" in world.audit(forged).failed


def test_v31_a_dropped_case_is_refused(world: World, forged: BundleParts) -> None:
    del forged.predictions[0]
    assert "V31" in world.audit(forged).failed


def test_v31_reordered_predictions_are_refused(world: World, forged: BundleParts) -> None:
    forged.predictions.reverse()
    assert "V31" in world.audit(forged).failed


def test_v31_a_case_dropped_from_cases_and_predictions_is_refused(
    world: World, forged: BundleParts
) -> None:
    case = digest.of_value(forged.cases.pop(0))
    forged.predictions = [row for row in forged.predictions if row["case"] != case]
    forged.rescore()
    assert {"V30", "V31"} <= world.audit(forged).failed


def test_v32_an_edited_output_is_refused(world: World, forged: BundleParts) -> None:
    row = next(row for row in forged.predictions if row["adapter"]["score"] == "1")
    row["adapter"]["output"] = "something else"
    assert {"V32", "V33"} <= world.audit(forged).failed


def test_v32_an_edited_score_is_refused(world: World, forged: BundleParts) -> None:
    row = next(row for row in forged.predictions if row["blind"]["score"] == "0")
    row["blind"]["score"] = "1"
    assert world.audit(forged).failed == {"V32"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("accuracy", "0.5"), ("interval", {"high": "1", "level": "0.95", "low": "0.9",
                                        "method": "wilson"})],
)  # fmt: skip
def test_v33_an_edited_evaluation_is_refused(
    world: World, forged: BundleParts, field: str, value: Any
) -> None:
    forged.evaluation["adapter"][field] = value
    assert "V33" in world.audit(forged).failed


def test_v33_a_floor_that_is_said_to_pass_is_refused(world: World, forged: BundleParts) -> None:
    forged.lock["evaluation"]["floors"]["accuracy_lower_bound"] = "0.99"
    assert "V33" in world.audit(forged).failed


@pytest.mark.parametrize("field", ["captures", "images"])
def test_v34_an_edited_count_is_refused(world: World, forged: BundleParts, field: str) -> None:
    forged.snapshot["splits"]["train"][field] += 1
    assert "V34" in world.audit(forged).failed


def test_v34_a_root_of_other_lines_is_refused(world: World, forged: BundleParts) -> None:
    forged.members()
    other = {**forged.snapshot, "root": digest.of_bytes(b"other lines")}
    forged.overrides["snapshot.json"] = canonical.dumps(other)
    assert "V34" in world.audit(forged).failed


def test_v34_a_split_that_does_not_follow_from_its_rule_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.snapshot["rule"] = {"eval": "0.3", "kind": "hash", "validation": "0"}
    assert "V34" in world.audit(forged).failed


def test_v34_near_duplicates_under_a_refusing_policy_are_refused(
    world: World, forged: BundleParts
) -> None:
    forged.snapshot["near_duplicates"].update(across_splits=3, policy="refuse")
    assert world.audit(forged).failed == {"V34"}


@pytest.mark.parametrize(
    "change",
    [
        score(inputs__accuracy="0.5"),
        score(inputs__coverage="0.5"),
        score(inputs__size_bytes=1),
        score(inputs__cost_usd_per_call="0.001"),
        score(inputs__p95_latency_us=1),
    ],
)
def test_v35_an_input_that_content_does_not_have_is_refused(world: World, change: Any) -> None:
    assert "V35" in world.audit(change=change).failed


@pytest.mark.parametrize("change", [score(composite="0.9999"), score(axes__S="1")])
def test_v36_an_edited_composite_or_axis_is_refused(world: World, change: Any) -> None:
    assert world.audit(change=change).failed == {"V36"}


@pytest.mark.parametrize(
    "change", [score(gate__verdict="failed"), score(gate__k="0.1"), score(gate__k_passed=False)]
)
def test_v37_an_edited_gate_is_refused(world: World, change: Any) -> None:
    assert "V37" in world.audit(change=change).failed


def test_v37_a_gate_that_passes_over_a_missed_floor_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["evaluation"]["floors"]["accuracy_lower_bound"] = "0.99"
    forged.rescore()

    def lie(said: dict[str, Any]) -> None:
        said[predicates.KSCORE]["gate"].update(floors_passed=True, verdict="passed")

    assert "V37" in world.audit(forged, change=lie).failed


def test_v38_withheld_text_leaves_scores_attested(world: World, forged: BundleParts) -> None:
    forged.lock["publish"]["text"] = False
    forged.without.add("evalcases.jsonl")
    answers = world.audit(forged)
    assert {"V30", "V32", "V33", "V38"} <= answers.skipped
    assert answers.overall is Verdict.OK


def test_v38_promised_text_that_is_missing_is_refused(world: World, forged: BundleParts) -> None:
    forged.without.add("evalcases.jsonl")
    assert "V38" in world.audit(forged).failed


def test_v39_an_eval_image_in_training_is_refused(world: World, forged: BundleParts) -> None:
    held = next(row for row in forged.snapshot_rows if row["split"] == "eval")
    used = next(row for row in forged.snapshot_rows if row["split"] == "train")
    used["images"] = [dict(held["images"][0])]
    assert "V39" in world.audit(forged).failed


def test_v39_the_same_pixels_in_another_file_are_refused(world: World, forged: BundleParts) -> None:
    held = next(row for row in forged.snapshot_rows if row["split"] == "eval")
    used = next(row for row in forged.snapshot_rows if row["split"] == "validation")
    used["images"][0]["pixels"] = held["images"][0]["pixels"]
    assert "V39" in world.audit(forged).failed


def test_v34_a_side_that_was_not_drawn_by_rule_is_refused(
    world: World, forged: BundleParts
) -> None:
    """An official split that carves validation out of train: drawn again from the ids."""
    forged.snapshot["rule"]["validation"] = "0.4"
    answers = world.audit(forged)
    assert "V34" in answers.failed


def test_v34_a_rule_that_holds_out_nothing_is_refused(world: World, forged: BundleParts) -> None:
    forged.snapshot["rule"] = {"eval": "0", "kind": "hash", "validation": "0"}
    assert "V34" in world.audit(forged).failed


def test_a_case_without_an_answer_does_not_fit_its_schema(
    world: World, forged: BundleParts
) -> None:
    forged.cases[0]["messages"].pop()
    answers = world.audit(forged)
    assert "V06" in answers.failed
    assert {"V30", "V32", "V33"} <= answers.skipped


def test_v62_a_floor_that_nobody_observed_could_not_be_looked_at(world: World) -> None:
    from dataclasses import replace

    from kolm.verify.policy import BUILT_IN

    answers = world.audit(policy=replace(BUILT_IN, floors={"beauty": "1"}))
    assert "V62" in answers.blind


def test_v62_one_evaluators_measurements_can_be_named(world: World) -> None:
    from dataclasses import replace

    from kolm.verify.policy import BUILT_IN

    keyid = world.publisher.public.keyid
    named = replace(BUILT_IN, measurements=keyid, floors={"k": "0.1"})
    assert world.audit(policy=named).overall is Verdict.OK
    other = replace(BUILT_IN, measurements="0" * 64, floors={"k": "0.1"})
    assert "V62" in world.audit(policy=other).blind
