"""V30–V39: one negative case each."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from kolm import canonical, digest
from kolm.records.verification import Evidence, Verdict
from kolm.score.kscore import kscore_v1
from kolm.sign import making, predicates
from kolm.verify.policy import BUILT_IN
from tests.support import toy_documents
from tests.support.audits import Answers, Pictures, World
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


def redeclared(parts: BundleParts, change: Callable[[dict[str, Any]], object]) -> BundleParts:
    """With one case changed before its snapshot was taken, and everything that follows."""
    cases = copy.deepcopy(parts.cases)
    change(cases[0])
    parts.declare(cases)
    return parts


TEXT = {"text": "x", "type": "text"}
SHOWN = {"image": 0, "type": "image"}


@pytest.mark.parametrize(
    "change",
    [
        lambda case: case.update(tags=["a", "a"]),
        lambda case: case.update(tags=["b", "a"]),
        lambda case: case["messages"][0]["content"][0].update(image=63),
        lambda case: case["messages"][0].update(content=[TEXT]),
        lambda case: case["messages"][0].update(content=[SHOWN, TEXT, TEXT]),
        lambda case: case["messages"].insert(0, {"content": [TEXT], "role": "assistant"}),
        lambda case: case["messages"][-1].update(content=[{**TEXT, "text": " "}]),
        lambda case: case["messages"][-1].update(content=[{**TEXT, "text": "[TODO x]"}]),
        lambda case: case["messages"][-1].update(content=[TEXT, TEXT]),
        lambda case: case.update(corrections=[{"end": 0, "replacement": "x", "start": 0}]),
        lambda case: case["images"][0].update(height=16384, width=16384),
    ],
)
def test_v30_a_case_that_is_no_capture_is_refused(
    world: World, forged: BundleParts, change: Any
) -> None:
    assert "V30" in world.audit(redeclared(forged, change)).failed


@pytest.mark.parametrize("answer", [None, "another answer"])
def test_v30_a_question_asked_twice_is_refused(
    world: World, forged: BundleParts, answer: str | None
) -> None:
    again = copy.deepcopy(forged.cases[0])
    again["source"]["name"] = "elsewhere"
    again["messages"][0]["content"][1]["text"] += " "
    if answer is not None:
        again["messages"][-1]["content"][0]["text"] = answer
    forged.declare([*forged.cases, again])
    assert world.audit(forged).failed == {"V30"}


def test_v30_one_picture_in_two_sizes_is_refused(world: World, forged: BundleParts) -> None:
    other = copy.deepcopy(forged.cases[0])
    other["images"][0]["width"] = 2800
    other["messages"][0]["content"][1]["text"] = "another question?"
    forged.declare([*forged.cases, other])
    assert world.audit(forged).failed == {"V30"}


@pytest.mark.parametrize("side", [None, "train"])
def test_v30_a_case_of_another_side_is_refused_under_an_official_split(
    world: World, forged: BundleParts, side: str | None
) -> None:
    assert world.audit(redeclared(forged, lambda case: case.update(split=side))).failed == {"V30"}


def test_what_a_case_says_of_its_side_means_nothing_when_a_rule_draws_it(
    world: World, forged: BundleParts
) -> None:
    forged.declare([{**case, "split": "train"} for case in forged.cases])
    forged.snapshot["rule"] = {"eval": "0.3", "kind": "hash", "validation": "0"}
    assert "V30" not in world.audit(forged).failed


@pytest.mark.parametrize(
    "moved", [lambda batch: 0, lambda batch: batch - (batch == 2), lambda batch: batch + 1]
)
def test_v31_batches_that_the_lock_does_not_give_are_refused(
    world: World, forged: BundleParts, moved: Callable[[int], int]
) -> None:
    for row in forged.predictions:
        row["batch"] = moved(row["batch"])
    assert world.audit(forged).failed == {"V31"}


@pytest.mark.parametrize(
    "outcome",
    [
        {"tokens": 0},
        {"tokens": 17},
        {"finish": "length", "tokens": 15},
        {"finish": "length", "output": "a" * 3071, "tokens": 15},
    ],
)
def test_v31_an_answer_that_cannot_end_like_this_is_refused(
    world: World, forged: BundleParts, outcome: dict[str, Any]
) -> None:
    forged.predictions[0]["base"].update(outcome)
    forged.rescore()
    assert world.audit(forged).failed == {"V31"}


@pytest.mark.parametrize(
    "outcome",
    [
        {"tokens": 16},
        {"finish": "length", "tokens": 16},
        {"finish": "length", "output": "a" * 3072, "tokens": 15},
    ],
)
def test_an_answer_that_ends_at_a_limit_is_accepted(
    world: World, forged: BundleParts, outcome: dict[str, Any]
) -> None:
    forged.predictions[0]["base"].update(outcome)
    forged.rescore()
    assert not world.audit(forged).failed


def test_v32_and_v33_answer_soon_whatever_the_text(world: World, forged: BundleParts) -> None:
    """Combining marks in the order that takes longest to put right."""
    marks = "\u0301" * 15_800 + "\u0316" * 15_800
    cases = copy.deepcopy(forged.cases)
    for number, case in enumerate(cases):
        case["messages"][-1]["content"][0]["text"] = f"{marks}{number}"
    began = time.process_time()
    forged.declare(cases)
    for row in forged.predictions:
        for run in ("adapter", "base", "blind"):
            row[run]["output"] = marks[:3072]
    forged.rescore()
    assert not world.audit(forged).failed & {"V30", "V31", "V32", "V33"}
    assert time.process_time() - began < 20  # by insertion: minutes


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


def test_v34_more_near_duplicates_than_eval_pictures_are_refused(
    world: World, forged: BundleParts
) -> None:
    near = forged.snapshot["near_duplicates"]
    near["across_splits"] = forged.snapshot["splits"]["eval"]["images"]
    assert not world.audit(forged).failed
    near["across_splits"] += 1
    assert world.audit(forged).failed == {"V34"}


@pytest.mark.parametrize("policy", ["drop", "group"])
def test_v34_near_duplicates_under_a_policy_that_leaves_none_are_refused(
    world: World, forged: BundleParts, policy: str
) -> None:
    forged.snapshot["near_duplicates"].update(across_splits=1, policy=policy)
    assert "V34" in world.audit(forged).failed


def aside(forged: BundleParts, policy: str) -> dict[str, Any]:
    """Put the validation capture on no side; gives the statistics of near-duplicates."""
    row = next(row for row in forged.snapshot_rows if row["split"] == "validation")
    row["split"] = "none"
    made = toy_documents.make_snapshot(forged.snapshot_rows)
    forged.snapshot["splits"] = made["splits"]
    near: dict[str, Any] = forged.snapshot["near_duplicates"]
    near["policy"] = policy
    return near


def test_v34_a_dropped_near_twin_is_counted(world: World, forged: BundleParts) -> None:
    near = aside(forged, "drop")
    assert world.audit(forged).failed == {"V34"}
    near["dropped"] = 1
    assert not world.audit(forged).failed


def test_v34_a_capture_is_on_no_side_for_a_reason(world: World, forged: BundleParts) -> None:
    aside(forged, "report")["dropped"] = 1
    assert world.audit(forged).failed == {"V34"}


def test_v34_near_twins_are_named_only_where_they_are_grouped(
    world: World, forged: BundleParts
) -> None:
    for row in forged.snapshot_rows:
        for image in row["images"]:
            image["twins"] = image["pixels"]
    assert "V34" in world.audit(forged).failed


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


@pytest.mark.parametrize(
    ("cost", "accepted"),
    [("0", False), ("1.999999", False), ("2", True), ("31.5", True)],
)
def test_v35_a_call_costs_at_least_its_shortest_answer_and_one_token_of_prompt(
    world: World, forged: BundleParts, cost: str, accepted: bool
) -> None:
    shortest = min(row["adapter"]["tokens"] for row in forged.predictions)
    price = canonical.decimal(Decimal(2000) / (1 + shortest))
    forged.lock["evaluation"]["cost"] = {"kind": "per_token", "usd_per_1000_tokens": price}

    def stating(said: dict[str, Any]) -> None:
        claim = said[predicates.KSCORE]
        claim["inputs"]["cost_usd_per_call"] = cost
        follow(claim)

    answers = world.audit(forged, change=stating, policy=BUILT_IN._replace(gate="any"))
    assert answers.failed == (set() if accepted else {"V35"})


def follow(claim: dict[str, Any]) -> None:
    """Compute axes and composite of a K-score again from its inputs."""
    result = kscore_v1(claim["inputs"])
    claim["axes"], claim["composite"] = dict(result.axes), result.composite


def with_other_cases(world: World, **changes: Any) -> Answers:
    """The honest bundle with a second K-score by the same signer about somebody else's cases."""
    said = world.parts.predicates()
    claim = said[predicates.KSCORE]
    claim["pack"] = {"owner": "evaluator", "root": digest.of_bytes(b"other cases")}
    claim["evaluation"] = digest.of_bytes(b"another evaluation")
    claim["inputs"]["accuracy"] = "0.9"
    score(**changes)(said)
    if "composite" not in changes:
        follow(claim)
    stated = making.statement(world.parts.content_id(), "toy", predicates.KSCORE, claim)
    extra = making.seal(stated, world.publisher)
    return world.audit(claims=[*world.parts.claims(world.publisher), extra])


def test_a_score_on_other_cases_is_said_to_be_its_signers_measurement(world: World) -> None:
    answers = with_other_cases(world)
    assert answers.overall is Verdict.OK
    for number in ("V35", "V36", "V37"):
        assert "as publisher measured on cases that are not in the bundle" in answers[number].detail


def overlap(**changes: Any) -> dict[str, Any]:
    """What an evaluator says of a pack of ten cases."""
    return {
        "cases": 10, "seen_cases": 3, "captures": 2, "images": 3, "near_twins": None, **changes
    }  # fmt: skip


def test_v35_says_what_of_another_pack_was_trained_on(world: World) -> None:
    told = with_other_cases(world)["V35"].detail
    assert "overlap with training not stated" in told
    told = with_other_cases(world, pack__overlap=overlap())["V35"].detail
    assert "3 of 10 cases seen in training, near twins not looked at" in told
    told = with_other_cases(world, pack__overlap=overlap(near_twins=1))["V35"].detail
    assert "1 more picture with a near twin" in told


def test_v35_the_bundles_own_cases_state_no_overlap(world: World) -> None:
    assert "V35" in world.audit(change=score(pack__overlap=overlap())).failed


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("V35", {"inputs__size_bytes": 1}),
        ("V35", {"inputs__cost_usd_per_call": "0.001"}),
        ("V35", {"inputs__p95_latency_us": 1}),
        ("V35", {"pack__overlap": overlap(seen_cases=11)}),
        ("V35", {"pack__overlap": overlap(captures=4)}),
        ("V36", {"composite": "0.9999"}),
        ("V37", {"gate__k": "0.1"}),
        ("V37", {"gate__k_passed": False}),
        ("V37", {"gate__floors_passed": False}),
        ("V37", {"gate__verdict": "failed"}),
    ],
)
def test_a_score_on_other_cases_holds_where_it_can_be_recomputed(
    world: World, number: str, changes: dict[str, Any]
) -> None:
    assert with_other_cases(world, **changes).failed == {number}


@pytest.mark.parametrize("change", [score(composite="0.9999"), score(axes__S="1")])
def test_v36_an_edited_composite_or_axis_is_refused(world: World, change: Any) -> None:
    assert world.audit(change=change).failed == {"V36"}


@pytest.mark.parametrize(
    "change", [score(gate__verdict="failed"), score(gate__k="0.1"), score(gate__k_passed=False)]
)
def test_v37_an_edited_gate_is_refused(world: World, change: Any) -> None:
    assert "V37" in world.audit(change=change).failed


def test_floors_that_are_switched_off_are_no_tests(world: World, forged: BundleParts) -> None:
    floors = forged.lock["evaluation"]["floors"]
    floors.update({name: None for name in floors if name != "worst_slice_minimum_cases"})
    forged.rescore()
    said = forged.predicates()
    assert said[predicates.KSCORE]["gate"] == {
        "k": None, "k_passed": None, "floors_passed": True, "verdict": "passed",
    }  # fmt: skip
    assert said[predicates.TEST_RESULT]["passedTests"] == []
    audit = world.audit(forged)
    assert not audit.failed & {f"V{number:02}" for number in range(1, 40)}

    def claim_a_test(said: dict[str, Any]) -> None:
        said[predicates.TEST_RESULT]["passedTests"] = ["above_blind", "k"]

    assert "V18" in world.audit(forged, change=claim_a_test).failed

    def claim_a_demand(said: dict[str, Any]) -> None:
        said[predicates.KSCORE]["gate"].update(k="0.1", k_passed=True)

    assert "V37" in world.audit(forged, change=claim_a_demand).failed


def test_v37_a_gate_that_passes_over_a_missed_floor_is_refused(
    world: World, forged: BundleParts
) -> None:
    forged.lock["evaluation"]["floors"]["accuracy_lower_bound"] = "0.99"
    forged.rescore()

    def lie(said: dict[str, Any]) -> None:
        said[predicates.KSCORE]["gate"].update(floors_passed=True, verdict="passed")

    assert "V37" in world.audit(forged, change=lie).failed


ANY_SCORES = BUILT_IN._replace(
    reach=("delta_scope",), minimum_eval_cases=None, lower_bound_above=None
)


def withhold(parts: BundleParts) -> BundleParts:
    """The same, with prompts and references left out."""
    parts.withhold()
    return parts


def store_of(parts: BundleParts, cases: list[dict[str, Any]] | None = None) -> Pictures:
    return Pictures.of(parts, [canonical.dumps(case) for case in cases or parts.cases])


def test_v38_withheld_text_leaves_scores_attested(world: World, forged: BundleParts) -> None:
    answers = world.audit(withhold(forged), policy=ANY_SCORES)
    assert {"V30", "V32", "V33", "V38"} <= answers.skipped
    assert answers.overall is Verdict.OK
    scores = answers.report.conclusions.scores
    assert (scores.verdict, scores.evidence) == (Verdict.NOT_CHECKED, Evidence.ATTESTED)
    assert scores.by == ("publisher",)
    assert answers["V35"].evidence is Evidence.ATTESTED


def test_published_text_gives_recomputed_scores(world: World) -> None:
    answers = world.audit()
    scores = answers.report.conclusions.scores
    assert (scores.verdict, scores.evidence) == (Verdict.OK, Evidence.RECOMPUTED)
    assert answers["V35"].evidence is Evidence.RECOMPUTED


def test_withheld_text_does_not_pass_the_built_in_policy(world: World, forged: BundleParts) -> None:
    answers = world.audit(withhold(forged))
    assert not answers.failed
    assert answers.blind == {"V62", "V65"}


def test_v33_an_evaluation_that_its_stated_scores_do_not_give_is_refused(
    world: World, forged: BundleParts
) -> None:
    """The predictions say that nothing is right, evaluation.json that everything is."""
    said = copy.deepcopy(forged.evaluation)
    for row in forged.predictions:
        row["adapter"]["output"] = "nonsense"
    forged.rescore()
    forged.evaluation = said
    answers = world.audit(withhold(forged), policy=ANY_SCORES)
    assert answers.failed == {"V33"}
    assert answers.report.conclusions.scores.verdict is Verdict.FAILED


@pytest.mark.parametrize("field", ["adapter", "base", "blind", "paired", "covered", "images"])
def test_v33_what_the_stated_scores_imply_is_always_recomputed(
    world: World, forged: BundleParts, field: str
) -> None:
    other = forged.copy()
    for row in other.predictions[:2]:
        for run in ("adapter", "base", "blind"):
            row[run].update(finish="length", tokens=16)
    other.rescore()
    value = 1 if field == "images" else other.evaluation[field]
    assert forged.evaluation[field] != value or field == "blind"
    if field == "blind":
        value = {**value, "accuracy": "0.5"}
    forged.evaluation[field] = value
    assert "V33" in world.audit(withhold(forged), policy=ANY_SCORES).failed


@pytest.mark.parametrize(
    "said",
    [
        {"score": "0.5"},
        {"covered": False, "score": "1"},
        {"finish": "length", "tokens": 16, "covered": True},
    ],
)
def test_v32_a_stated_score_that_no_reference_gives_is_refused(
    world: World, forged: BundleParts, said: dict[str, Any]
) -> None:
    forged.predictions[0]["blind"].update(said)
    assert "V32" in world.audit(withhold(forged), policy=ANY_SCORES).failed


def test_v32_equal_outputs_with_unequal_scores_are_refused(
    world: World, forged: BundleParts
) -> None:
    row = next(row for row in forged.predictions if row["base"]["score"] == "1")
    assert row["base"]["output"] == row["adapter"]["output"]
    row["base"]["score"] = "0"
    assert "V32" in world.audit(withhold(forged), policy=ANY_SCORES).failed


def test_withheld_cases_are_read_from_the_capture_store(world: World, forged: BundleParts) -> None:
    answers = world.audit(withhold(forged), captures=store_of(forged))
    assert not answers.failed
    assert answers.blind == {"V47"}  # this store has no training captures
    scores = answers.report.conclusions.scores
    assert (scores.verdict, scores.evidence) == (Verdict.OK, Evidence.RECOMPUTED)
    assert answers["V35"].evidence is Evidence.RECOMPUTED


def test_scores_invented_over_withheld_text_are_refused_with_the_store(
    world: World, forged: BundleParts
) -> None:
    for row in forged.predictions:
        row["adapter"]["output"] = "nonsense"
    said = copy.deepcopy(forged.evaluation)
    forged.evaluation = said  # as if every answer were right, row by row
    store = store_of(forged)
    withhold(forged)
    assert not world.audit(forged, policy=ANY_SCORES).failed
    assert {"V32", "V33"} <= world.audit(forged, captures=store).failed


def test_v30_a_withheld_case_that_the_store_does_not_hold_could_not_be_looked_at(
    world: World, forged: BundleParts
) -> None:
    answers = world.audit(withhold(forged), captures=store_of(forged, forged.cases[1:]))
    assert {"V30", "V62", "V65"} <= answers.blind
    assert answers.report.conclusions.scores.verdict is Verdict.COULD_NOT_LOOK


def test_v30_withheld_cases_that_the_lock_does_not_name_are_refused(
    world: World, forged: BundleParts
) -> None:
    withhold(forged)
    forged.lock["data"]["cases"] = digest.of_bytes(b"other cases")
    assert "V30" in world.audit(forged, captures=store_of(forged)).failed


def test_v30_a_capture_of_the_store_that_is_none_is_refused(
    world: World, forged: BundleParts
) -> None:
    case = {**forged.cases[0], "surprise": 1}
    forged.declare([case, *forged.cases[1:]])
    assert "V30" in world.audit(withhold(forged), captures=store_of(forged)).failed


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

    from kolm.verify.policy import BUILT_IN

    answers = world.audit(policy=BUILT_IN._replace(floors={"beauty": "1"}))
    assert "V62" in answers.blind


def test_v62_one_evaluators_measurements_can_be_named(world: World) -> None:

    from kolm.verify.policy import BUILT_IN

    keyid = world.publisher.public.keyid
    named = BUILT_IN._replace(measurements=keyid, floors={"k": "0.1"})
    assert world.audit(policy=named).overall is Verdict.OK
    other = BUILT_IN._replace(measurements="0" * 64, floors={"k": "0.1"})
    assert "V62" in world.audit(policy=other).blind
