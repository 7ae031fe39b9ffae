"""Laws of scoring that hold for any answers."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical, digest, schema
from kolm.metrics import metric_of
from kolm.metrics.exact import normalise
from kolm.metrics.numbers import parse_number
from kolm.score.cases import Case
from kolm.score.evaluation import RUNS, evaluate, evaluate_stated, find_impossible, find_mismatches
from kolm.score.judge import Judge
from kolm.score.predictions import score_row

FLOORS = {
    "accuracy_lower_bound": "0.8",
    "clustered_lower_bound": "0.75",
    "worst_slice": "0.7",
    "worst_slice_minimum_cases": 3,
    "better_than_base_p": "0.05",
    "above_blind": "0.1",
    "above_majority": "0.1",
    "f1": None,
    "k": "0.85",
}
METRICS = ({"kind": "exact"}, {"kind": "relaxed", "tolerance": "0.05"})

texts = st.one_of(
    st.sampled_from(["yes", "No.", "circle", "3", "3.1", "50%", "0", "", " ", "Ünï"]),
    st.text(max_size=6),
)
outcomes = st.fixed_dictionaries(
    {
        "output": texts,
        "tokens": st.integers(1, 5),
        "finish": st.sampled_from(["stop", "stop", "stop", "length"]),
    }
)


def _some_off(off: set[str]) -> dict[str, Any]:
    return {name: None if name in off else value for name, value in FLOORS.items()}


evaluations = st.builds(
    lambda metric, floors: {"metric": metric, "max_new_tokens": 4, "floors": floors},
    st.sampled_from(METRICS),
    st.sets(st.sampled_from(sorted(FLOORS.keys() - {"worst_slice_minimum_cases"}))).map(_some_off),
)


@st.composite
def packs(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[Case]]:
    count = draw(st.integers(1, 12))
    names = sorted(digest.of_bytes(str(i).encode()) for i in range(count))
    rows, cases = [], []
    for name in names:
        picture = digest.of_bytes(str(draw(st.integers(0, 4))).encode())
        cases.append(
            Case(
                case=name,
                references=(draw(texts),),
                tags=tuple(sorted(draw(st.sets(st.sampled_from("abc"), max_size=2)))),
                images=(picture,),
                image_size="small",
                answer_type=draw(st.sampled_from(["boolean", "number", "text"])),
                question=picture.encode(),
                wording=draw(st.sampled_from([b"a", b"b", b"c"])),
            )
        )
        rows.append({"case": name, "batch": 0, "cut": 0, **{run: draw(outcomes) for run in RUNS}})
    return rows, cases


@settings(deadline=None)
@given(packs(), evaluations)
def test_any_answers_give_a_document_that_fits_its_schema(pack: Any, rule: dict[str, Any]) -> None:
    rows, cases = pack
    document = evaluate(rows, cases, rule)
    schema.check("evaluation", document, where="evaluation.json")
    assert canonical.loads_canonical(canonical.dumps(document), where="it") == document
    for part in (*(document[run] for run in RUNS), document["majority"], *document["slices"]):
        low, high = Decimal(part["interval"]["low"]), Decimal(part["interval"]["high"])
        assert 0 <= low <= Decimal(part["accuracy"]) <= high <= 1
    assert document["floors_passed"] == all(
        floor["passed"] is not False for floor in document["floors"]
    )
    for kind in ("answer_type", "image_size"):
        assert sum(s["cases"] for s in document["slices"] if s["kind"] == kind) == len(cases)


@settings(deadline=None)
@given(packs(), evaluations)
def test_scored_rows_fit_their_schema_and_have_no_mismatch(pack: Any, rule: dict[str, Any]) -> None:
    rows, cases = pack
    judge = Judge(rule, [case.references for case in cases])
    scored = [score_row(row, case, judge) for row, case in zip(rows, cases, strict=True)]
    for row in scored:
        schema.check("predictions_row", row, where="row")
    assert list(find_mismatches(scored, cases, rule)) == []
    assert evaluate(scored, cases, rule) == evaluate(rows, cases, rule)


@settings(deadline=None)
@given(packs(), evaluations)
def test_the_stated_scores_imply_the_same_document(pack: Any, rule: dict[str, Any]) -> None:
    """Without references, and nothing that honest rows state is impossible."""
    rows, cases = pack
    judge = Judge(rule, [case.references for case in cases])
    scored = [score_row(row, case, judge) for row, case in zip(rows, cases, strict=True)]
    shown = {case.case: case.images for case in cases}
    document = evaluate(rows, cases, rule)
    assert evaluate_stated(scored, shown, rule, stated=document) == document
    assert list(find_impossible(scored, rule)) == []


@settings(deadline=None)
@given(packs(), evaluations, st.randoms(use_true_random=False))
def test_the_order_of_cases_never_matters(pack: Any, rule: dict[str, Any], random: Any) -> None:
    rows, cases = pack
    mixed = list(cases)
    random.shuffle(mixed)
    assert evaluate(rows, mixed, rule) == evaluate(rows, cases, rule)


@settings(max_examples=50, deadline=None)
@given(packs(), evaluations, st.data())
def test_a_right_answer_never_lowers_anything(pack: Any, rule: dict[str, Any], data: Any) -> None:
    rows, cases = pack
    index = data.draw(st.integers(0, len(rows) - 1))
    better = [dict(row) for row in rows]
    better[index]["adapter"] = {"output": cases[index].reference, "tokens": 1, "finish": "stop"}
    before, after = evaluate(rows, cases, rule), evaluate(better, cases, rule)
    if not normalise(cases[index].reference):
        return
    assert Decimal(after["adapter"]["accuracy"]) >= Decimal(before["adapter"]["accuracy"])
    assert Decimal(after["adapter"]["interval"]["low"]) >= Decimal(
        before["adapter"]["interval"]["low"]
    )
    assert after["covered"] >= before["covered"]
    assert (after["base"], after["blind"]) == (before["base"], before["blind"])


@given(texts, texts, st.sampled_from(METRICS))
def test_a_metric_is_bounded_and_unparsed_answers_earn_nothing(
    output: str, reference: str, metric: dict[str, Any]
) -> None:
    judge = metric_of(metric)
    score = judge.score(output, (reference,))
    assert 0 <= score.value <= 1
    if metric["kind"] == "exact":
        assert score.parsed == bool(normalise(output))
        assert score.value == int(score.parsed and normalise(output) == normalise(reference))
    if judge.score(reference, (reference,)).parsed:
        assert judge.score(reference, (reference,)).value == 1


@given(st.text(max_size=30))
def test_normalising_leaves_no_edge_or_double_space_and_ignores_case(text: str) -> None:
    normal = normalise(text)
    assert normal == " ".join(normal.split())
    assert normalise(f"  {text}\n") == normal
    assert normalise(normal + " .") == (normal or "")


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9
    )
)
def test_numbers_are_read_exactly(number: Decimal) -> None:
    parsed = parse_number(f" {number:f} ")
    assert parsed is not None
    assert Decimal(parsed.numerator) / Decimal(parsed.denominator) == number
    percent = parse_number(f"{number:f}%")
    assert percent is not None
    assert percent * 100 == parsed
