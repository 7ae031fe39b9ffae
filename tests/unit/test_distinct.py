"""Digests held by the million are numbered as a dict would number them, in less memory."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from kolm import digest
from kolm.digest import Digest
from kolm.distinct import Digests, Distinct


def digests(count: int) -> list[Digest]:
    return [digest.of_bytes(b"%d" % number) for number in range(count)]


@given(st.lists(st.integers(0, 40).map(lambda n: digest.of_hex(f"{n:064x}"))))
def test_numbers_are_those_of_a_dict(found: list[Digest]) -> None:
    numbers: dict[Digest, int] = {}
    distinct = Distinct()
    for one in found:
        assert distinct.number(one) == numbers.setdefault(one, len(numbers))
    assert [distinct[number] for number in range(len(distinct))] == list(numbers)


def test_numbers_stay_when_there_are_many() -> None:
    found, distinct = digests(90_000), Distinct()  # some in the dict, some beyond it
    assert [distinct.number(one) for one in found] == list(range(90_000))
    assert [distinct.number(one) for one in reversed(found)] == list(range(89_999, -1, -1))


def test_a_column_gives_back_what_was_put_there() -> None:
    column, found = Digests(), digests(2500)
    for one in found:
        column.append(one)
    column[1024] = found[0]
    assert [column[place] for place in range(len(column))] == [
        *found[:1024],
        found[0],
        *found[1025:],
    ]


def test_a_digest_takes_less_than_50_bytes() -> None:
    found = digests(100_000)
    distinct = Distinct()
    tracemalloc.start()
    for one in found:
        distinct.number(one)
    used, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 50 * len(found)
    assert most < 60 * len(found)
