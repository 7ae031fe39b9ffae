"""The one function that evaluation and verification share, on cases that a hand can work out."""

import copy
import time
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from kolm import canonical, digest, schema
from kolm.errors import Refused
from kolm.score.cases import Case, build_cases, read_cases
from kolm.score.evaluation import evaluate, find_mismatches, swapped_references
from kolm.score.judge import Judge
from kolm.score.predictions import score_row
from kolm.score.rounding import millionths, written

FLOORS = {
    "accuracy_lower_bound": "0.8",
    "clustered_lower_bound": "0.75",
    "worst_slice": "0.7",
    "worst_slice_minimum_cases": 30,
    "better_than_base_p": "0.05",
    "above_blind": "0.1",
    "above_majority": "0.1",
    "f1": None,
    "k": "0.85",
}
SETTINGS: dict[str, Any] = {
    "metric": {"kind": "exact"},
    "max_new_tokens": 4,
    "batch_size": 8,
    "floors": FLOORS,
    "cost": {"kind": "local"},
}


def capture(
    number: int, reference: str, *, tags: tuple[str, ...] = (), **image: Any
) -> dict[str, Any]:
    name = digest.of_bytes(f"image {image.get('picture', number)}".encode())
    return {
        "images": [
            {
                "bytes": 100,
                "file": name,
                "height": image.get("height", 64),
                "media_type": "image/png",
                "orientation": 1,
                "pixels": name,
                "width": image.get("width", 64),
            }
        ],
        "license": "MIT",
        "messages": [
            {"content": [{"text": f"question {number}", "type": "text"}], "role": "user"},
            {"content": [{"text": reference, "type": "text"}], "role": "assistant"},
        ],
        "source": {"kind": "test", "name": "test"},
        "split": "eval",
        "tags": sorted(tags),
    }


def asking(number: int, question: str, reference: str) -> dict[str, Any]:
    made = capture(number, reference)
    made["messages"][0]["content"][0]["text"] = question
    return made


def outcome(output: str, *, tokens: int = 2, finish: str = "stop") -> dict[str, Any]:
    return {"output": output, "tokens": tokens, "finish": finish}


def pack(
    rows: list[tuple[dict[str, Any], str, str, str]], settings: dict[str, Any] = SETTINGS
) -> tuple[list[dict[str, Any]], Any]:
    """Prediction rows and cases from (capture, adapter, base, blind) answers."""
    captures = {digest.of_value(row[0]): row for row in rows}
    cases = build_cases((name, row[0]) for name, row in captures.items())
    predictions = []
    for case in sorted(cases, key=lambda case: case.case):
        _, adapter, base, blind = captures[case.case]
        row = {
            "case": case.case,
            "batch": 0,
            "cut": 0,
            "adapter": outcome(adapter),
            "base": outcome(base),
            "blind": outcome(blind),
        }
        predictions.append(score_row(row, case, Judge(settings)))
    return predictions, cases


def many(count: int = 100) -> list[tuple[dict[str, Any], str, str, str]]:
    """100 cases: the adapter gets 96, the base 50, the blind run 40; 'yes' is the answer to 60."""
    rows = []
    for i in range(count):
        share = i * 100 // count
        reference = "yes" if share % 5 < 3 else "Circle"
        wrong = "square"
        rows.append(
            (
                capture(i, reference, tags=("even",) if i % 2 == 0 else (), picture=i // 4),
                reference if share >= 4 else wrong,
                reference if share < 50 else wrong,
                reference if share < 40 else wrong,
            )
        )
    return rows


def test_the_document_fits_its_schema_and_counts_by_hand() -> None:
    predictions, cases = pack(many())
    for row in predictions:
        schema.check("predictions_row", row, where="row")
    document = evaluate(predictions, cases, SETTINGS)
    schema.check("evaluation", document, where="evaluation.json")
    assert canonical.dumps(document)
    assert (document["cases"], document["covered"], document["images"]) == (100, 100, 25)
    assert document["adapter"]["accuracy"] == "0.96"
    assert document["base"]["accuracy"] == "0.5"
    assert document["blind"]["accuracy"] == "0.4"
    assert document["majority"]["answer"] == "yes"
    assert document["majority"]["accuracy"] == "0.6"
    assert document["adapter"]["interval"]["method"] == "wilson"
    assert document["paired"]["adapter_only"] == 50
    assert document["paired"]["base_only"] == 4
    slices = {(part["kind"], part["value"]): part for part in document["slices"]}
    assert slices["answer_type", "boolean"]["cases"] == 60
    assert slices["answer_type", "text"]["cases"] == 40
    assert slices["image_size", "small"]["cases"] == 100
    assert slices["tag", "even"]["cases"] == 50
    assert document["floors_passed"] is True


def worded(*said: tuple[str, str]) -> list[Case]:
    """Cases from (question, reference)."""
    return [Case("c", (text,), (), (), "none", "text", b"", asked.encode()) for asked, text in said]


def test_answers_are_held_against_the_next_case_that_asks_the_same() -> None:
    """By hand: what has one reference (`on?`, `car?`) is as one question, and each goes round."""
    cases = worded(
        ("colour?", "red"), ("on?", "yes"), ("colour?", "blue"), ("car?", "Audi"), ("on?", "Yes."),
        ("colour?", "red"),
    )  # fmt: skip
    swapped = [sought for (sought,) in swapped_references(cases)]
    assert swapped == ["blue", "Audi", "red", "Yes.", "yes", "red"]
    assert swapped_references(worded(("colour?", "red"))) == [("red",)]


COLOURS = ("red", "red", "red", "blue", "blue", "green")


@pytest.mark.parametrize(
    "answer",
    ["red, blue or green", "red or blue", "red"],
    ids=["lists every answer", "lists the frequent half", "gives the most frequent one"],
)
def test_answers_that_follow_from_the_question_score_as_much_on_swapped_references(
    answer: str,
) -> None:
    """Exactly as much, whatever the order of the cases is and whatever else is asked."""
    settings = {**SETTINGS, "metric": {"kind": "contains"}}
    colours = [(asking(n, "Which colour?", text), answer) for n, text in enumerate(COLOURS * 4)]
    counts = [(asking(50 + n, "How many?", str(n % 3)), "0, 1") for n in range(20)]
    rows = [(row, said, "", "") for row, said in colours + counts]
    document = evaluate(*pack(rows, settings), settings)
    right = sum(text in answer for text in COLOURS * 4) + sum(n % 3 < 2 for n in range(20))
    assert document["adapter"]["accuracy"] == written(millionths(Fraction(right, 44)))
    assert document["swapped"] == document["adapter"]


def test_answers_that_follow_from_the_picture_score_less_on_swapped_references() -> None:
    cases = [(asking(n, "Which colour?", text), text, "", "") for n, text in enumerate(COLOURS * 4)]
    document = evaluate(*pack(cases), SETTINGS)
    ordered = [said for row, said, *_ in sorted(cases, key=lambda case: digest.of_value(case[0]))]
    same = sum(one == other for one, other in pairwise([*ordered, ordered[0]]))
    assert document["adapter"]["accuracy"] == "1"
    assert document["swapped"]["accuracy"] == written(millionths(Fraction(same, 24)))
    assert same < 16


@pytest.mark.parametrize(
    ("floor", "demand"),
    [
        ("accuracy_lower_bound", "0.95"),
        ("clustered_lower_bound", "0.95"),
        ("worst_slice", "0.99"),
        ("better_than_base_p", "0"),
        ("above_blind", "0.6"),
        ("above_majority", "0.4"),
    ],
)
def test_each_floor_can_fail_alone(floor: str, demand: str) -> None:
    predictions, cases = pack(many())
    settings = {**SETTINGS, "floors": {**FLOORS, floor: demand}}
    document = evaluate(predictions, cases, settings)
    failed = [part["name"] for part in document["floors"] if part["passed"] is False]
    assert failed == [floor]
    assert document["floors_passed"] is False


def test_a_floor_met_exactly_passes() -> None:
    predictions, cases = pack(many())
    settings = {**SETTINGS, "floors": {**FLOORS, "above_blind": "0.56", "above_majority": "0.36"}}
    floors = {part["name"]: part for part in evaluate(predictions, cases, settings)["floors"]}
    assert floors["above_blind"] == {
        "name": "above_blind",
        "demanded": "0.56",
        "observed": "0.56",
        "passed": True,
    }
    assert floors["above_majority"]["passed"] is True


@pytest.mark.parametrize("name", sorted(FLOORS.keys() - {"worst_slice_minimum_cases", "k", "f1"}))
def test_a_floor_that_is_switched_off_is_observed_and_demands_nothing(name: str) -> None:
    predictions, cases = pack([(row, "wrong", "wrong", "wrong") for row, *_ in many()])
    out_of_reach = {**FLOORS, "above_blind": "1", "above_majority": "1"}
    demanding = evaluate(predictions, cases, {**SETTINGS, "floors": out_of_reach})
    assert not demanding["floors_passed"]
    off = evaluate(predictions, cases, {**SETTINGS, "floors": {**out_of_reach, name: None}})
    before = {part["name"]: part for part in demanding["floors"]}
    after = {part["name"]: part for part in off["floors"]}
    assert after[name] == {**before[name], "demanded": None, "passed": None}
    assert {**after, name: before[name]} == before
    none = dict.fromkeys(FLOORS, None) | {"worst_slice_minimum_cases": 30}
    assert evaluate(predictions, cases, {**SETTINGS, "floors": none})["floors_passed"]


def test_a_worse_adapter_never_passes_better_than_base() -> None:
    swapped = [(row, base, adapter, blind) for row, adapter, base, blind in many()]
    predictions, cases = pack(swapped)
    floors = {part["name"]: part for part in evaluate(predictions, cases, SETTINGS)["floors"]}
    assert floors["better_than_base_p"]["observed"] == "0"
    assert floors["better_than_base_p"]["passed"] is False


def test_small_slices_are_measured_but_not_judged() -> None:
    rows = many()
    rows.append((capture(1000, "rare", tags=("rare",)), "wrong", "wrong", "wrong"))
    predictions, cases = pack(rows)
    document = evaluate(predictions, cases, SETTINGS)
    rare = next(part for part in document["slices"] if part["value"] == "rare")
    assert (rare["cases"], rare["accuracy"]) == (1, "0")
    worst = next(part for part in document["floors"] if part["name"] == "worst_slice")
    assert worst["passed"] is True


def test_without_a_large_enough_slice_the_whole_set_is_the_worst_slice() -> None:
    predictions, cases = pack(many(20))
    document = evaluate(predictions, cases, SETTINGS)
    worst = next(part for part in document["floors"] if part["name"] == "worst_slice")
    assert worst["observed"] == document["adapter"]["accuracy"]


def test_a_tag_a_case_does_not_make_the_document_grow_without_bound() -> None:
    rows = [
        (capture(i, "a", tags=(f"t{i:04}", "common")), "a", "a", "a")  # one tag of its own each
        for i in range(300)
    ]
    predictions, cases = pack(rows)
    slices = evaluate(predictions, cases, SETTINGS)["slices"]
    tags = [part["value"] for part in slices if part["kind"] == "tag"]
    assert tags == ["common", *(f"t{i:04}" for i in range(255))]


def test_an_answer_that_was_cut_is_not_covered_and_scores_nothing() -> None:
    predictions, cases = pack(many())
    changed = copy.deepcopy(predictions)
    right = next(row for row in changed if row["adapter"]["score"] == "1")
    right["adapter"]["finish"] = "length"
    document = evaluate(changed, cases, SETTINGS)
    assert document["covered"] == 99
    assert document["adapter"]["accuracy"] == "0.95"


def test_more_tokens_than_the_limit_are_not_covered() -> None:
    predictions, cases = pack(many())
    changed = copy.deepcopy(predictions)
    changed[0]["adapter"]["tokens"] = 5
    assert evaluate(changed, cases, SETTINGS)["covered"] == 99


def test_ties_of_the_majority_go_to_the_first_in_code_point_order() -> None:
    rows = [(capture(i, text), text, text, text) for i, text in enumerate(["b", "A", "a", "B"])]
    predictions, cases = pack(rows)
    assert evaluate(predictions, cases, SETTINGS)["majority"]["answer"] == "a"


def test_stated_scores_are_never_read() -> None:
    predictions, cases = pack(many())
    honest = evaluate(predictions, cases, SETTINGS)
    forged = copy.deepcopy(predictions)
    for row in forged:
        row["adapter"]["score"], row["adapter"]["covered"] = "1", True
    assert evaluate(forged, cases, SETTINGS) == honest
    found = list(find_mismatches(forged, cases, SETTINGS))
    assert len(found) == 4
    assert {(m.run, m.field, m.stated, m.computed) for m in found} == {
        ("adapter", "score", "1", "0")
    }
    assert list(find_mismatches(predictions, cases, SETTINGS)) == []


def test_an_edited_output_changes_the_evaluation() -> None:
    predictions, cases = pack(many())
    edited = copy.deepcopy(predictions)
    wrong = next(row for row in edited if row["adapter"]["score"] == "0")
    reference = next(case.reference for case in cases if case.case == wrong["case"])
    wrong["adapter"]["output"] = reference
    assert evaluate(edited, cases, SETTINGS) != evaluate(predictions, cases, SETTINGS)


@pytest.mark.parametrize("defect", ["missing", "twice", "foreign", "unsorted"])
def test_rows_must_be_the_declared_cases(defect: str) -> None:
    predictions, cases = pack(many())
    rows: list[dict[str, Any]] = copy.deepcopy(predictions)
    if defect == "missing":
        rows.pop(7)
    elif defect == "twice":
        rows.append(rows[-1])
    elif defect == "foreign":
        rows[3]["case"] = "sha256:" + "0" * 64
    else:
        rows.reverse()
    with pytest.raises(Refused) as caught:
        evaluate(rows, cases, SETTINGS)
    assert caught.value.code == "E_PREDICTIONS_CASE"


def test_the_last_row_missing_is_seen_too() -> None:
    predictions, cases = pack(many())
    with pytest.raises(Refused, match="declared cases"):
        evaluate(predictions[:-1], cases, SETTINGS)


def test_no_cases_is_an_error_and_not_a_perfect_score() -> None:
    with pytest.raises(Refused) as caught:
        evaluate([], (), SETTINGS)
    assert caught.value.code == "E_EVALUATION_EMPTY"


def test_the_order_of_cases_does_not_matter() -> None:
    predictions, cases = pack(many())
    assert evaluate(predictions, cases[::-1], SETTINGS) == evaluate(predictions, cases, SETTINGS)


def test_relaxed_metric_goes_through_the_same_path() -> None:
    settings = {**SETTINGS, "metric": {"kind": "relaxed", "tolerance": "0.05"}}
    rows = [(capture(0, "100"), "104", "106", "many"), (capture(1, "7%"), "0.07", "7", "7%")]
    predictions, cases = pack(rows, settings)
    document = evaluate(predictions, cases, settings)
    schema.check("evaluation", document, where="evaluation.json")
    assert (document["adapter"]["accuracy"], document["base"]["accuracy"]) == ("1", "0")
    assert document["blind"]["accuracy"] == "0.5"
    assert {part["value"] for part in document["slices"]} == {"number", "small"}


def test_cases_are_read_from_their_file_with_their_ids() -> None:
    captures = [row[0] for row in many(5)]
    data = canonical.dump_lines(captures)
    cases = read_cases(data)
    assert [case.case for case in cases] == [digest.of_value(item) for item in captures]
    assert [case.reference for case in cases] == ["yes", "yes", "yes", "yes", "yes"]


def test_a_case_names_each_picture_once_and_may_have_none() -> None:
    both, alone = capture(0, "a", picture=1), {**capture(4, "e"), "images": []}
    both["images"] += [*copy.deepcopy(both["images"]), *capture(1, "b", picture=2)["images"]]
    two, none = build_cases([("x", both), ("y", alone)])
    assert two.images == tuple(sorted({image["pixels"] for image in both["images"]}))
    assert (len(two.images), none.images, none.image_size) == (2, (), "none")


@pytest.mark.parametrize(
    ("width", "height", "bucket"),
    [(256, 256, "small"), (256, 257, "medium"), (1024, 1024, "medium"), (2048, 513, "large")],
)
def test_image_sizes_fall_into_buckets_by_pixels(width: int, height: int, bucket: str) -> None:
    (case,) = build_cases([("x", capture(0, "a", width=width, height=height))])
    assert case.image_size == bucket


@pytest.mark.parametrize(
    ("reference", "kind"),
    [("Yes.", "boolean"), ("no", "boolean"), ("3", "number"), ("12%", "number"), ("three", "text")],
)
def test_answer_types(reference: str, kind: str) -> None:
    (case,) = build_cases([("x", capture(0, reference))])
    assert case.answer_type == kind


def test_a_case_without_a_reference_is_refused() -> None:
    broken = capture(0, "a")
    broken["messages"].pop()
    with pytest.raises(Refused) as caught:
        build_cases([("x", broken)])
    assert caught.value.code == "E_CASE_REFERENCE"


def test_the_demo_size_takes_well_under_a_second() -> None:
    predictions, cases = pack(many(9673))
    begin = time.process_time()
    evaluate(predictions, cases, SETTINGS)
    assert time.process_time() - begin < 1.0


def test_questions_that_look_the_same_are_counted_once() -> None:
    texts = ["Is it red?", "Is it red?", "Is it red\u200b?", "Is it red??", "Is it blue?"]
    asked = [asking(n, text, "yes") for n, text in enumerate(texts)]
    for number, made in enumerate(asked):
        made["images"] = capture(number % 2, "yes")["images"]
        made["messages"][0]["content"].insert(0, {"image": 0, "type": "image"})
    predictions, cases = pack([(made, "yes", "no", "no") for made in asked])
    document = evaluate(predictions, cases, SETTINGS)
    assert (document["cases"], document["distinct_questions"]) == (5, 3)


def test_cut_prompts_are_the_rows_that_say_so() -> None:
    rows, cases = pack(many())
    rows[3]["cut"], rows[7]["cut"] = 1, 400
    assert evaluate(rows, cases, SETTINGS)["cut_prompts"] == 2


def yes_or_no(number: int, reference: str, adapter: str, base: str = "no") -> Any:
    return capture(number, reference), adapter, base, "yes"


def test_figures_count_over_all_cases_and_a_floor_on_f1_holds_the_adapters() -> None:
    """By hand: of three that are due, the adapter says yes to two and to one that is not."""
    rows = [
        yes_or_no(0, "yes", "Yes."), yes_or_no(1, "yes", "yes, it is"), yes_or_no(2, "yes", "no"),
        yes_or_no(3, "no", "yes"), yes_or_no(4, "no", "There is no dog"), yes_or_no(5, "no", "dog"),
    ]  # fmt: skip
    settings = {**SETTINGS, "metric": {"kind": "pope"}, "floors": {**FLOORS, "f1": "0.7"}}
    document = evaluate(*pack(rows, settings), settings)
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert [figures[name]["adapter"] for name in ("precision", "recall", "f1", "yes_ratio")] == [
        "0.666667", "0.666667", "0.666667", "0.5",
    ]  # fmt: skip
    assert figures["precision"]["base"] is None  # it never says yes
    assert figures["f1"]["base"] == "0"
    assert figures["recall"]["blind"] == "1"
    assert document["adapter"]["accuracy"] == "0.5"  # an answer that says neither is not right
    floor = document["floors"][-1]
    assert floor == {"name": "f1", "demanded": "0.7", "observed": "0.666667", "passed": False}
    schema.check("evaluation", document, where="evaluation")


def test_a_floor_on_f1_is_missed_where_the_metric_has_none() -> None:
    settings = {**SETTINGS, "floors": {**FLOORS, "f1": "0"}}
    floor = evaluate(*pack(many()), settings)["floors"][-1]
    assert floor == {"name": "f1", "demanded": "0", "observed": None, "passed": False}


def test_several_references_are_those_of_the_capture() -> None:
    row = {**capture(0, "red"), "references": ["crimson", "dark red"]}
    (case,) = build_cases([("x", row)])
    assert case.references == ("red", "crimson", "dark red")
    document = evaluate(*pack([(row, "Crimson.", "blue", "red")]), SETTINGS)
    assert [document[run]["accuracy"] for run in ("adapter", "base", "blind")] == ["1", "0", "1"]
    assert document["majority"]["answer"] == "red"


def test_references_that_list_every_answer_are_right_when_swapped_too() -> None:
    rows = []
    for number in range(20):
        one = {**capture(number, COLOURS[number % 6]), "references": ["blue", "green", "red"]}
        rows.append((one, "red", "blue", "green"))
    document = evaluate(*pack(rows), SETTINGS)
    assert document["adapter"]["accuracy"] == document["swapped"]["accuracy"] == "1"
