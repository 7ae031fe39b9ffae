"""The tables of docs/format that other verifiers read: what needs a Python of one Unicode."""

import json
import unicodedata

import pytest

from tools import format_tables


@pytest.mark.skipif(
    unicodedata.unidata_version != format_tables.UNICODE, reason="this Python has other tables"
)
def test_the_table_of_case_folding_is_the_one_that_this_python_makes() -> None:
    assert format_tables.CASEFOLD.read_text(encoding="utf-8") == format_tables.casefold()


def test_a_fold_is_no_longer_folded() -> None:
    fold = json.loads(format_tables.CASEFOLD.read_text(encoding="utf-8"))["fold"]
    assert len(fold) > 1000
    assert all("".join(fold.get(c, c) for c in to) == to for to in fold.values())
