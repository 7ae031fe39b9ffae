"""The recorded operations of every family, to which the second verifier is held as well."""

from __future__ import annotations

import json

import pytest

from kolm import roles
from tests.vectors.operations.record import (
    FILE,
    MODIFIER_FILE,
    count,
    examples_of,
    modifier_cases,
)

RECORDED = json.loads(FILE.read_text())


def test_every_family_is_recorded() -> None:
    assert RECORDED["families"].keys() == roles.FAMILIES.keys()
    assert RECORDED["pairs"] == examples_of("dpo")


@pytest.mark.parametrize("name", sorted(roles.FAMILIES))
def test_the_count_of_a_family_is_as_recorded(name: str) -> None:
    own = RECORDED["families"][name]
    assert len(own["cases"]) >= 5
    for case in own["cases"]:
        assert count(roles.FAMILIES[name], own["shapes"], case) == case["flops"], case["name"]


def test_the_test_of_the_bases_compute_is_as_recorded() -> None:
    assert json.loads(MODIFIER_FILE.read_text()) == [*modifier_cases()]
