"""Commands as a person types them first: what is told of what is missing or mistyped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.audits import World
from tests.support.commands import invoke


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(autouse=True)
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return world.home(tmp_path, monkeypatch)


def test_an_empty_prompt_is_not_answered(world: World) -> None:
    ran = invoke("run", world.seal(), "--prompt", " ")
    assert (ran.code, "E_RUN_NO_PROMPT" in ran.stderr) == (2, True)


def test_the_extra_that_suffices_is_asked_for_at_once(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for absent in ("PIL", "torch"):
        monkeypatch.setitem(sys.modules, absent, None)
    (home / "one.png").write_bytes(b"a picture")
    ran = invoke("run", world.seal(), "--image", home / "one.png", "--prompt", "what is it?")
    assert (ran.code, "extra 'train'" in ran.stderr) == (6, True), ran.stderr


def test_the_bundle_in_a_folder_that_was_named_is_proposed(world: World) -> None:
    path = world.seal()
    ran = invoke("verify", path.parent)
    assert ran.code == 3
    assert f"did you mean {path.parent}/bundle-" in ran.stderr


def test_the_base_whose_name_was_mistyped_is_proposed(world: World) -> None:
    ran = invoke("verify", world.seal(), "--base", "kolm/nano-2")
    assert (ran.code, "did you mean kolm/nano-1?" in ran.stderr) == (3, True), ran.stderr


def test_published_pictures_are_one_line(world: World) -> None:
    parts = world.parts.copy()
    parts.publish_images()
    path = world.seal(parts)
    sizes = [
        member["bytes"]
        for member in invoke("inspect", path, "--json").document()["members"]
        if member["name"].startswith("evalimage-")
    ]
    assert len(sizes) > 1
    told = invoke("inspect", path).stdout
    assert "evalimage-" not in told
    assert f"{sum(sizes):,}  {len(sizes)} pictures" in told
