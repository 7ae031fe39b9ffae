"""What every place of a registry does: a line in the table inherits this."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kolm import digest
from kolm.bundle.held import Held, hold
from kolm.errors import Unreadable, Usage
from kolm.registry.audit import audit
from kolm.registry.backends import BACKENDS, Kind, kind_of, open_registry
from kolm.registry.backends.backend import Backend, Stored
from tests.support.registries import World, check, read_claims

each_backend = pytest.mark.parametrize("scheme", BACKENDS)

# An empty place of each kind to make a registry at, below a folder of this test's own.
PLACES: dict[str, Callable[[Path], Path]] = {"": lambda folder: folder / "registry"}


def made(scheme: str, folder: Path) -> tuple[Kind, Path, Backend]:
    place = PLACES[scheme](folder)
    return BACKENDS[scheme], place, BACKENDS[scheme].create(place)


def a_file(folder: Path, data: bytes) -> Held:
    source = folder / "source"
    source.write_bytes(data)
    return hold(source)


def test_every_kind_is_tried_here() -> None:
    assert PLACES.keys() == BACKENDS.keys()


def test_an_address_of_no_kind_says_so() -> None:
    for address in ("https://example.org/registry", "oci://example.org/x"):
        with pytest.raises(Usage) as caught:
            open_registry(address)
        assert caught.value.code == "E_REGISTRY_URL"


@each_backend
def test_a_new_one_is_empty_and_opens(scheme: str, tmp_path: Path) -> None:
    kind, place, backend = made(scheme, tmp_path)
    assert kind_of(place) is kind
    for seen in (backend, open_registry(place)):
        assert (seen.names(), [*seen.blobs()], [*seen.strays()]) == ([], [], [])
        assert seen.entries("demo") == Stored({}, frozenset(), ())
        assert seen.identity == backend.identity
    with pytest.raises(Usage):
        kind.create(place)


@each_backend
def test_where_there_is_none_nothing_could_be_looked_at(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        open_registry(PLACES[scheme](tmp_path))


@each_backend
def test_an_entry_is_written_once_and_never_again(scheme: str, tmp_path: Path) -> None:
    _, place, backend = made(scheme, tmp_path)
    assert backend.append("demo", 1, b"one")
    assert not backend.append("demo", 1, b"other")
    assert backend.append("owner/demo", 1, b"another name")
    assert backend.append("demo", 2, b"two")
    seen = open_registry(place)
    assert seen.entries("demo").entries == {1: b"one", 2: b"two"}
    assert seen.entries("owner/demo").entries == {1: b"another name"}
    assert seen.names() == ["demo", "owner/demo"]
    assert [*seen.strays()] == []


@each_backend
def test_of_many_who_append_at_once_one_wins(scheme: str, tmp_path: Path) -> None:
    _, place, _ = made(scheme, tmp_path)
    texts = [f"entry of {number}".encode() for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        won = [*pool.map(lambda text: open_registry(place).append("demo", 1, text), texts)]
    assert won.count(True) == 1
    stored = open_registry(place).entries("demo").entries
    assert stored == {1: texts[won.index(True)]}


@each_backend
@pytest.mark.parametrize("data", [b"", b"a bundle", b"\x00" * 3_000_000])
def test_a_file_is_kept_by_its_digest(scheme: str, data: bytes, tmp_path: Path) -> None:
    _, place, backend = made(scheme, tmp_path)
    held = a_file(tmp_path, data)
    for _ in range(2):
        backend.keep(held)
        assert open_registry(place).blob(held.digest).read_bytes() == data
        assert [*backend.blobs()] == [held.digest]
    with pytest.raises(Unreadable):
        backend.blob(digest.of_bytes(b"something else"))


@each_backend
def test_a_damaged_copy_is_replaced(scheme: str, tmp_path: Path) -> None:
    _, _, backend = made(scheme, tmp_path)
    held = a_file(tmp_path, b"a bundle")
    backend.keep(held)
    backend.blob(held.digest).write_bytes(b"damage")
    backend.keep(held)
    assert backend.blob(held.digest).read_bytes() == b"a bundle"


@each_backend
def test_what_is_published_there_is_found_and_holds(scheme: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    _, _, world.registry = made(scheme, tmp_path)
    world.publish("demo@1.0.0", "one")
    world.publish("demo@1.1.0", "two")
    found = audit(world.registry, trust=world.trust, check=check, read_claims=read_claims)
    assert (found.problems, found.orphans) == ([], [])
    assert found.bundles == found.entries == 2
