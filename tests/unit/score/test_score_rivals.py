"""A bundle beside somebody else on the same cases."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kolm import digest, whole_schema
from kolm.cli.scores import rival_lines
from kolm.score.evaluation import evaluate
from kolm.score.rivals import measure_rival, what_cannot_be
from tests.unit.score.test_score_evaluation import SETTINGS, capture, outcome, pack

WHO: Any = {
    "kind": "endpoint", "name": "m", "digest": None, "url": "http://127.0.0.1/v1",
    "said_by": ["m-1"], "instruction": "",
}  # fmt: skip
ANSWERS = digest.of_bytes(b"")


def measured(answers: list[tuple[str, str]], **settings: Any) -> tuple[Any, str]:
    """The rival's part of a claim, and the bundle's accuracy, from (bundle, rival) answers."""
    rule = {**SETTINGS, **settings}
    captures = [capture(number, "yes") for number in range(len(answers))]
    rows, cases = pack(
        [(row, own, "no", "no") for row, (own, _) in zip(captures, answers, strict=True)], rule
    )
    said = {
        digest.of_value(row): outcome(other)
        for row, (_, other) in zip(captures, answers, strict=True)
    }
    rival = measure_rival(WHO, said, rows, cases, rule, answers=ANSWERS)
    return rival, evaluate(rows, cases, rule)["adapter"]["accuracy"]


BOTH = [("yes", "yes"), ("yes", "no"), ("Yes.", ""), ("no", "yes"), ("yes", "yes, it is")]


def test_by_hand() -> None:
    rival, accuracy = measured(BOTH)
    assert accuracy == "0.8"
    assert rival["accuracy"] == "0.4"
    assert rival["covered"] == 4
    assert rival["paired"] == {
        "bundle_only": 3, "rival_only": 1, "p": "0.625", "method": "mcnemar-exact",
    }  # fmt: skip
    assert list(what_cannot_be(rival, accuracy, SETTINGS)) == []
    kind = whole_schema.load("kscore")
    assert kind["$defs"]["rival"]["required"] == sorted(rival)


def test_the_output_says_who_it_was_and_who_did_better() -> None:
    kscore: Any = {"rivals": [measured(BOTH)[0]]}
    assert rival_lines(kscore) == [
        "rival      m   accuracy 0.4   95 % 0.117621 to 0.769276   4 of 5 cases covered",
        "           only the bundle 3, only the rival 1, p 0.625",
    ]
    assert rival_lines({}) == []  # type: ignore[typeddict-item]


def test_its_answers_are_judged_as_the_bundles() -> None:
    rival, _ = measured([("no", "yes")] * 3, metric={"kind": "pope"})
    assert rival["accuracy"] == "1"
    assert {figure["name"]: figure["value"] for figure in rival["figures"]}["f1"] == "1"
    graded, _ = measured([("yes", "yes you")] * 3, metric={"kind": "rouge_l"})
    assert graded["accuracy"] == "0.666667"
    assert graded["paired"]["method"] == "sign-exact"


def test_an_answer_that_was_cut_is_not_covered() -> None:
    rows, cases = pack([(capture(0, "yes"), "yes", "no", "no")], SETTINGS)
    said = {cases[0].case: outcome("yes", finish="length")}
    rival = measure_rival(WHO, said, rows, cases, SETTINGS, answers=ANSWERS)
    assert (rival["covered"], rival["accuracy"]) == (0, "0")


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (("covered",), 6, "covered"),
        (("paired", "p"), "0.04", "paired/p"),
        (("paired", "bundle_only"), 5, "paired"),
        (("paired", "bundle_only"), 4, "paired/p"),
        (("accuracy",), "0.2", "paired"),
        (("interval", "low"), "0.5", "interval"),
        (("clustered", "low"), "0.5", "clustered"),
        (("paired", "method"), "sign-exact", "paired/method"),
    ],
)
def test_what_contradicts_itself_is_named(place: tuple[str, ...], value: Any, field: str) -> None:
    rival, accuracy = measured(BOTH)
    forged: Any = copy.deepcopy(rival)
    part = forged
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    assert field in [found for found, _, _ in what_cannot_be(forged, accuracy, SETTINGS)]
