"""Whose parameters are trained: each counted once, under its role, equal modules together."""

from __future__ import annotations

import pytest

from kolm import methods
from kolm.actions.inspecting import describe
from kolm.bundle.reader import Bundle
from kolm.models import published
from kolm.planning.parameters import Group, Owned, by_role
from kolm.planning.trained import modules_of, trained_numbers
from kolm.roles import family
from kolm.spec.options import resolve_method
from tests.support.bundles import make_parts

FAMILY = family("qwen2_5_vl")


def test_equal_modules_of_several_blocks_are_told_together_and_frozen_ones_summed() -> None:
    rows = [Owned(f"m.layers.{number}.q", "language", 6, 2, False) for number in range(3)]
    rows += [Owned("m.layers.0.k", "language", 5, 0, False), Owned("v", "vision", 7, 0, False)]
    rows += [Owned("p.0", "projector", 4, 4, True), Owned("p.1", "projector", 3, 0, False)]
    language, projector, vision = by_role(rows)
    assert language[:3] == ("language", 23, 6)
    assert language.groups == (Group("m.layers.*.q", 3, 18, 6, False),)
    assert language.groups[0].words() == "m.layers.*.q (3 modules): 6 trained beside 18"
    assert projector.groups[0].words() == "p.* (1 module): all 4 trained"
    assert vision.words() == "vision: 7 parameters, frozen"


@pytest.mark.parametrize("kind", methods.METHODS)
def test_the_parts_are_the_whole(kind: str) -> None:
    base = published.find("Qwen/Qwen2.5-VL-3B-Instruct")
    assert base is not None
    sizes = base.parameters
    method = methods.method_of(resolve_method({"kind": kind}, FAMILY, vision=False))
    found = by_role(modules_of(sizes, FAMILY, method, "full"))
    total = trained_numbers(sizes, FAMILY, method, "full")
    assert sum(role.trained for role in found) == total
    assert sum(group.trained for role in found for group in role.groups) == total
    assert {role.role: role.trained > 0 for role in found} == {
        "language": True, "projector": True, "vision": False,
    }  # fmt: skip


def test_a_bundle_tells_what_a_spec_told(tmp_path) -> None:
    parts = make_parts(tmp_path)
    told = describe(Bundle.open(parts.seal(tmp_path / "toy.kolm")))["parameters"]
    method = methods.method_of(parts.lock["train"]["method"])
    owned = [
        (f"{row['module']}.{own['name']}", tuple(own["shape"]))
        for row in parts.modules
        for own in row["parameters"]
        if "alias_of" not in own
    ]
    found = by_role(modules_of(owned, FAMILY, method, "full"))
    assert [(of["role"], of["base"], of["trained"]) for of in told] == [of[:3] for of in found]
    assert [of["modules"] for of in told] == [[g._asdict() for g in of.groups] for of in found]
