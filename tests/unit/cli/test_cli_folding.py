"""Lines that are wider than the terminal: where they break, and what never does."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.cli.folding import folded

DIGEST = "sha256:" + "5" * 64


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert folded("warning  of  two", 16) == ["warning  of  two"]


@pytest.mark.parametrize(
    ("line", "folds"),
    [
        ("hint     one two three four five six seven eight",
         ["hint     one two three four five six", "         seven eight"]),
        ("ok       data     one two three four five",
         ["ok       data     one two three four", "                  five"]),
        ("  plain words that go on and on and on", ["  plain words that go on and on and", "  on"]),
    ],
)  # fmt: skip
def test_what_follows_begins_below_the_text(line: str, folds: list[str]) -> None:
    assert folded(line, 37) == folds


@pytest.mark.parametrize(
    "command",
    [
        "kolm keys trust FILE --as NAME --role publisher --names 'a b'",
        "kolm compile 'my spec.yaml' --key own",
    ],
)
def test_a_command_after_a_colon_stays_whole_to_the_end(command: str) -> None:
    assert folded(f"hint     if you know whose key it is: {command}", 70) == [
        "hint     if you know whose key it is:",
        f"         {command}",
    ]


@pytest.mark.parametrize("width", range(20, 80))
def test_a_command_among_words_stays_whole(width: int) -> None:
    told = (
        "hint     --name makes another; kolm keys new --if-missing keeps it, kolm keys rotate FILE"
    )
    lines = folded(told, width)
    assert any("kolm keys new --if-missing" in line for line in lines)
    assert any("kolm keys rotate FILE" in line for line in lines)


def test_the_file_that_a_command_names_stays_whole() -> None:
    told = (
        "wrote own.policy.yaml: read it, change it, then  kolm policy check own.policy.yaml, or so"
    )
    assert folded(told, 80)[1] == "kolm policy check own.policy.yaml, or so"


def test_what_is_too_long_for_its_column_begins_further_left() -> None:
    assert folded(f"content    {DIGEST}", 80) == ["content", f"         {DIGEST}"]
    assert folded(f"content    {DIGEST}", 60) == [f"content    {DIGEST}"]


def test_colours_take_no_columns() -> None:
    line = f"{click.style('warning', fg='yellow')}  one two three"
    assert folded(line, len("warning  one two three")) == [line]
    assert [click.unstyle(part) for part in folded(line, 20)] == [
        "warning  one two",
        "         three",
    ]


@given(st.text(st.sampled_from("ab: -k\u00e4"), max_size=200), st.integers(20, 100))
def test_no_word_is_lost_and_no_line_is_wider_than_it_must_be(text: str, width: int) -> None:
    lines = folded(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or len(line.split()) <= 2 for line in lines)
