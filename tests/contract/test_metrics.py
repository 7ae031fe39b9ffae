"""What every metric does, whatever it measures: a line in the table inherits this."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from fractions import Fraction
from itertools import product
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kolm import schema, whole_schema
from kolm.errors import KolmError, Refused, Unreadable
from kolm.metrics import METRICS, Metric, metric_of
from kolm.metrics.metric import HasFigures, OfPack
from kolm.records.verification import Verdict
from kolm.score.judge import LONGEST_OUTPUT_CHARACTERS, Judge
from kolm.spec.load import load_spec
from kolm.verify.checks.policy import accepts
from kolm.verify.policy import BUILT_IN, read_policy
from tests.support.audits import World

each_metric = pytest.mark.parametrize("kind", METRICS)
FORMS = whole_schema.load("metric")
CHOSEN = {
    form["properties"]["kind"]["const"]: form["properties"]
    for form in FORMS["$defs"]["chosen"]["anyOf"]
    if "properties" in form
}
# Options without a default, and what else than the default an option may be.
NEEDED: dict[str, dict[str, Any]] = {"regex": {"pattern": "(?:is )?([a-z0-9]+)"}}
OTHERS: dict[str, list[Any]] = {
    "choices": [["yes", "no"], ["12", "13", "a b"]],
    "pattern": ["[0-9]+", "([a-z])[a-z]*$"],
}
SHARES = ["0.1", "0.4", "0.9", "1"]
NASTY = (
    "", " ", ".", "yes", "Yes.", "12", "12%", "1e400", "-0", "0", "nan", "\x00", "\U0001f600",
    "\u0301", "a\u0323\u0301", "\ufb01", "\u1e9e", "\u200b", "x" * 200, "B", "no, B.",
    "[1, 2, 3, 4]",
    "[1, 2, 3, 5]", "[4, 3, 2, 1]", '{"a": [1, {"b": "x"}]}', '{"a": 1}', "{}", '{"a":1,"a":1}',
    "[" * 40, "```json\n{}\n```", "is a5 ", "a b c", "a c",
)  # fmt: skip


def defaults(kind: str) -> dict[str, Any]:
    """The metric as a lock states it when a spec says its name and what it must."""
    needed = NEEDED.get(kind)
    return load_spec(_spec({"kind": kind, **needed} if needed else kind)).evaluation.metric


def variants(kind: str) -> list[dict[str, Any]]:
    """The metric with other values of each of its options."""
    stated = defaults(kind)
    return [stated, *(
        {**stated, name: value} for name in _options(kind) for value in OTHERS.get(name, SHARES)
    )]  # fmt: skip


def _spec(metric: Any) -> dict[str, Any]:
    return {
        "kolm": 1,
        "name": "a",
        "base": "x",
        "data": {"captures": "c"},
        "evaluation": {"metric": metric},
    }


def _options(kind: str) -> list[str]:
    return [name for name in CHOSEN[kind] if name != "kind"]


def test_table_schema_and_names_are_one_list() -> None:
    stated = {form["properties"]["kind"]["const"] for form in FORMS["anyOf"]}
    names = FORMS["$defs"]["kind"]["enum"]
    assert names == sorted(METRICS)
    assert METRICS.keys() == stated == CHOSEN.keys()


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(Unreadable) as caught:
        metric_of({"kind": "bleu"})
    assert caught.value.code == "E_METRIC_UNKNOWN"
    assert caught.value.expected == ", ".join(sorted(METRICS))


@each_metric
def test_every_option_has_a_default_and_documents_take_what_a_spec_gives(kind: str) -> None:
    stated = defaults(kind)
    assert stated.keys() == {"kind", *_options(kind)}
    assert schema.checker("metric")(stated) is None
    for name in ("lock", "evaluation"):
        part: Any = whole_schema.load(name)["properties"]
        part = part["evaluation"]["properties"]["metric"] if name == "lock" else part["metric"]
        jsonschema.Draft202012Validator(part).validate(stated)
    if kind in NEEDED:
        with pytest.raises(KolmError):
            load_spec(_spec(kind))
    for named in (kind, stated):
        policy = {"schema": BUILT_IN.schema, "name": "p", "metrics": [named], "claims": [
            {"predicate": "urn:kolm:kscore:v1", "role": "evaluator", "threshold": 1}]}  # fmt: skip
        assert read_policy(policy, where="policy").metrics == (named,)
    for name in _options(kind):
        assert CHOSEN[kind][name]["description"].startswith(f"{kind}: ")
        if isinstance(stated[name], str):
            with pytest.raises(Refused):
                metric_of({**stated, name: stated[name] + ("(" if name == "pattern" else "0.")})


@each_metric
def test_options_of_others_are_refused(kind: str) -> None:
    assert schema.checker("metric")({**defaults(kind), "strictness": "1"}) is not None
    with pytest.raises(KolmError) as caught:
        load_spec(_spec({"kind": kind, "strictness": 1}))
    assert caught.value.code == "E_SPEC_UNKNOWN_KEY"


@each_metric
@given(output=st.text(max_size=12), reference=st.text(max_size=12))
@example(output="", reference="AS")
def test_a_score_is_an_exact_fraction_between_0_and_1(
    kind: str, output: str, reference: str
) -> None:
    _holds(metric_of(defaults(kind)), output, reference)


@each_metric
@given(output=st.sampled_from(NASTY), references=st.lists(st.sampled_from(NASTY), min_size=1))
def test_the_order_of_references_does_not_count(
    kind: str, output: str, references: list[str]
) -> None:
    metric = metric_of(defaults(kind))
    further = references[1:]
    score = metric.score(output, tuple(references))
    assert score == metric.score(output, (references[0], *reversed(further)))
    assert score.value == 0 or metric.least_credit <= score.value <= 1


@each_metric
def test_figures_are_shares_of_counts_and_of_nothing_have_no_value(kind: str) -> None:
    metric = metric_of(defaults(kind))
    if not isinstance(metric, HasFigures):
        return
    assert metric.figures([]).keys() == dict.fromkeys(metric.figure_names).keys()
    assert {whole for _, whole in metric.figures([]).values()} == {0}
    pairs = [(output, (reference,)) for output, reference in product((None, *NASTY), NASTY)]
    for share, whole in metric.figures(pairs).values():
        assert 0 <= share <= whole
    for share, whole in metric.figures([(None, ("yes", '{"a": 1}'))]).values():
        assert share == 0, whole


@each_metric
def test_nasty_texts_are_judged_like_others(kind: str) -> None:
    for output, reference in product(NASTY, repeat=2):
        _holds(metric_of(defaults(kind)), output, reference)


def _holds(metric: Metric, output: str, reference: str) -> None:
    alike = (reference,) * 4
    if isinstance(metric, OfPack):
        # A word of every case weighs nothing; this one is longer than the texts that are drawn.
        metric = metric.over([alike, ("photographically",)])
    score = metric.score(output, (reference,))
    assert type(score.value) is Fraction
    assert score == metric.score(output, (reference,))
    assert score.value == 0 or metric.least_credit <= score.value <= 1
    if reference.strip():  # as every capture's is
        assert metric.score(output, alike).value <= metric.score(reference, alike).value
    if metric.score(reference, alike).parsed:
        right = metric.score(reference, alike).value
        assert right == 1 or (isinstance(metric, OfPack) and right > 0)
        shortest = metric.shortest_right(reference)
        if shortest is not None:
            assert len(shortest) <= 3 * len(reference)  # folding can make a letter three
            assert metric.score(shortest, alike).value > 0
    if not output.strip():
        assert not score.parsed


@each_metric
def test_a_metric_that_is_no_laxer_gives_no_answer_more(kind: str) -> None:
    found = [metric_of(stated) for stated in variants(kind)]
    texts = ("12", "13", "yes", "yet", "no", "a b", "a c", "B", "[0, 0, 9, 9]", "[0, 0, 9, 5]")
    for one, other in product(found, repeat=2):
        assert one.no_laxer_than(one)
        assert one.no_laxer_than(other) or other.no_laxer_than(one) or _options(kind)
        if one.no_laxer_than(other):
            for output, reference in product(texts, repeat=2):
                strict, lax = (m.score(output, (reference,)).value for m in (one, other))
                assert strict <= lax


@each_metric
def test_a_policy_that_states_options_takes_none_that_are_laxer(kind: str) -> None:
    for one, other in product(variants(kind), repeat=2):
        taken = accepts([other], one)
        assert taken is metric_of(one).no_laxer_than(metric_of(other))
        assert accepts([kind], one)
        assert not accepts([k for k in METRICS if k != kind], one)


@each_metric
def test_hostile_texts_take_time_in_proportion(kind: str) -> None:
    """For any length of a reference; an output has at most so many characters."""
    metric = metric_of(defaults(kind))
    for letter in (
        "a", "9", " ", ".", "\u0301", "\ufdfa", "a ", "\u0301\u0323", "[", "[1 ", "[1,2,3,",
        "{\"a\":", "A ",
    ):  # fmt: skip
        output = (letter * LONGEST_OUTPUT_CHARACTERS)[:LONGEST_OUTPUT_CHARACTERS]
        spent = []
        for length in (20_000, 80_000):
            began = time.process_time()
            metric.score(output, (letter * length + "b",))
            metric.score(output[:-1] + "b", (letter * length,))
            spent.append(time.process_time() - began)
        assert spent[1] < 8 * spent[0] + 0.05, (letter, spent)
        assert spent[1] < 1, (letter, spent)


@each_metric
def test_another_process_gives_the_same(kind: str) -> None:
    """No table, order or seed of a process goes into a score."""
    code = (
        "from kolm.metrics import metric_of\n"
        f"m = metric_of({defaults(kind)!r})\n"
        f"print([m.score(a, (b,)) for a in {NASTY!r} for b in {NASTY!r}])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    metric = metric_of(defaults(kind))
    assert ran.stdout.strip() == str([metric.score(a, (b,)) for a, b in product(NASTY, repeat=2)])


@each_metric
def test_a_score_is_written_in_millionths(kind: str) -> None:
    judge = Judge({"metric": defaults(kind), "max_new_tokens": 4})
    for output, reference in product(NASTY, repeat=2):
        verdict = judge.judge({"output": output, "tokens": 1, "finish": "stop"}, (reference,))
        assert verdict.score_millionths in range(1_000_001)
        assert not math.isnan(float(verdict.score))


@each_metric
def test_a_bundle_scored_with_it_is_verified(
    kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    world = World.make(tmp_path_factory.mktemp(kind))
    world.parts.lock["evaluation"]["metric"] = defaults(kind)
    world.parts.rescore()
    answers = world.audit()
    assert answers.failed <= {"V62"}  # whether the toy's answers are good by it is not asked
    assert {answers[number].verdict for number in ("V32", "V33")} == {Verdict.OK}
    world.parts.predictions[0]["adapter"]["score"] = "0.123456"
    assert "V32" in world.audit().failed
