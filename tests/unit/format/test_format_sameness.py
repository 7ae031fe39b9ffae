"""What a person would not see makes no difference between questions."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm import canonical
from kolm.format import sameness
from tools import sameness_table


@pytest.mark.parametrize(
    "text",
    [
        "What  color is it?", "what color is it", "What color is it ??", "What color is it?!",
        "\u200bWhat color\u00ad is it\u2060?", "What\u00a0color\u3000is\u2800it?",
        "\uff37\uff28\uff21\uff34 color is it\uff1f",
        "What color is it\ufe0f?", "What color is it…",
        "What\u034f color is\u3164 it\u115f?", "What color is it\x07",
    ],
)  # fmt: skip
def test_what_a_person_does_not_see_makes_no_difference(text: str) -> None:
    assert sameness.fold(text) == "what color is it"


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_folded_as_the_table_folds_it(text: str) -> None:
    by_table = sameness.fold("\u00e9" + text).removeprefix("e\u0301")
    assert sameness.fold("e" + text).removeprefix("e") == by_table


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("What is 5²?", "What is 52?"), ("Is it 5%?", "Is it 5?"), ("a b", "ab"),
        ("cafe?", "café?"), ("?", "."), ("Is it red?", "Is it read?"),
    ],
)  # fmt: skip
def test_what_a_person_sees_makes_a_difference(left: str, right: str) -> None:
    assert sameness.fold(left) != sameness.fold(right)


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cn")))


@given(TEXTS)
def test_folding_is_stable(text: str) -> None:
    assert sameness.fold(sameness.fold(text)) == sameness.fold(text)


@given(TEXTS, st.sampled_from(["NFC", "NFD"]))
def test_another_normal_form_is_the_same_question(text: str, form) -> None:
    assert sameness.fold(unicodedata.normalize(form, text)) == sameness.fold(text)


@pytest.mark.parametrize(
    "text", ["한국어", "ο\u0345\u0301", "ﬁ Å ①", "e\u0323\u0301", "e\u0301\u0323"]
)
def test_compatibility_forms_are_the_same_question(text: str) -> None:
    assert sameness.fold(unicodedata.normalize("NFKC", text)) == sameness.fold(text)


@pytest.mark.skipif(
    unicodedata.unidata_version != sameness_table.UNICODE, reason="this Python has other tables"
)
def test_the_table_is_what_its_script_makes() -> None:
    assert sameness_table.TARGET.read_bytes() == canonical.dumps(sameness_table.table())


def capture(prompt: str, answer: str = "red", *, pixels: str = "a", said: str | None = None):
    def text(role: str, value: str) -> dict[str, object]:
        return {"role": role, "content": [{"type": "text", "text": value}]}

    earlier = [] if said is None else [text("user", "What is it"), text("assistant", said)]
    asked = {
        "role": "user",
        "content": [{"type": "image", "image": 0}, {"type": "text", "text": prompt}],
    }
    return {
        "images": [{"pixels": pixels}],
        "messages": [*earlier, asked, text("assistant", answer)],
    }


def test_questions_are_counted_by_pictures_and_what_is_seen() -> None:
    asked = [
        capture("Color?"), capture("color"), capture("color\u200b?"), capture("Shape?"),
        capture("Color?", pixels="b"),
    ]  # fmt: skip
    assert len({sameness.question(capture) for capture in asked}) == 3


def test_answers_are_compared_as_they_are() -> None:
    assert sameness.answer(capture("a", "5%")) != sameness.answer(capture("a", "5"))
    assert sameness.answer(capture("a", "5.")) != sameness.answer(capture("a", "5"))
    assert sameness.answer(capture("a", " Red")) == sameness.answer(capture("a", "red"))
    before, after = capture("a", said="5."), capture("a", said="5")
    assert sameness.question(before) != sameness.question(after)
