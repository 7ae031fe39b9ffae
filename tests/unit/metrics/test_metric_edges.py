"""What each metric makes of answers at the edge of what it reads."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from kolm import canonical
from kolm.errors import Refused
from kolm.metrics import cider_d
from kolm.metrics.choice import Choice
from kolm.metrics.cider_d import CiderD
from kolm.metrics.iou import Iou
from kolm.metrics.json_f1 import JsonF1
from kolm.metrics.pope import Pope
from kolm.metrics.rouge_l import RougeL
from kolm.metrics.vqa import Vqa
from kolm.score.judge import Judge

EDGES = Path(__file__).parents[2] / "vectors" / "metrics" / "edges.jsonl"
LETTERS = Choice(("A", "B", "C", "D"))
COLOURS = Choice(("red", "dark red", "..."))


@pytest.mark.parametrize(
    ("text", "picked"),
    [("B", "B"), ("(b)", "B"), ("The answer is C, because", "C"), ("A or B", None), ("", None),
     ("E", None), ("B is what one would say if nothing else were there", None)],
)  # fmt: skip
def test_letters(text: str, picked: str | None) -> None:
    assert LETTERS.pick(text) == picked


def test_an_option_without_words_is_never_picked() -> None:
    assert COLOURS.pick("…") is None
    assert not COLOURS.score("", ("...",)).parsed
    assert COLOURS.pick("It is red") == "A"
    assert COLOURS.pick("dark red") is None  # both stand in it


@pytest.mark.parametrize(
    ("one", "other", "score"),
    [
        ('{"a": 12}', '{"a": "12"}', 1),
        ('{"a": 12.0, "b": null}', '{"a": 12}', 1),
        ('{"n": 123456789012345678901234567890}', '{"n": "123456789012345678901234567890"}', 1),
        ('{"a": ["x", "x"]}', '{"a": ["x"]}', Fraction(2, 3)),
        ('[{"a": 1}, {"a": 2}]', '[{"a": 2}, {"a": 1}]', 1),
        ('{"a": {"b": 1}}', '{"a.b": 1}', 0),
        ('{"a": true}', '{"a": "true"}', 1),
        ("{}", "no JSON", 0),
        ("{}", '{"a": ""}', 1),
    ],
)
def test_fields(one: str, other: str, score: int | Fraction) -> None:
    assert JsonF1().score(one, (other,)) == (Fraction(score), True)


@pytest.mark.parametrize("text", ["12", '"a"', "null", '{"a": 1', '{"a": NaN}', "[" * 99, "red"])
def test_what_is_no_object_has_no_fields(text: str) -> None:
    assert not JsonF1().score(text, ('{"a": 1}',)).parsed


@pytest.mark.parametrize(
    ("output", "right"),
    [("[0, 0, 10, 10]", True), ("0 0 10 10", True), ("a (0,0,10,10), [1,1,2,2]", True),
     ("[0, 0, 10, 4]", False), ("[10, 10, 0, 0]", None), ("[1, 2, 3]", None), ("1 2 3 4 5", None)],
)  # fmt: skip
def test_boxes(output: str, right: bool | None) -> None:
    score = Iou(Fraction(1, 2)).score(output, ("[0, 0, 10, 10]",))
    assert score.parsed is (right is not None)
    assert score.value == (1 if right else 0)


def test_scripts_beside_latin() -> None:
    assert RougeL().score("кот на столе", ("кот на стуле",)).value == Fraction(2, 3)
    assert RougeL().score("हिन्दी भाषा", ("हिन्दी",)).value == Fraction(2, 3)
    assert not RougeL().score("…!", ("x",)).parsed


def test_yes_and_no() -> None:
    assert Pope().score("NO.", ("no",)).value == 1
    assert Pope().score("yes no", ("no",)).value == 1  # as the script has it
    assert not Pope().score("maybe", ("yes",)).parsed


def test_people_are_counted_and_of_one_nothing_is_left() -> None:
    assert Vqa().score("red", ("red",)).value == 0
    assert Vqa().score("Red.", ("red",) * 4).value == 1
    assert Vqa().score("red", ("red",) * 3 + ("blue",) * 7).value == Fraction(9, 10)


def test_a_pack_of_too_many_words_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cider_d, "MOST_WORDS", 8)
    CiderD().over([("a b c d",), ("e f g h",)])
    with pytest.raises(Refused) as caught:
        CiderD().over([("a b c d",), ("e f g h", "i")])
    assert caught.value.code == "E_CASE_WORDS"


@pytest.mark.parametrize("line", EDGES.read_bytes().splitlines(), ids=lambda line: line[-60:])
def test_what_the_format_says_where_no_published_scorer_does(line: bytes) -> None:
    row = canonical.loads(line, where="vector")
    settings: Any = {"metric": row["metric"], "max_new_tokens": 9, "batch_size": 1}
    references = tuple(row["references"])
    said = Judge(settings, [references]).judge_text(row["output"], references)
    assert (said.score, said.covered) == (row["score"], row["parsed"])


def test_a_fence_that_never_closes_costs_what_it_weighs() -> None:
    before = process_time()
    assert not JsonF1().score("```\n" + "\n" * 60_000 + "x", ("{}",)).parsed
    assert JsonF1().score("{}", ("```\n" + "\n" * 60_000 + "x```",)).value == 0
    assert process_time() - before < 1  # a pattern for it tries every end of every run


def test_an_answer_without_fields_is_nearest_to_a_reference_without_fields() -> None:
    figures = JsonF1().figures([(None, ('{"a": 1}', "{}")), ("{}", ("no JSON", '{"a": 1}', "[]"))])
    assert figures["recall"] == (0, 0)
    assert figures["exact_records"] == (1, 2)
