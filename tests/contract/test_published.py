"""The tables of roles at published sizes: every model is built of its config, without weights."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm.models import published  # noqa: E402
from kolm.roles import Family, Role, family  # noqa: E402
from tests.contract.test_families import hit, inside, linears, owners  # noqa: E402
from tests.support import families  # noqa: E402
from tests.support import published as support  # noqa: E402

pytestmark = pytest.mark.heavy
EVERY = pytest.mark.parametrize("name", published.names())


@lru_cache(maxsize=2)
def built(name: str) -> tuple[Any, Family]:
    found = published.find(name)
    assert found is not None
    return support.build(found.config), family(found.config["model_type"])


def test_every_family_has_a_published_size() -> None:
    found = {published.find(name).config["model_type"] for name in published.names()}  # type: ignore[union-attr]
    # The tables of the others are held at the library's own default config (test_families.py).
    assert found == {name for name, base in families.BASES.items() if base.sized}


@EVERY
def test_names_and_shapes_are_those_that_the_library_makes_of_the_config(name: str) -> None:
    model, _ = built(name)
    path = support.FOLDER / f"{name.replace('/', '--', 1)}.json"
    value = json.loads(path.read_text())
    assert value["shapes"] == support.shapes_of(model)
    assert value["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    known = published.find(name)
    assert known is not None
    assert dict(known.parameters) == {n: tuple(p.shape) for n, p in model.named_parameters()}


@EVERY
def test_every_tensor_has_one_role_and_so_has_every_module(name: str) -> None:
    model, table = built(name)
    roles = {table.role_of_module(*owned) for owned in owners(model)}
    sees = {Role.VISION, Role.PROJECTOR} if table.takes_pictures else set()
    assert roles - {Role.AUDIO} == {Role.LANGUAGE, Role.HEAD} | sees
    whole = {n for n, _ in model.named_parameters() if table.role_of(n) is Role.PROJECTOR}
    trained = {
        f"{module}.{n}"
        for module in table.projector_modules
        for n, _ in model.get_submodule(module).named_parameters()
    }
    assert trained == whole - {*table.bare}


@EVERY
def test_targets_are_all_linear_layers_of_their_role_and_no_other(name: str) -> None:
    model, table = built(name)
    language = hit(model, table.target_expression(table.lora_leaf_names))
    assert language == inside(linears(model, table, Role.LANGUAGE), table.language)
    tower = set()
    if table.vision is not None:
        tower = hit(model, table.vision.expression(table.vision.leaves))
        assert tower == inside(linears(model, table, Role.VISION), table.vision)
    assert not any(model.get_submodule(name).weight.ndim != 2 for name in language | tower)


def test_a_size_that_is_written_again_is_the_same(tmp_path: Path) -> None:
    path = support.FOLDER / "HuggingFaceTB--SmolVLM-256M-Instruct.json"
    again = tmp_path / path.name
    again.write_text(path.read_text())
    support.write(again)
    assert again.read_text() == path.read_text()
