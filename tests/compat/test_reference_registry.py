"""The bundles that releases have left in registry/ are verified for ever, by every version."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kolm.bundle.reader import Bundle
from kolm.records.verification import Verdict
from kolm.registry.audit import audit
from kolm.registry.backends.directory import Directory
from kolm.registry.check import verified
from kolm.registry.history import read_history
from kolm.sign.trust import TrustStore
from kolm.verify.policy import BUILT_IN
from kolm.verify.subject import Auditor
from kolm.verify.verifier import verify
from tests.support.commands import invoke

REGISTRY = Path(__file__).parents[2] / "registry"
TRUST = REGISTRY / "trust.json"
BLOBS = sorted((REGISTRY / "blobs" / "sha256").glob("*"))
NOW = datetime(2026, 3, 1, tzinfo=UTC)  # it has no influence; the report carries it
MAX_BYTES = 3 << 20  # a checkout should stay quick
MAX_CASES = 300

each_bundle = pytest.mark.parametrize("path", BLOBS, ids=lambda path: path.name[:12])


def test_the_registry_is_not_empty() -> None:
    assert BLOBS, "registry/ holds no bundle; run: make reference"
    assert TRUST.is_file()


def test_everything_in_the_registry_holds() -> None:
    trust = TrustStore.load_file(TRUST)
    found = audit(Directory.open(REGISTRY), trust=trust, check=verified(trust=trust, now=NOW))
    assert found.problems == []
    assert found.orphans == []
    assert found.bundles == found.entries >= 1


def test_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path))
    ran = invoke("registry", "verify", "--registry", REGISTRY, "--trust", TRUST, "--json")
    assert ran.code == 0, ran
    assert ran.document()["bundles"] >= 1


@each_bundle
def test_every_check_that_needs_nothing_else_is_made_and_passed(path: Path) -> None:
    report = verify(path, Auditor(TrustStore.load_file(TRUST), NOW, BUILT_IN))
    bad = [c for c in report.checks if c.verdict in (Verdict.FAILED, Verdict.COULD_NOT_LOOK)]
    assert bad == []
    assert report.conclusions.overall.verdict is Verdict.OK
    passed = {check.id for check in report.checks if check.verdict is Verdict.OK}
    assert {f"V{number:02}" for number in (*range(1, 40), 62)} <= passed


@each_bundle
def test_it_is_small(path: Path) -> None:
    assert path.stat().st_size <= MAX_BYTES
    assert Bundle.open(path).document("evaluation.json")["cases"] <= MAX_CASES


@each_bundle
def test_one_bit_more_or_less_is_refused(path: Path, tmp_path: Path) -> None:
    for position in (0, path.stat().st_size // 2):
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        (tmp_path / "flipped.kolm").write_bytes(data)
        assert invoke("verify", tmp_path / "flipped.kolm", "--trust", TRUST).code in (1, 3)


def test_no_private_key_was_left_and_the_public_ones_can_do_little() -> None:
    for path in REGISTRY.rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes(), path
    for key in TrustStore.load_file(TRUST).keys:
        assert key.names == ("reference/*",), key.name


def test_every_entry_names_a_release_of_its_own() -> None:
    backend, trust = Directory.open(REGISTRY), TrustStore.load_file(TRUST)
    for name in backend.names():
        history = read_history(backend.entries(name), name=name, trust=trust)
        assert history.problems == (), name
        versions = [str(signed.version) for signed in history.entries]
        assert len(versions) == len(set(versions)), name
