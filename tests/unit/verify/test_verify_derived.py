"""What an audit computed of a base is remembered, and believed as the digests beside it are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kolm import digest
from kolm.actions import measuring
from kolm.actions.measuring import measure, measure_now
from kolm.actions.verification import verify
from kolm.bundle.base_root import BaseFacts, FileStamp, base_root
from kolm.bundle.derived import Derived
from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import parse_header
from kolm.cli.main import main
from kolm.models.resolve import resolve_base
from kolm.records.verification import CheckResult
from kolm.verify import base_norms, loading
from tests.support.lines import ROOT

LATER_NS = 3_600 * 10**9
WEIGHTS = "model.safetensors"
BUNDLE = next((ROOT / "registry/blobs/sha256").iterdir())  # of a base in half precision
TRUST = ROOT / "registry/trust.json"


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The embedded base, as if it had lain here for an hour, and a home of its own."""
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    clock = measuring.time.time_ns
    monkeypatch.setattr(measuring.time, "time_ns", lambda: clock() + LATER_NS)
    shutil.copytree(resolve_base("kolm/nano-1").folder, tmp_path / "base")
    return tmp_path / "base"


def checks(base: Path, **looking: object) -> dict[str, CheckResult]:
    report = verify(BUNDLE, trust=TRUST, base=base, **looking)  # type: ignore[arg-type]
    return {check.id: check for check in report.checks}


def but_the_note(found: dict[str, CheckResult]) -> dict[str, CheckResult]:
    """Without what V41 says of files that were not read again."""
    return found | {"V41": found["V41"]._replace(detail="")}


def forge(base: Path, value: str) -> None:
    """Remember another value for everything that was computed."""
    memory, stamp = measuring.here(), FileStamp.of((base / WEIGHTS).stat())
    known = memory.derived(stamp)
    assert known
    memory.remember(stamp, memory.recall(stamp) or (), dict.fromkeys(known, value))


def flip(path: Path) -> None:
    """Change the last weight in place, and put the time of the last writing back."""
    times = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        last = stream.read(1)
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([last[0] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_it_is_not_computed_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = checks(base)
    assert [first[number].verdict.value for number in ("V27", "V41", "V42")] == ["ok"] * 3
    for module, name in ((base_norms, "square_sum"), (loading, "tensor_digest")):
        monkeypatch.setattr(module, name, lambda *_: pytest.fail("it was computed"))
    again = checks(base)
    assert "not read again" in again["V41"].detail
    assert but_the_note(again) == but_the_note(first)


def test_a_base_that_changed_is_told_of_as_if_nothing_were_remembered(base: Path) -> None:
    checks(base)
    flip(base / WEIGHTS)
    found = checks(base)
    assert found["V41"].verdict.value == "failed"
    assert found == checks(base, measure=base_root)
    assert but_the_note(checks(base)) == but_the_note(found)  # it is remembered as it is now


@pytest.mark.parametrize("junk", ["", "x", "0x1.8p", "[]"])
def test_a_norm_that_is_no_number_is_computed_again(base: Path, junk: str) -> None:
    first = checks(base)
    forge(base, junk)
    assert checks(base)["V27"] == first["V27"]


def test_what_others_may_write_is_not_believed(base: Path) -> None:
    first = checks(base)
    forge(base, digest.EMPTY)
    assert checks(base)["V42"].verdict.value == "failed"  # of one's own it is, as digests are
    (record,) = (base.parent / "home/cache/bases").iterdir()
    record.chmod(0o666)
    assert but_the_note(checks(base)) == but_the_note(first)


@pytest.mark.parametrize("kept", [0, 1, 0.5, 0.99])
def test_a_damaged_record_is_made_again(base: Path, kept: float) -> None:
    first = checks(base)
    (record,) = (base.parent / "home/cache/bases").iterdir()
    data = record.read_bytes()
    record.write_bytes(data[: int(len(data) * kept)] if kept != 1 else data.replace(b"0x1", b"0x2"))
    assert checks(base) == first


def test_what_is_signed_was_computed_by_who_signs_it(base: Path, tmp_path: Path) -> None:
    first = checks(base)
    forge(base, digest.EMPTY)
    assert checks(base, measure=measure_now) == first
    checks(base)
    forge(base, digest.EMPTY)
    assert main(["-q", "keys", "new"]) == 0
    asked = ["-q", "verify", str(BUNDLE), "--trust", str(TRUST), "--base", str(base)]
    copy = tmp_path / "audited.kolm"
    assert main([*asked, "--attest", "--output", str(copy)]) == 0
    assert copy.is_file()


class Opened:
    """The weights of a base that was measured, with what is remembered of it."""

    def __init__(self, base: Path, facts: BaseFacts) -> None:
        self.derived = Derived(base, facts.tensors, measuring.here())
        self.data = Ranges(base / WEIGHTS)
        self.entries = parse_header(self.data, where=WEIGHTS, canonical_form=False)

    def is_as_measured(self) -> bool:
        return self.derived.is_as_measured(WEIGHTS, self.data, self.entries)


def test_of_a_file_that_changed_meanwhile_nothing_is_kept(base: Path) -> None:
    facts, name = measure(base), digest.of_bytes(b"name")
    opened = Opened(base, facts)
    flip(base / WEIGHTS)
    assert not opened.is_as_measured()
    opened.derived.remember(WEIGHTS, {name: "1"})
    measure(base)  # the changed file is known, and it is not the one that was measured
    assert not opened.is_as_measured()
    opened.derived.remember(WEIGHTS, {name: "1"})
    opened = Opened(base, measure(base))
    assert opened.is_as_measured()
    assert opened.derived.recall(WEIGHTS, name) is None


def test_the_same_tensors_under_other_names_are_another_file(base: Path) -> None:
    facts = measure(base)
    one, other, *rest = facts.tensors
    swapped = one._replace(digest=other.digest), other._replace(digest=one.digest), *rest
    assert Opened(base, facts).is_as_measured()
    assert not Opened(base, facts._replace(tensors=swapped)).is_as_measured()


def test_ever_other_questions_do_not_make_a_record_grow(base: Path) -> None:
    facts = measure(base)
    most = measuring._MOST_DERIVED * len(facts.tensors)
    for start in (0, most // 2, most):
        opened = Opened(base, facts)
        assert opened.is_as_measured()
        names = [digest.of_value(number) for number in range(start, start + most // 2)]
        opened.derived.remember(WEIGHTS, dict.fromkeys(names, "1"))
        held = measuring.here().derived(FileStamp.of((base / WEIGHTS).stat()))
        assert len(held) <= most
        assert measure(base).remembered == 1
