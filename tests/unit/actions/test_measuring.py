"""Bases: hashed on all cores, remembered where that is safe, and read anew for what is signed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kolm import digest, file_digests
from kolm.actions import measuring, verification
from kolm.actions.measuring import RememberedDigests, measure, measure_now
from kolm.bundle import base_root as measured
from kolm.bundle.base_root import BaseFacts, FileStamp, base_root
from kolm.errors import Unreadable
from kolm.run.names import BASES
from tests.support.audits import World
from tests.support.toy_base import write_base

LATER_NS = 3_600 * 10**9
SHARDS = 2


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base that has lain there for an hour, and a home of its own for what is remembered."""
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    clock = measuring.time.time_ns
    monkeypatch.setattr(measuring.time, "time_ns", lambda: clock() + LATER_NS)
    return write_base(tmp_path / "base")


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home/cache" / BASES).iterdir())


def shard(base: Path) -> Path:
    return min(base.glob("*.safetensors"))


def flip(path: Path) -> None:
    """Change one weight, in place, and put the time of the last writing back."""
    times = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns


def forge(base: Path, tmp_path: Path) -> None:
    """Remember other digests for every shard, as whole and as private as the true ones."""
    folder = tmp_path / "home/cache" / BASES
    memory = RememberedDigests(folder, now_ns=2 * 10**18, believe=True)
    for path in base.glob("*.safetensors"):
        stamp = FileStamp.of(path.stat())
        known = memory.recall(stamp)
        assert known
        memory.remember(stamp, (digest.EMPTY, *known[1:]))


@pytest.mark.parametrize("cores", [1, 2, 7])
def test_the_root_does_not_depend_on_the_cores(
    base: Path, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(file_digests.os, "sched_getaffinity", lambda _: {0})
    alone = base_root(base)
    monkeypatch.setattr(file_digests.os, "sched_getaffinity", lambda _: set(range(cores)))
    assert base_root(base) == alone


def test_weights_that_were_hashed_are_not_read_again(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(base)
    assert (first.remembered, len(entries(tmp_path))) == (0, SHARDS)
    monkeypatch.setattr(measured, "tensor_digest", lambda *_: pytest.fail("a tensor was hashed"))
    assert measure(base) == first._replace(remembered=SHARDS)


def test_the_smaller_files_are_always_read(base: Path) -> None:
    before = measure(base)
    (base / "chat_template.jinja").write_text("{{ other }}")
    assert measure(base).root != before.root


def test_a_weight_that_changed_is_found_though_its_time_was_put_back(base: Path) -> None:
    before = measure(base)
    flip(shard(base))
    after = measure(base)
    assert after.remembered == SHARDS - 1
    assert after.root == base_root(base).root != before.root
    assert measure(base).remembered == SHARDS  # the changed file is known now


def test_a_file_in_the_place_of_another_is_read(base: Path, tmp_path: Path) -> None:
    measure(base)
    copy = tmp_path / "copy"
    copy.write_bytes(shard(base).read_bytes())
    facts = shard(base).stat()
    os.utime(copy, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    copy.replace(shard(base))
    assert measure(base).remembered == SHARDS - 1


def test_what_changed_a_moment_ago_is_not_remembered(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = max(path.stat().st_ctime_ns for path in base.glob("*.safetensors"))
    monkeypatch.setattr(measuring.time, "time_ns", lambda: changed + 10**9)
    measure(base)
    assert not (tmp_path / "home/cache" / BASES).exists()


def test_what_is_signed_is_read_whatever_is_remembered(base: Path, tmp_path: Path) -> None:
    true = measure(base).root
    forge(base, tmp_path)
    assert measure(base).root != true
    assert measure_now(base).root == true
    assert measure(base).root == true  # what was read took the forged digests' place


@pytest.mark.parametrize("mode", [0o660, 0o606])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_others_may_write_is_not_believed(
    base: Path, tmp_path: Path, what: str, mode: int
) -> None:
    true = measure(base).root
    forge(base, tmp_path)
    files = entries(tmp_path)
    for path in files if what == "file" else [files[0].parent]:
        path.chmod(mode | (0o111 if what == "folder" else 0))
    found = measure(base)
    assert (found.root, found.remembered) == (true, 0)


@pytest.mark.skipif(os.getuid() != 0, reason="giving a file away needs the rights of root")
def test_what_belongs_to_somebody_else_is_not_believed(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = measure(base).root
    forge(base, tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    for path in entries(tmp_path):
        os.chown(path, 1001, -1)
    found = measure(base)
    assert (found.root, found.remembered) == (true, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b"0", b"1", 1),
        lambda data: b"[]\n" + digest.of_bytes(b"[]").encode(),
        lambda data: b'{"file":"x"}\n' + digest.of_bytes(b'{"file":"x"}').encode(),
    ],
)
def test_a_damaged_memory_is_made_again(base: Path, tmp_path: Path, damage) -> None:
    true = measure(base)
    for path in entries(tmp_path):
        path.write_bytes(damage(path.read_bytes()))
    assert measure(base) == true
    assert measure(base) == true._replace(remembered=SHARDS)


def test_a_kill_while_it_is_written_leaves_what_was_there(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = measure(base)
    before = [path.read_bytes() for path in entries(tmp_path)]

    def killed(_: int) -> None:
        os.kill(os.getpid(), 9)

    child = os.fork()
    if not child:
        monkeypatch.setattr(os, "fsync", killed)
        measure_now(base)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == 9
    left = entries(tmp_path)
    assert len(left) == SHARDS + 1  # what it was writing, under a name that nobody asks for
    assert [p.read_bytes() for p in left if not p.name.endswith(".part")] == before
    assert measure(base) == true._replace(remembered=SHARDS)


def test_where_nothing_can_be_written_nothing_is_remembered(base: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("no folder")
    assert measure(base) == measure(base) == base_root(base)


def test_an_audit_says_what_it_did_not_read_again(base: Path, tmp_path: Path) -> None:
    world = World.make(tmp_path / "world")
    reports = [verification.verify(world.seal(), trust=world.trust, base=base) for _ in range(2)]
    told = [next(c for c in report.checks if c.id == "V41") for report in reports]
    assert [check.verdict.value for check in told] == ["ok", "ok"]
    assert "not read again" not in told[0].detail
    assert "2 weight files not read again" in told[1].detail


def test_a_base_that_changes_while_it_is_used_is_found(base: Path) -> None:
    before = measured.stamp(base)
    with measured.staying(base, before) as stamp:
        assert stamp == before
    flip(shard(base))
    with pytest.raises(Unreadable) as caught, measured.staying(base, before):
        pytest.fail("it was used")
    assert caught.value.code == "E_BASE_CHANGED"
    with pytest.raises(Unreadable), measured.staying(base):
        flip(shard(base))


def test_what_lies_on_another_file_system_is_read(base: Path) -> None:
    """A stick brings the times that its maker wrote: two of them can bear the same ones."""
    measure(base)
    assert measure(base).remembered == SHARDS
    elsewhere = FileStamp.of(shard(base).stat())
    elsewhere = elsewhere._replace(device=elsewhere.device + 1)
    memory = RememberedDigests(measuring.paths.cache_folder() / BASES, now_ns=2**62, believe=True)
    memory.remember(elsewhere, (digest.EMPTY,))
    assert memory.recall(elsewhere) is None


def test_every_field_of_a_stamp_counts(tmp_path: Path) -> None:
    memory = RememberedDigests(tmp_path / "kept", now_ns=10**18, believe=True)
    (tmp_path / "here").touch()
    stamp = FileStamp((tmp_path / "here").stat().st_dev, 2, 3, 4, 5)
    memory.remember(stamp, (digest.EMPTY,))
    assert memory.recall(stamp) == (digest.EMPTY,)
    for number in range(len(stamp)):
        other = [*stamp]
        other[number] += 1
        assert memory.recall(FileStamp(*other)) is None
    assert BaseFacts._field_defaults == {"remembered": 0}
