"""What is wrong with rows taken together is found and named."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm import digest
from kolm.capture import documents, hygiene
from kolm.capture.store import StoredCapture
from kolm.errors import Refused
from kolm.records.capture import Capture
from tests.support.pictures import capture


def stored(*values: Capture) -> list[StoredCapture]:
    rows = []
    for value in values:
        data = b"%d" % len(rows)
        rows.append(StoredCapture(id=digest.of_bytes(data), data=data, capture=value))
    return rows


def test_clean_rows_have_no_problems() -> None:
    rows = stored(capture(0), capture(0, prompt="else?"), capture(1, response="other"))
    assert hygiene.problems(rows) == []
    hygiene.demand_clean(rows)


def test_contradictory_answers_are_named_with_their_rows() -> None:
    rows = stored(capture(0), capture(0, response="that"), capture(1))
    [problem] = hygiene.problems(rows)
    assert problem.code == "E_CAPTURE_CONTRADICTION"
    assert problem.captures == tuple(sorted((rows[0].id, rows[1].id)))
    assert "'that', 'this'" in problem.message
    with pytest.raises(Refused) as caught:
        hygiene.demand_clean(rows)
    assert rows[0].id in caught.value.found
    assert rows[1].id in caught.value.found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (capture(0, response="Yes"), capture(0, response=" yes")),
        (capture(0, prompt="what?"), capture(0, prompt="why?", response="that")),
        (capture(0), capture(1, response="that")),
        (capture(0, 1), capture(1, 0, response="that")),
    ],
)
def test_other_questions_and_other_spellings_are_no_contradiction(left, right) -> None:
    assert hygiene.problems(stored(left, right)) == []


def test_the_prompt_is_compared_without_case_and_spaces() -> None:
    rows = stored(capture(0, prompt="What  is it?"), capture(0, prompt="what is it?", response="x"))
    assert len(hygiene.problems(rows)) == 1


@pytest.mark.parametrize(
    ("response", "code"),
    [("[ANNOTATE: x]", "E_CAPTURE_UNFILLED"), (" ", "E_CAPTURE_EMPTY_RESPONSE")],
)
def test_answers_that_say_nothing_are_named(response: str, code: str) -> None:
    [problem] = hygiene.problems(stored(capture(0, response=response)))
    assert problem.code == code


def test_many_problems_are_counted(tmp_path: Path) -> None:
    rows = stored(*[capture(0, prompt=f"{n}?", response="[TODO]") for n in range(30)])
    with pytest.raises(Refused) as caught:
        hygiene.demand_clean(rows)
    assert "30 problems" in caught.value.message
    assert "and 10 more" in caught.value.found


def test_a_sealed_capture_never_has_the_problems_of_one_row() -> None:
    with pytest.raises(Refused):
        documents.seal(capture(0, response="[TODO]"), where="here")


def test_a_case_that_would_be_scored_twice_is_refused_with_both_names() -> None:
    first = capture(0)
    rows = stored(first, first._replace(tags=("again",)), capture(1))
    hygiene.demand_clean(rows)  # fine to train on
    with pytest.raises(Refused) as caught:
        hygiene.demand_distinct(rows)
    assert caught.value.code == "E_CAPTURE_REPEATED"
    assert caught.value.found == f"{rows[0].id} and {rows[1].id}"
    hygiene.demand_distinct(rows[1:])
