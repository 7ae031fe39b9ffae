"""The elements of a JSON array are those that JSON sees, however they are written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.capture import reading
from kolm.errors import Refused

TEXTS = st.text(st.sampled_from('a"\\\\{}[],: \n\u00e9'), max_size=6)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=12,
)
ROWS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=4)
INDENTS = st.sampled_from([None, 1])


def elements(data: bytes, start: int, *, alone: bool) -> list[Any]:
    return [json.loads(text) for text in reading._elements(data, start, "x", alone=alone)]


@given(rows=ROWS, indent=INDENTS, ascii_only=st.booleans())
def test_an_array_has_its_elements(rows: list[Any], indent: int | None, ascii_only: bool) -> None:
    data = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
    assert elements(data, 1, alone=True) == rows


@given(before=st.dictionaries(TEXTS, VALUES, max_size=3), rows=ROWS, indent=INDENTS)
def test_a_list_is_found_under_its_key_and_not_deeper(
    before: dict[str, Any], rows: list[Any], indent: int | None
) -> None:
    document = {"deeper": {"rows": [1]}, **before, "rows": rows, "after": ["rows", {"rows": [2]}]}
    data = json.dumps(document, indent=indent).encode()
    assert elements(data, reading._under(data, b"rows", "x"), alone=False) == rows
    with pytest.raises(Refused):
        reading._under(data, b"no such key", "x")


@given(rows=ROWS.filter(bool), cut=st.integers(1, 12))
def test_an_array_that_does_not_end_is_refused(rows: list[Any], cut: int) -> None:
    data = json.dumps(rows).encode()
    with pytest.raises(Refused):
        elements(data[: max(1, len(data) - cut)], 1, alone=True)


@pytest.mark.parametrize(
    ("lead", "again"),
    [(b'["', b'\\"'), (b"[", b"["), (b"[", b'{"a":'), (b'["a"', b" "), (b"[", b'{"a":1,'),
     (b'["', b"\\"), (b"[", b",")],
)  # fmt: skip
def test_time_grows_with_the_size_of_a_broken_array(
    lead: bytes, again: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(lead + again * 200_000)
    before = time.process_time()
    with pytest.raises(Refused):
        list(reading._elements(path.read_bytes(), 1, "x", alone=True))
    assert time.process_time() - before < 5  # seconds; a square would take hours
