"""The YAML reader: what a spec may hold, and where an error is."""

from __future__ import annotations

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
