"""The YAML reader: what a spec may hold, and where an error is."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.errors import KolmError, Refused
from kolm.spec.source import MAX_SOURCE_BYTES, of_python, read_yaml


def read(text: str) -> object:
    return read_yaml(text.encode(), name="kolm.yaml").value


def test_plain_values_are_read_exactly() -> None:
    text = "a: 0.1\nb: 1e-3\nc: yes\nd: true\ne: null\nf: 12\ng: [x, 2]\nh: 2024-01-01\n"
    assert read(text) == {
        "a": Decimal("0.1"),
        "b": Decimal("0.001"),
        "c": "yes",
        "d": True,
        "e": None,
        "f": 12,
        "g": ["x", 2],
        "h": "2024-01-01",
    }


def test_every_part_knows_its_line() -> None:
    source = read_yaml(b"a: 1\nb:\n  c:\n    - 1\n    - 2\n", name="kolm.yaml")
    assert source.place(("b", "c")) == "kolm.yaml:3"
    assert source.place(("b", "c", 1)) == "kolm.yaml:5"
    assert source.place(("b", "nowhere")) == "kolm.yaml:2"


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "E_SPEC_DUPLICATE_KEY", 3),
        ("a: &x 1\n", "E_SPEC_YAML", 1),
        ("a: 1\nb: *a\n", "E_SPEC_YAML", 2),
        ("a: !!python/object:os.system x\n", "E_SPEC_YAML", 1),
        ("a: !mine 1\n", "E_SPEC_YAML", 1),
        ("a: 0x10\n", "E_SPEC_YAML", 1),
        ("a: 1_000\n", "E_SPEC_YAML", 1),
        ("a: .inf\n", "E_SPEC_YAML", 1),
        ("a: .nan\n", "E_SPEC_YAML", 1),
        ("a: 99999999999999999999\n", "E_SPEC_YAML", 1),
        ("a: [1,\n", "E_SPEC_YAML", 2),
        ("a: 1\n---\nb: 2\n", "E_SPEC_YAML", 2),
        ("1: a\n", "E_SPEC_YAML", 1),
        ("? [a]\n: b\n", "E_SPEC_YAML", 1),
        ("<<: {a: 1}\n", "E_SPEC_YAML", 1),
        ("a: " + "[" * 40 + "]" * 40, "E_SPEC_YAML", 1),
    ],
)
def test_what_a_spec_may_not_hold_is_refused_with_its_line(text: str, code: str, line: int) -> None:
    with pytest.raises(Refused) as raised:
        read(text)
    assert raised.value.code == code
    assert raised.value.where == f"kolm.yaml:{line}"


_INDENT = "the indent of line {} does not fit the lines above"


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("a:\n    b: 1\n  c: 2\n", 3, _INDENT.format(3), "begins with 2 spaces; .* 0 or 4$"),
        ("a:\n  b: 1\n   c: 2\n", 3, _INDENT.format(3), "begins with 3 spaces; .* 0 or 2$"),
        ("a:\n  - b: 1\n   c: 2\n", 3, _INDENT.format(3), "3 spaces; .* 0 or 2 or 4$"),
        ("a: # of it\n  - 1\n\n# so\n - 2\n", 5, _INDENT.format(5), "1 space; .* 0 or 2$"),
        (" a: 1\nb: 2\n", 2, _INDENT.format(2), "begins with 0 spaces; .* be 1$"),
        ("a:\n\tb: 1\n", 2, "line 2 has a tab where its indent is", "spaces"),
        ("a b\nc: 1\n", 1, 'line 1 has no ":" after its key', "key: value"),
        ("a: 1\nb\nc: 2\n", 2, 'line 2 has no ":" after its key', "key: value"),
        ("a: b: c\n", 1, 'line 1 has a second ":" in its value', "quotes"),
        ("a: {b: 1\nc: 2\n", 2, "the { of line 1 is not closed", "close it with }"),
        ("a: 'x\nb: 1\n", 1, "the quotes that line 1 opens are never closed", "close them"),
        ("a: @x\n", 1, "a value cannot begin with @ unless it is in quotes", "quotes"),
        ("a: 1\n- b\n", 2, "line 2 mixes list items (- …) and keys in one block", "indent"),
        ("a: {b: 1}}\n", 1, "something follows the value that line 1 holds already", "take away"),
        ('a: "\\q"\n', 1, "in double quotes a backslash before q means nothing", "single quotes"),
    ],
)
def test_what_is_no_yaml_is_told_of_its_lines(
    text: str, line: int, message: str, hint: str
) -> None:
    with pytest.raises(Refused) as raised:
        read_yaml(text.encode(), name="kolm.yaml")
    assert (raised.value.code, raised.value.where) == ("E_SPEC_YAML", f"kolm.yaml:{line}")
    assert raised.value.message.startswith(message)
    assert re.search(hint, raised.value.hint)


def test_nesting_of_a_hundred_thousand_levels_is_refused_and_does_not_crash() -> None:
    with pytest.raises(Refused):
        read("[" * 100_000)


def test_bytes_that_are_not_utf8_are_refused_with_their_line() -> None:
    with pytest.raises(Refused) as raised:
        read_yaml(b"a: 1\nb: \xff\n", name="kolm.yaml")
    assert raised.value.where == "kolm.yaml:2"


def test_a_byte_order_mark_is_skipped() -> None:
    assert read_yaml(b"\xef\xbb\xbfa: 1\n", name="kolm.yaml").value == {"a": 1}


def test_a_huge_file_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Refused):
        read_yaml(b"#" * (MAX_SOURCE_BYTES + 1), name="kolm.yaml")


def test_a_python_float_stands_for_its_shortest_form() -> None:
    assert of_python({"a": 0.1}).value == {"a": Decimal("0.1")}
    with pytest.raises(Refused):
        of_python({"a": float("nan")})


@given(st.binary(max_size=200) | st.text("ab:-[]{}&*!#%@`'\"|>?, \n\t\\0x1.e~").map(str.encode))
def test_no_bytes_raise_anything_but_our_errors(data: bytes) -> None:
    with suppress(KolmError):
        read_yaml(data, name="kolm.yaml")


@pytest.mark.parametrize("text", ['a: 1\nb: "\\ud800"\n', 'a: 1\n"\\udfff": 1\n'])
def test_a_lone_surrogate_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.where == "kolm.yaml:2"
    for value in ({"a": ["\ud800"]}, {"\ud800": 1}):
        with pytest.raises(Refused):
            of_python(value)
