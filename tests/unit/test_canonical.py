"""The canonical form against RFC 8785's reference package, and the strict reader's refusals."""

import time

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kolm import canonical
from kolm.errors import KolmError, Refused

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_writes_what_the_reference_implementation_writes(value):
    assert canonical.dumps(value) == rfc8785.dumps(value)


@given(values)
def test_reads_back_what_it_wrote(value):
    stored = canonical.dumps(value)
    assert canonical.loads(stored, where="t") == value
    assert canonical.loads_canonical(stored, where="t") == value


@given(values, st.data())
def test_a_changed_byte_is_another_value_or_refused(value, data):
    stored = canonical.dumps(value)
    at = data.draw(st.integers(0, len(stored) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(stored)
    changed[at] ^= 1 << bit
    try:
        found = canonical.loads_canonical(bytes(changed), where="t")
    except Refused:
        return
    assert canonical.dumps(found) == bytes(changed) != stored


@given(st.binary(max_size=60))
def test_random_bytes_raise_only_our_errors(data):
    for read in (
        lambda: canonical.loads(data, where="t"),
        lambda: canonical.loads_canonical(data, where="t"),
        lambda: list(canonical.read_lines(data, where="t")),
    ):
        try:
            read()
        except KolmError as error:
            assert error.code.startswith("E_JSON")


REFUSED = {
    "duplicate key": (b'{"a":1,"a":1}', "E_JSON_VALUE"),
    "NaN": (b'{"a":NaN}', "E_JSON_VALUE"),
    "infinity": (b'{"a":-Infinity}', "E_JSON_VALUE"),
    "fraction": (b'{"a":0.5}', "E_JSON_VALUE"),
    "exponent": (b'{"a":1e3}', "E_JSON_VALUE"),
    "integer at 2**53": (b'{"a":9007199254740992}', "E_JSON_VALUE"),
    "integer at -2**53 by itself": (b"-9007199254740992", "E_JSON_VALUE"),
    "long integer": (b'{"a":' + b"9" * 5000 + b"}", "E_JSON_VALUE"),
    "ten thousand levels": (b"[" * 10_000 + b"]" * 10_000, "E_JSON_TOO_DEEP"),
    "spaces": (b'{"a": 1}', "E_JSON_NOT_CANONICAL"),
    "key order": (b'{"b":1,"a":1}', "E_JSON_NOT_CANONICAL"),
    "escaped letter": (b'{"a":"\\u0041"}', "E_JSON_NOT_CANONICAL"),
    "minus zero": (b"[-0]", "E_JSON_NOT_CANONICAL"),
    "lone surrogate": (b'["\\ud800"]', "E_JSON_VALUE"),
    "not UTF-8": (b'["\xff"]', "E_JSON_ENCODING"),
    "byte order mark": (b"\xef\xbb\xbf{}", "E_JSON_SYNTAX"),
    "trailing text": (b"{}{}", "E_JSON_SYNTAX"),
    "nothing": (b"", "E_JSON_SYNTAX"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    data, code = REFUSED[name]
    with pytest.raises(Refused) as caught:
        canonical.loads_canonical(data, where="here")
    assert caught.value.code == code
    assert caught.value.where == "here"


def test_depth_counts_brackets_outside_strings_only():
    assert canonical.loads(b'["' + b"[" * 100 + b'"]', where="t") == ["[" * 100]


def test_astral_keys_sort_by_utf16():
    value = {"\U0001f600": 1, "\ufb33": 2}
    assert canonical.loads_canonical(rfc8785.dumps(value), where="t") == value


def test_floats_are_not_written():
    with pytest.raises(TypeError):
        canonical.dumps({"a": [0.5]})


LINES = {
    "no newline at the end": (b'{"a":1}', "E_JSONL_NO_NEWLINE", "f:1"),
    "empty line": (b'{"a":1}\n\n', "E_JSON_SYNTAX", "f:2"),
    "not an object": (b"[1]\n", "E_JSONL_NOT_OBJECT", "f:1"),
    "too long": (b'{"a":"' + b"x" * 70_000 + b'"}\n', "E_JSONL_LINE_TOO_LONG", "f:1"),
}


@pytest.mark.parametrize("name", LINES)
def test_refuses_lines(name):
    data, code, where = LINES[name]
    with pytest.raises(Refused) as caught:
        list(canonical.read_lines(data, where="f"))
    assert (caught.value.code, caught.value.where) == (code, where)


@given(st.lists(st.dictionaries(text, values, max_size=3), max_size=4))
def test_lines_round_trip(rows):
    stored = canonical.dump_lines(rows)
    assert [value for _, _, value in canonical.read_lines(stored, where="t")] == rows
    twice = canonical.read_lines(stored, where="t", shared=True)
    assert [value for _, _, value in twice] == list(canonical.read_again(stored)) == rows


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_decimals_keep_the_float(value):
    string = canonical.decimal(value, None)
    assert float(canonical.parse_decimal(string, where="t")) == value
    assert canonical.decimal(canonical.parse_decimal(string, where="t"), None) == string


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, "0.5"), (1e-9, "0"), (-1e-9, "0"), (100.0, "100"), (0.1234565, "0.123456"), (2, "2")],
)
def test_decimals_are_rounded_half_to_even(value, expected):
    assert canonical.decimal(value) == expected


@pytest.mark.parametrize("string", ["1.0", ".5", "1.", "-0", "1e5", "01", "+1", " 1", "٣", 1, None])
def test_other_decimal_forms_are_refused(string):
    with pytest.raises(Refused):
        canonical.parse_decimal(string, where="t")


@pytest.mark.parametrize(
    ("hostile", "code"),
    [
        (b"[" + b"[]," * 40 + b'"' + b'\\"' * 1_000_000, "E_JSON_SYNTAX"),
        (b"[" + b"[]," * 40 + b'"' + b"\\\\" * 1_000_000, "E_JSON_SYNTAX"),
        (b"{" + b"".join(b'"%x":0,' % n for n in range(180_000)) + b'"0":0}', "E_JSON_VALUE"),
        (b"{" + b"".join(b'"%x":0,' % n for n in range(180_000)) + b'"2bf1f":0}', "E_JSON_VALUE"),
    ],
    ids=["open string of quotes", "open string of backslashes", "first twice", "last twice"],
)
def test_a_hostile_document_costs_no_more_than_its_size(hostile, code):
    """Each took hours: the depth scan and the search for the key that stands twice were squares."""
    began = time.process_time()
    with pytest.raises(Refused) as refused:
        canonical.loads(hostile, where="t")
    assert refused.value.code == code
    assert time.process_time() - began < 20  # about one second on a slow machine


@pytest.mark.parametrize("inside", [r"[[[", r"\"[[[", "\\\\", r"\\\"{{{"])
def test_brackets_inside_strings_are_no_depth(inside):
    text = '["' + inside * 20 + '","' + inside * 20 + '"]'
    assert len(canonical.loads(text.encode(), where="t")) == 2


@pytest.mark.parametrize(
    "bad",
    [b"{},{}", b"[{}", b"{}]", b"", b'{"a":1}],[{"a":2}', b'{"b":1,"a":2}', b'{"a":1}\r', b" {}"],
)
@pytest.mark.parametrize("place", [0, 1, 255, 256, 300, 599])
def test_a_line_is_read_by_itself_wherever_it_stands(bad: bytes, place: int) -> None:
    lines = [b'{"n":%d}' % n for n in range(600)]
    lines[place] = bad
    seen = []
    with pytest.raises(Refused) as refused:
        for number, line, value in canonical.read_lines(b"\n".join(lines) + b"\n", where="t"):
            assert line == lines[number - 1]
            seen.append(value["n"])
    assert seen == list(range(place))
    assert refused.value.where == f"t:{place + 1}"


def test_lines_that_share_a_value_between_them_are_refused() -> None:
    with pytest.raises(Refused) as refused:
        list(canonical.read_lines(b'{"a":[1\n2]}\n{},{}\n', where="t"))
    assert refused.value.where == "t:1"


_PIECES = (
    *(b'{"a":1}', b'{"a":[1', b"2]}", b'{"a":[1,"|",2]}', b'{"a":"|"}', b'"|"', b"{}", b"[1]"),
    *(b'{"a":1},"|"', b'"|",{"c":1}', b'{"a":1},"|",{"b":2}', b',"|",', b'{"a":"', b'"}', b'|","|'),
    *(b'{"a":1234567890123456}', b'{"a":-9007199254740993}', b'{"a":[[-9007199254740991]]}'),
    b'{"a":"sha256:1234567890123456"}',
)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5))
@example([b'{"a":1},"|"', b'"|",{"c":1}', b'{"a":[1', b"2]}"])
@example([b'{"a":1},"|"', b'{"a":1},"|"', b'{"a":[1', b"2]}"])
@example([b'{"a":1},"|",{"b":2}', b'{"a":[1', b"2]}"])
def test_lines_are_read_together_as_each_by_itself(lines: list[bytes]) -> None:
    together, alone = list[object](), list[object]()

    def take(lines: list[bytes], seen: list[object], first: int = 1) -> tuple[str, int] | None:
        try:
            for _, _, value in canonical.read_lines(b"\n".join(lines) + b"\n", where="t"):
                seen.append(value)
        except Refused as refused:
            assert refused.where is not None
            return refused.code, first - 1 + int(refused.where.split(":")[1])
        return None

    one_by_one = (take([line], alone, place) for place, line in enumerate(lines, start=1))
    first_fault = next((fault for fault in one_by_one if fault is not None), None)
    assert take(lines, together) == first_fault
    assert together == alone


def test_what_stands_before_a_line_without_end_is_judged_first() -> None:
    long = b'{"a":"' + b"x" * 70_000 + b'"}\n'
    with pytest.raises(Refused) as refused:
        list(canonical.read_lines(b"{}\n[]\n" + long, where="t"))
    assert (refused.value.code, refused.value.where) == ("E_JSONL_NOT_OBJECT", "t:2")
    with pytest.raises(Refused) as too_long:
        list(canonical.read_lines(b"{}\n{}\n" + long, where="t"))
    assert (too_long.value.code, too_long.value.where) == ("E_JSONL_LINE_TOO_LONG", "t:3")


def test_rows_share_their_keys() -> None:
    data = canonical.dump_lines({"a longer key": n} for n in range(100))
    keys = {id(next(iter(value))) for _, _, value in canonical.read_lines(data, where="t")}
    assert len(keys) == 1
