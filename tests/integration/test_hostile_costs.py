"""Hostile files cost time and memory in proportion to what they weigh, never in proportion to what
they say: many names for one blob, deep lists, holes, rows without end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kolm import canonical, digest, file_digests
from kolm.capture import file_limits
from kolm.capture.store import CaptureStore
from kolm.format.names import RECEIPT
from kolm.registry.backends.directory import Directory
from tests.support.audits import World
from tests.support.bundles import make_parts, write_raw
from tests.support.commands import invoke
from tests.support.fuzz_bundles import share_one_blob
from tests.support.hostile import (
    BUNDLES,
    IMPORTS,
    LARGE_TABLES,
    MIB,
    PACKED,
    PREDICATES,
    TABLES,
    Cost,
    cost_of_bundle,
    cost_of_claims,
    cost_of_command,
    cost_of_entries,
    cost_of_import,
    cost_of_table,
)

QUICK_BUNDLES = ("config of lists", "4,000 members")
QUICK_IMPORTS = ("numbers", "a row of lists")
SLOW_BUNDLES = sorted(set(BUNDLES) - set(QUICK_BUNDLES))
SLOW_IMPORTS = sorted(set(IMPORTS) - set(QUICK_IMPORTS))


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize("shape", QUICK_BUNDLES)
def test_a_hostile_bundle_costs_what_it_weighs(shape: str, tmp_path: Path) -> None:
    assert (cost := cost_of_bundle(shape, tmp_path)).bounded, cost


@pytest.mark.slow
@pytest.mark.parametrize("shape", SLOW_BUNDLES)
def test_a_large_hostile_bundle_costs_what_it_weighs(shape: str, tmp_path: Path) -> None:
    assert (cost := cost_of_bundle(shape, tmp_path)).bounded, cost


@pytest.mark.slow
@pytest.mark.parametrize("shape", sorted(PREDICATES))
@pytest.mark.parametrize("work", [cost_of_claims, cost_of_entries])
def test_large_claims_and_entries_cost_what_they_weigh(
    work: Callable[[str, Path], Cost], shape: str, tmp_path: Path
) -> None:
    assert (cost := work(shape, tmp_path)).bounded, cost


@pytest.mark.parametrize("shape", QUICK_IMPORTS)
def test_bad_rows_cost_what_they_weigh(shape: str, tmp_path: Path) -> None:
    assert (cost := cost_of_import(shape, tmp_path)).bounded, cost


@pytest.mark.slow
@pytest.mark.parametrize("shape", SLOW_IMPORTS)
def test_many_bad_rows_cost_what_they_weigh(shape: str, tmp_path: Path) -> None:
    assert (cost := cost_of_import(shape, tmp_path)).bounded, cost


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["missing pictures"])
def test_bad_rows_that_are_left_out_cost_what_they_weigh(shape: str, tmp_path: Path) -> None:
    assert (cost := cost_of_import(shape, tmp_path, "--skip-bad")).bounded, cost


@pytest.mark.parametrize("shape", sorted(TABLES))
def test_a_file_that_unpacks_to_much_costs_what_it_weighs(shape: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert (cost := cost_of_table(shape, tmp_path)).bounded, cost
    assert cost.size_bytes < 8 * MIB


QUICK_TABLES = ("a dictionary of 20 MiB",)


@pytest.mark.parametrize("shape", QUICK_TABLES)
def test_parquet_that_shrinks_little_costs_what_it_weighs(shape: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert (cost := cost_of_table(shape, tmp_path)).bounded, cost


@pytest.mark.slow
@pytest.mark.parametrize("shape", sorted(set(LARGE_TABLES) - set(QUICK_TABLES)))
def test_large_parquet_costs_what_it_weighs(shape: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert (cost := cost_of_table(shape, tmp_path)).bounded, cost


QUICK_PACKED = ("packed messages", "packed rows")


def taken_in(shape: str, folder: Path) -> None:
    """Import a file of as many rows as one of its size may hold, and demand that all are there."""
    if shape == "packed columns":
        pytest.importorskip("pyarrow")
    assert (cost := cost_of_table(shape, folder)).bounded, cost
    with CaptureStore.open_to_read(folder / "captures") as store:
        assert len(store) > file_limits.MAX_UNPACKED_ROWS or shape == "packed messages"


@pytest.mark.parametrize("shape", QUICK_PACKED)
def test_packed_rows_that_are_taken_in_cost_what_they_weigh(shape: str, tmp_path: Path) -> None:
    taken_in(shape, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("shape", sorted(set(PACKED) - set(QUICK_PACKED)))
def test_many_packed_rows_that_are_taken_in_cost_what_they_weigh(
    shape: str, tmp_path: Path
) -> None:
    taken_in(shape, tmp_path)


def test_one_blob_under_four_thousand_names_is_read_once(tmp_path: Path) -> None:
    parts = make_parts(tmp_path)
    members = {RECEIPT: parts.receipt(), **parts.members()}
    members["README.md"] = b"x" * (200 * 1024)
    manifest = share_one_blob(members, "README.md", "checkpoint-{:08d}.safetensors", 4000)
    path = write_raw(tmp_path / "x.kolm", manifest, members)
    cost = cost_of_command(["verify", str(path)], path.stat().st_size)
    assert cost.bounded, cost
    assert cost.memory_bytes < 128 * MIB
    ran = invoke("--json", "verify", str(path))
    assert ran.code == 1
    checks = {check["id"]: check for check in ran.document()["checks"]}
    assert checks["V04"]["findings"][0]["code"] == "E_MEMBER_EQUAL"
    assert invoke("inspect", str(path), "--unpack", str(tmp_path / "unpacked")).code == 1
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize("holes", [300 * 1024 * MIB, 1024 * MIB])
def test_a_file_of_holes_stalls_no_registry(tmp_path: Path, holes: int) -> None:
    world = World.make(tmp_path)
    assert invoke("keys", "new").code == 0
    from kolm.sign.keystore import KeyStore

    key = KeyStore(tmp_path / "home" / "keys").load("default", lambda _: None)
    bundle = world.parts.seal(tmp_path / "toy.kolm", key=key)
    Directory.create(tmp_path / "registry")
    place = ["--registry", str(tmp_path / "registry"), "--allow-below-gate"]
    assert invoke("registry", "publish", str(bundle), "toy@1.0.0", *place).code == 0
    blob = tmp_path / "registry/blobs/sha256" / digest.hex_of(file_digests.of_file(bundle))
    with blob.open("r+b") as stream:
        stream.truncate(holes)
    for words in (["verify"], ["pull", "toy", "-o", str(tmp_path / "out.kolm")], ["show", "toy"]):
        asked = ["--json", "registry", *words, *place[:2]]
        cost = cost_of_command(asked, bundle.stat().st_size)
        assert cost.bounded, cost
        ran = invoke(*asked)
        assert ran.code == 1
        assert "E_BLOB_DIGEST" in ran.stdout
    # As a file of one's own: refused before it is read.
    ran = invoke("--json", "verify", str(blob))
    assert ran.code == 1
    code = "E_CONTAINER_LIMIT" if holes > 64 * 1024 * MIB else "E_CONTAINER_HOLES"
    assert canonical.loads(ran.stdout.encode(), where="x")["error"]["code"] == code
