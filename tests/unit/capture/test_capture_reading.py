"""The elements of a JSON array are those that JSON sees, however they are written."""

from __future__ import annotations

import gzip
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.capture import arrays, file_limits, reading
from kolm.capture.drafts import Defaults
from kolm.capture.importers import table
from kolm.capture.sources import Folder
from kolm.errors import Refused
from kolm.records.capture import Source

TEXTS = st.text(st.sampled_from('a"\\\\{}[],: \n\u00e9'), max_size=6)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=12,
)
ROWS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=4)
INDENTS = st.sampled_from([None, 1])
PIECES = st.sampled_from([1, 2, 7, 1 << 20])


class Trickling(io.BytesIO):
    """A file that is read in pieces of a size, wherever they end."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._most = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most)


def elements(data: bytes, key: bytes | None = None, *, piece: int = 1 << 20) -> list[Any]:
    return [json.loads(text) for text in arrays.elements(Trickling(data, piece), key, "x")]


@given(rows=ROWS, indent=INDENTS, ascii_only=st.booleans(), piece=PIECES)
def test_an_array_has_its_elements_wherever_reading_pauses(
    rows: list[Any], indent: int | None, ascii_only: bool, piece: int
) -> None:
    data = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode()
    assert elements(data, piece=piece) == rows


@given(before=st.dictionaries(TEXTS, VALUES, max_size=3), rows=ROWS, indent=INDENTS, piece=PIECES)
def test_a_list_is_found_under_its_key_and_not_deeper(
    before: dict[str, Any], rows: list[Any], indent: int | None, piece: int
) -> None:
    document = {"deeper": {"rows": [1]}, **before, "rows": rows, "after": ["rows", {"rows": [2]}]}
    data = json.dumps(document, indent=indent).encode()
    assert elements(data, b"rows", piece=piece) == rows
    with pytest.raises(Refused):
        elements(data, b"no such key", piece=piece)


@given(rows=ROWS.filter(bool), cut=st.integers(1, 12), piece=PIECES)
def test_an_array_that_does_not_end_is_refused(rows: list[Any], cut: int, piece: int) -> None:
    data = json.dumps(rows).encode()
    with pytest.raises(Refused):
        elements(data[: max(1, len(data) - cut)], piece=piece)


def test_an_element_longer_than_a_row_may_be_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_limits, "MAX_ROW_BYTES", 200)
    assert len(elements(b'[1,{"a":"' + b"x" * 150 + b'"},2]', piece=16)) == 3
    stream = Trickling(b'[1,{"a":"' + b"x" * 10_000 + b'"},2]', 16)
    with pytest.raises(Refused) as caught:
        list(arrays.elements(stream, None, "x"))
    assert caught.value.code == "E_IMPORT_TOO_LARGE"
    assert stream.tell() < 300


def test_a_pattern_is_found_wherever_reading_pauses() -> None:
    data = b"-" * 37 + b"needle"
    for piece in range(1, 20):
        assert reading.search(Trickling(data, piece), re.compile(b"ne{2}dle"), longest=6)
    assert not reading.search(Trickling(data, 9), re.compile(b"nadel"), longest=5)


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
        list(reading.objects(path))
    assert time.process_time() - before < 5  # seconds; a square would take hours


def test_a_table_of_rows_that_are_too_short_to_be_honest_is_refused(tmp_path: Path) -> None:
    """As many as are free, however short; and of more, those that weigh something."""
    path, free = tmp_path / "rows.csv", file_limits.MAX_UNPACKED_ROWS
    defaults = Defaults(source=Source(kind="csv", name="rows"))

    def rows(count: int, row: str) -> int:
        path.write_text("prompt,response\n" + row * count)
        return sum(1 for _ in table.rows(path, Folder(tmp_path), defaults))

    assert rows(free, "a,b\n") == free
    assert rows(2 * free, "123 * 456,56088\n") == 2 * free
    with pytest.raises(Refused) as caught:
        rows(2 * free, "a,b\n")
    assert caught.value.code == "E_IMPORT_SHORT_ROWS"
    most = free + path.stat().st_size // 15
    assert caught.value.expected.endswith(f"{most:,} rows")


def test_a_packed_file_holds_no_more_values_than_real_sets_do(tmp_path: Path) -> None:
    """easy-VQA's 38,575 rows as messages, with a list of parts in each."""
    path = tmp_path / "rows.jsonl.gz"
    parts = '[{"type":"image"},{"type":"text","text":"%d"}]'
    said = f'{{"role":"user","content":{parts}}},{{"role":"assistant","content":"b"}}'
    row = f'{{"image":"1.png","messages":[{said}]}}\n'
    path.write_bytes(gzip.compress("".join(row % number for number in range(38_575)).encode()))
    assert sum(1 for _ in reading.lines(path)) == 38_575
    path.write_bytes(gzip.compress((b'{"tags":[%b""]}\n' % (b'"",' * 600)) * 1000))
    with pytest.raises(Refused) as caught:
        list(reading.lines(path))
    assert caught.value.code == "E_IMPORT_UNPACKS"
