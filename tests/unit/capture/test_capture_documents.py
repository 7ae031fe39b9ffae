"""A capture has one canonical form and obeys its numbered rules."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings

from kolm import canonical, digest, whole_schema
from kolm.capture import documents, limits, rules, unfit
from kolm.errors import Refused
from kolm.records.capture import Correction, ImagePart, Message, Source, TextPart
from tests.support.captures import ANSWERS, captures
from tests.support.pictures import capture

VECTORS = Path(__file__).parents[2] / "vectors" / "capture"


@settings(deadline=None)
@given(captures())
def test_a_capture_is_the_same_after_its_canonical_bytes(value) -> None:
    sealed = documents.seal(value, where="here")
    assert documents.read(sealed.data, where="here") == value
    assert sealed.id == digest.of_bytes(sealed.data)
    assert canonical.dumps(documents.to_document(value)) == sealed.data


@settings(deadline=None)
@given(captures())
def test_a_known_form_is_filled_as_the_capture_is_written(value) -> None:
    whole = documents.seal_document(documents.to_document(value), where="here")
    assert documents.seal(value, where="here") == whole


@pytest.mark.parametrize("text", ["", "\ud800", "a" * limits.MAX_CAPTURE_BYTES])
def test_a_known_form_takes_no_text_that_a_capture_cannot_hold(text: str) -> None:
    turns = said("user", ImagePart(image=0), "what?"), said("assistant", "this")
    fine = capture(0)._replace(messages=turns)
    documents.seal(fine, where="here")
    bad = fine._replace(messages=(said("user", ImagePart(image=0), text), turns[1]))
    codes = {"": "E_ROW_FIELD", "\ud800": "E_CAPTURE_TEXT"}
    refused(bad, codes.get(text, "E_CAPTURE_TOO_LARGE"))


@settings(deadline=None)
@given(captures())
def test_a_form_is_known_of_whatever_the_rules_allow(value) -> None:
    assert documents._filled(value, "here") == documents.seal(value, where="here").data


def test_a_tag_that_reads_like_what_stands_for_a_text_is_a_tag() -> None:
    turns = said("user", ImagePart(image=0), "what?"), said("assistant", "this")
    value = capture(0)._replace(messages=turns, tags=('"messages":[', "a text"))
    assert documents.read(documents.seal(value, where="here").data, where="here") == value


@settings(deadline=None, max_examples=30)
@given(captures())
def test_the_schema_agrees_with_a_general_validator(value) -> None:
    jsonschema.Draft202012Validator(whole_schema.load("capture")).validate(
        documents.to_document(value)
    )


def refused(value, code: str = "E_CAPTURE_RULE") -> None:
    with pytest.raises(Refused) as caught:
        documents.seal(value, where="file:3")
    assert caught.value.code == code
    assert caught.value.where.startswith("file:3")


def said(role: str, *parts) -> Message:
    return Message(
        role=role, content=tuple(TextPart(text=p) if isinstance(p, str) else p for p in parts)
    )


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_an_empty_response_is_refused(text: str) -> None:
    refused(capture(0, response=text), "E_CAPTURE_EMPTY_RESPONSE")


@pytest.mark.parametrize(
    "text",
    ["[ANNOTATE: I can see {objects}]", "yes [TODO]", "[FILL IN: colour]", "[FILL_IN]", "[ TBD ]"],
)
def test_an_unfilled_template_is_refused(text: str) -> None:
    refused(capture(0, response=text), "E_CAPTURE_UNFILLED")


@pytest.mark.parametrize("text", ["[TODO [TODO x]", "[TODO\n[TBD]", "[ \n TODO see [1]"])
def test_a_template_is_found_behind_others(text: str) -> None:
    refused(capture(0, response=text), "E_CAPTURE_UNFILLED")


def test_a_text_full_of_beginnings_of_templates_is_read_once() -> None:
    began = time.process_time()
    rules.check_answer("[TODO" * 100_000, where="here")
    assert time.process_time() - began < 5  # once for each: minutes


@pytest.mark.parametrize("text", ["[1, 2]", "[todo] list", "ANNOTATE", "[TODOS]"])
def test_an_answer_with_brackets_is_no_template(text: str) -> None:
    documents.seal(capture(0, response=text), where="here")


@pytest.mark.parametrize(
    "roles",
    [
        ["user"], ["assistant", "user"], ["user", "user", "assistant"], ["system", "assistant"],
        ["user", "assistant", "user"], ["user", "system", "assistant"], ["system", "system"],
    ],
)  # fmt: skip
def test_turns_alternate_and_end_with_the_assistant(roles: list[str]) -> None:
    value = capture(messages=tuple(said(role, "text") for role in roles))
    refused(value, "E_CAPTURE_TURNS")


@pytest.mark.parametrize("roles", [["user"], ["system", "user"], ["user", "assistant", "user"]])
def test_a_question_that_nobody_answered_is_called_so(roles: list[str]) -> None:
    value = capture(messages=tuple(said(role, "text") for role in roles))
    with pytest.raises(Refused, match="the last turn has no assistant answer") as caught:
        documents.seal(value, where="rows.jsonl:1")
    assert "add the assistant's answer" in caught.value.hint


_MANY = tuple(f"{number:03}" for number in range(300))
_UNFIT: dict[str, list[Any]] = {
    "license": ["a licence of ours", "x" * 65],
    "messages": [(said("user", "a"), said("assistant", "b")) * 129],
    "references": [("",), _MANY],
    "rejected": [""],
    "source": [Source(kind="My Rows", name="a"), Source(kind="rows", name="a/b")],
    "tags": [("x" * 65,), ("",), _MANY, ("a\tb",)],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in _UNFIT.items() for value in values]
)
def test_what_a_schema_says_of_a_row_is_said_in_words(field: str, value: Any) -> None:
    with pytest.raises(
        Refused, match=re.escape(f"'{field}' is not {unfit.WANTED[field]}")
    ) as caught:
        documents.seal(capture(0)._replace(**{field: value}), where="rows.jsonl:1")
    assert (caught.value.code, caught.value.where) == ("E_ROW_FIELD", "rows.jsonl:1")
    assert caught.value.found


def test_the_words_about_a_row_have_the_figures_of_the_schema() -> None:
    fields = whole_schema.load("capture")["properties"]
    most = {name: str(part["maxItems"]) for name, part in fields.items() if "maxItems" in part}
    assert most.pop("images") == str(limits.MAX_IMAGES)  # said before a capture is made
    assert all(figure in unfit.WANTED[name].split() for name, figure in most.items())
    assert str(fields["tags"]["items"]["maxLength"]) in unfit.WANTED["tags"].split()
    assert str(fields["source"]["properties"]["name"]["maxLength"]) in unfit.WANTED["source"]


@pytest.mark.parametrize("places", [[], [1, 0], [0, 0], [0], [0, 1, 2], [0, 2]])
def test_each_image_is_shown_once_in_order(places: list[int]) -> None:
    parts = [ImagePart(image=place) for place in places]
    value = capture(0, 1, messages=(said("user", *parts, "see"), said("assistant", "yes")))
    refused(value, "E_CAPTURE_IMAGE_PLACES")


def test_two_texts_side_by_side_are_refused() -> None:
    refused(capture(messages=(said("user", "a", "b"), said("assistant", "c"))))


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_only_the_user_shows_images(role: str) -> None:
    messages = [said("system", "s"), said("user", "u"), said("assistant", "a")]
    at = 0 if role == "system" else 2
    messages[at] = said(role, ImagePart(image=0))
    refused(capture(0, messages=tuple(messages)))


@pytest.mark.parametrize("tags", [("b", "a"), ("a", "a")])
def test_tags_are_sorted_and_unique(tags: tuple[str, ...]) -> None:
    refused(capture(tags=tags))


def test_a_rejected_answer_differs_from_the_response() -> None:
    refused(capture(response="x", rejected="x"))
    refused(capture(response="x", rejected="  "))
    refused(capture(response="x", corrections=(Correction(start=0, end=1, replacement="x"),)))


@pytest.mark.parametrize(
    "spans",
    [[(0, 1, "m")], [(0, 9, "moon")], [(2, 1, "")], [(0, 2, "mo"), (1, 3, "on")]],
)
def test_corrections_turn_the_rejected_answer_into_the_response(spans) -> None:
    edits = tuple(Correction(start=s, end=e, replacement=r) for s, e, r in spans)
    refused(capture(response="moon", rejected="noon!", corrections=edits))


def test_right_corrections_are_taken() -> None:
    edits = (
        Correction(start=0, end=1, replacement="m"),
        Correction(start=4, end=5, replacement=""),
    )
    documents.seal(capture(response="moon", rejected="noon!", corrections=edits), where="here")


def test_text_that_has_no_utf8_form_is_refused() -> None:
    refused(capture(prompt="\ud800"), "E_CAPTURE_TEXT")


def test_a_capture_fits_a_line_of_evalcases() -> None:
    refused(capture(prompt="x" * limits.MAX_CAPTURE_BYTES), "E_CAPTURE_TOO_LARGE")
    assert limits.MAX_CAPTURE_BYTES <= canonical.MAX_LINE_BYTES


def test_the_schema_and_the_table_of_limits_say_the_same() -> None:
    whole = whole_schema.load("capture")
    image = whole["$defs"]["image"]["properties"]
    assert image["bytes"]["maximum"] == limits.MAX_IMAGE_BYTES
    assert image["width"]["maximum"] == image["height"]["maximum"] == limits.MAX_IMAGE_SIDE
    fields = whole["properties"]
    assert fields["images"]["maxItems"] == limits.MAX_IMAGES
    assert fields["messages"]["maxItems"] == limits.MAX_MESSAGES
    assert fields["tags"]["maxItems"] == limits.MAX_TAGS
    assert fields["tags"]["items"]["maxLength"] == limits.MAX_TAG_CHARACTERS
    assert fields["corrections"]["maxItems"] == limits.MAX_CORRECTIONS
    assert fields["source"]["properties"]["name"]["maxLength"] == limits.MAX_NAME_CHARACTERS
    assert whole["$defs"]["message"]["properties"]["content"]["maxItems"] == limits.MAX_PARTS


@pytest.mark.parametrize("path", sorted((VECTORS / "valid").glob("*.json")), ids=lambda p: p.stem)
def test_valid_vectors_are_read(path: Path) -> None:
    documents.read(path.read_bytes(), where=path.name)


@pytest.mark.parametrize("path", sorted((VECTORS / "invalid").glob("*.json")), ids=lambda p: p.stem)
def test_invalid_vectors_are_refused_for_the_reason_in_their_name(path: Path) -> None:
    with pytest.raises(Refused) as caught:
        documents.read(path.read_bytes(), where=path.name)
    assert caught.value.code == path.stem.split(".")[0]


def test_there_are_vectors_of_both_kinds() -> None:
    assert len(list((VECTORS / "valid").glob("*.json"))) >= 5
    assert len(list((VECTORS / "invalid").glob("*.json"))) >= 10


@given(ANSWERS)
def test_the_strategy_for_answers_gives_answers(text: str) -> None:
    rules.check_answer(text, where="here")
