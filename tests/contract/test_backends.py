"""What every place of a registry does: a line in the table inherits this."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kolm import digest, file_digests
from kolm.actions import keyring, registries
from kolm.actions.signing import choose_key
from kolm.bundle.held import Held, hold
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable, Usage
from kolm.registry.audit import audit
from kolm.registry.backends import BACKENDS, BackendKind, kind_of, open_registry
from kolm.registry.backends.backend import Backend, StoredEntries
from kolm.registry.pull import pull
from kolm.registry.references import parse_reference
from tests.support.bundles import make_parts
from tests.support.commands import invoke
from tests.support.registries import InMemory, World, check


class Tried(NamedTuple):
    """An empty place of a kind, below a folder of this test's own, and how a file is damaged."""

    place: Callable[[Path], str | Path]
    put: Callable[[Any, Digest, bytes], object]


TRIED: dict[str, Tried] = {
    "": Tried(
        place=lambda folder: folder / "registry",
        put=lambda backend, content, data: backend.path_of(content).write_bytes(data),
    ),
    # A kind without any path: what reads a registry needs none.
    "memory": Tried(
        place=lambda folder: f"memory://{folder.name}/registry",
        put=lambda backend, content, data: backend.files.update({content: data}),
    ),
}
each_backend = pytest.mark.parametrize("scheme", TRIED)


@pytest.fixture(autouse=True)
def _with_one_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "memory", InMemory)
    monkeypatch.setattr(InMemory, "made", {})


def made(scheme: str, folder: Path) -> tuple[BackendKind, str | Path, Backend]:
    place = TRIED[scheme].place(folder)
    return BACKENDS[scheme], place, BACKENDS[scheme].create(place)


def bytes_of(backend: Backend, content: Digest) -> bytes:
    with backend.blob(content) as stream:
        return b"".join(iter(lambda: stream.read(100_000), b""))


def a_file(folder: Path, data: bytes) -> Held:
    source = folder / "source"
    source.write_bytes(data)
    return hold(source)


def test_every_kind_is_tried_here() -> None:
    assert TRIED.keys() == BACKENDS.keys()


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
        assert seen.entries("demo") == StoredEntries({}, frozenset(), ())
        assert seen.identity == backend.identity
        assert seen.where == str(place)
    with pytest.raises(Usage):
        kind.create(place)


@each_backend
def test_where_there_is_none_nothing_could_be_looked_at(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        open_registry(TRIED[scheme].place(tmp_path))


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
        assert bytes_of(open_registry(place), held.digest) == data
        assert [*backend.blobs()] == [held.digest]
    with pytest.raises(Unreadable):
        bytes_of(backend, digest.of_bytes(b"something else"))


@each_backend
def test_a_damaged_copy_is_replaced(scheme: str, tmp_path: Path) -> None:
    _, _, backend = made(scheme, tmp_path)
    held = a_file(tmp_path, b"a bundle")
    backend.keep(held)
    TRIED[scheme].put(backend, held.digest, b"damage")
    backend.keep(held)
    assert bytes_of(backend, held.digest) == b"a bundle"


@each_backend
def test_what_is_published_there_is_pulled_and_holds(scheme: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    _, _, world.registry = made(scheme, tmp_path)
    first = world.publish("demo@1.0.0", "one").entry["file"]["digest"]
    world.publish("demo@1.1.0", "two")

    def pulled(name: str) -> bytes:
        got = pull(
            world.registry,
            parse_reference(name),
            trust=world.trust,
            check=check,
            target=tmp_path / "out.kolm",
            replace=True,
        )
        return got.path.read_bytes()

    def wrong() -> list[str]:
        found = audit(world.registry, trust=world.trust, check=check)
        assert found.entries == 2
        assert found.orphans == []
        assert found.bundles + len(found.problems) == 2
        return [problem.code for problem in found.problems]

    assert (pulled("demo"), pulled("demo@1.0.0"), wrong()) == (b"two", b"one", [])
    for other in (b"", b"on", b"onf", b"one and more"):
        TRIED[scheme].put(world.registry, first, other)
        with pytest.raises(Refused) as refused:
            pulled("demo@1.0.0")
        assert (refused.value.code, wrong()) == ("E_BLOB_DIGEST", ["E_BLOB_DIGEST"])
    assert pulled("demo") == b"two"


@each_backend
def test_actions_reach_it_by_its_address(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE", raising=False)
    keyring.new_key()
    place = TRIED[scheme].place(tmp_path)
    bundle = make_parts(tmp_path).seal(tmp_path / "toy.kolm", key=choose_key(None))
    assert registries.create_registry(place).where == str(place)
    assert registries.publish(bundle, "demo/toy@1.0.0", registry=place).new
    assert [found["name"] for found in registries.list_registry(place)] == ["demo/toy"]
    assert registries.show("demo/toy", registry=place)["entry"]["version"] == "1.0.0"
    pulled = registries.pull("demo/toy", registry=place, output=tmp_path / "pulled.kolm")
    assert pulled.path.read_bytes() == bundle.read_bytes()
    assert registries.verify_registry(place).verdict == "ok"
    TRIED[scheme].put(
        open_registry(place), file_digests.of_file(bundle), b"x" * bundle.stat().st_size
    )
    found = registries.verify_registry(place)
    told = [(problem.code, problem.where) for problem in found.problems]
    assert told == [("E_BLOB_DIGEST", "demo/toy@1.0.0")]


def test_commands_hand_an_address_on_as_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    address = "memory://example.org/a"
    assert invoke("registry", "init", address).code == 0
    assert [*InMemory.made] == [address]
    listed = invoke("registry", "list", "--registry", address, "--json")
    assert listed.document()["names"] == []
