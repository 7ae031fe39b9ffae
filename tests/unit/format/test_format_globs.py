"""Globs: a summary covers exactly its names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.errors import Refused
from kolm.format.globs import expand, summarise

PARTS = st.sampled_from(["a", "b", "layers", "0", "1", "22", "mlp", "x3"])
NAMES = st.sets(st.lists(PARTS, min_size=1, max_size=4).map(".".join), max_size=30)


@given(universe=NAMES, data=st.data())
def test_expanding_a_summary_gives_exactly_the_names(
    universe: set[str], data: st.DataObject
) -> None:
    chosen = {name for name in sorted(universe) if data.draw(st.booleans())}
    globs = summarise(chosen, universe)
    assert expand(globs, universe) == sorted(chosen)
    assert globs == sorted(set(globs))
    assert len(globs) <= len(chosen)


def test_equal_blocks_become_one_glob() -> None:
    names = [f"model.layers.{n}.mlp" for n in range(40)]
    assert summarise(names, [*names, "model.norm"]) == ["model.layers.*.mlp"]


def test_a_glob_never_covers_a_name_that_is_not_meant() -> None:
    names = [f"model.layers.{n}.mlp" for n in range(3)]
    assert summarise(names[:2], names) == names[:2]


def test_many_namesakes_cost_little() -> None:
    names = [str(n) for n in range(30_000)]
    began = time.process_time()
    assert summarise(names, names) == ["*"]
    assert len(summarise(names[1:], names)) == len(names) - 1
    assert time.process_time() - began < 5  # linear: no name asks for all the others


def test_a_star_stands_for_digits_only() -> None:
    assert expand(["a.*"], ["a.0", "a.b", "a.0.c", "a"]) == ["a.0"]


@pytest.mark.parametrize(("names", "universe"), [(["a.*"], ["a.*"]), (["a"], ["b"])])
def test_names_that_cannot_be_summarised_are_refused(names: list[str], universe: list[str]) -> None:
    with pytest.raises(Refused):
        summarise(names, universe)
