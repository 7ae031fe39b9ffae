"""A bundle that changes after it was opened: what was verified is what is used.

Every command that verifies and then uses a bundle, against every way to change a file: whatever
is done to it between the two, the weights that come to be used, and the bundle that is reported
on, described or signed, are the ones that were verified.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import actions, digest, file_digests, paths
from kolm.actions import (
    children,
    dossiers,
    earlier,
    endorsing,
    evaluating,
    reporting,
    running,
    usable,
    verification,
)
from kolm.bundle.held import hold
from kolm.bundle.ranges import Ranges
from kolm.bundle.reader import Bundle
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Unreadable
from kolm.registry.backends.directory import Directory
from kolm.registry.check import Passed, verified
from kolm.registry.publish import Publisher
from kolm.registry.references import parse_target
from kolm.report.facts import Facts
from kolm.sign import private_keys
from kolm.sign.keystore import KeyStore
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore
from tests.support.audits import NOW, World

WEIGHTS = "adapter_model.safetensors"


def rewrite(path: Path, evil: bytes) -> None:
    """Other weights in the place of the verified ones, through the same file."""
    with path.open("r+b") as stream:
        stream.write(evil)


def rename(path: Path, evil: bytes) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(evil)
    other.replace(path)


def truncate(path: Path, evil: bytes) -> None:
    os.truncate(path, 1024)


def rewrite_and_back(path: Path, evil: bytes) -> None:
    """The file is whole again in the end, and its times look as before."""
    honest, times = path.read_bytes(), path.stat()
    rewrite(path, evil)
    path.write_bytes(honest)
    rewrite(path, evil)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


CHANGES = (rewrite, rename, truncate, rewrite_and_back)


class Used(Exception):
    """Ends a command where it would hand the weights to a model."""


class Race:
    """An honest bundle, and the file that an attacker has ready for the moment after."""

    def __init__(self, folder: Path) -> None:
        self.world = World.make(folder)
        evil = self.world.parts.copy()
        evil.tensors = {n: (d, s, raw[::-1]) for n, (d, s, raw) in evil.tensors.items()}
        evil.retouch()
        self.evil = self.world.seal(evil).read_bytes()
        self.evil_id = evil.content_id()
        self.path = self.world.seal()
        self.honest = digest.of_bytes(Bundle.open(self.path).member(WEIGHTS))
        self.used: list[digest.Digest] = []

    def see(self, folder: Path) -> None:
        self.used.append(file_digests.of_file(folder / WEIGHTS))
        raise Used

    def changing(self, change: Callable[[Path, bytes], None]) -> Callable[..., Any]:
        """A verification after which the file is changed."""

        def verify_then_change(bundle: Any, **options: Any) -> Any:
            options.pop("policy", None)
            report = self.world.look(bundle, base=options.get("base")).report
            change(self.path, self.evil)
            return report

        return verify_then_change


@pytest.fixture
def race(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Race:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    made = Race(tmp_path)
    KeyStore(paths.config_folder() / "keys").create("default", made.world.publisher, None)
    store = tmp_path / "captures"
    with CaptureStore.open(store, create=True) as opened, opened.adding() as adding:
        adding.commit()
    return made


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("command", ["run", "load"])
def test_run_and_load_use_what_was_verified(
    race: Race, change: Any, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from tests.support.pictures import picture

    (tmp_path / "x.png").write_bytes(picture(0))
    monkeypatch.setattr(usable, "verify", race.changing(change))
    monkeypatch.setattr(running, "open_session", lambda s, *_, **__: race.see(s.adapter_folder))
    with pytest.raises(Used):
        if command == "run":
            actions.run(
                race.path, images=[tmp_path / "x.png"], prompt="?", base=race.world.parts.base
            )
        else:
            actions.load(race.path, base=race.world.parts.base)
    assert race.used == [race.honest]


@pytest.mark.parametrize("change", CHANGES)
def test_eval_scores_what_was_verified(
    race: Race, change: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(usable, "verify", race.changing(change))
    monkeypatch.setattr(evaluating, "_write_pack", lambda *_: (b"", digest.of_bytes(b"")))
    monkeypatch.setattr(children, "run", lambda _, folder, **__: race.see(folder))
    with pytest.raises(Used):
        actions.evaluate_bundle(
            race.path, captures=tmp_path / "captures", base=race.world.parts.base
        )
    assert race.used == [race.honest]


@pytest.mark.parametrize("change", CHANGES)
def test_a_score_is_added_to_nothing_but_the_bundle_that_it_is_of(race: Race, change: Any) -> None:
    from kolm.bundle import writer

    scored = Bundle.open(race.path).content_id
    change(race.path, race.evil)
    before = race.path.read_bytes()
    claim = race.world.parts.claims(race.world.publisher)[0]
    with pytest.raises(KolmError):
        writer.add_claims(race.path, [claim], content_id=scored)
    assert race.path.read_bytes() == before


@pytest.mark.parametrize("change", CHANGES)
def test_rescore_runs_what_is_verified(
    race: Race, change: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from kolm.train import profile

    def children_run(task: str, folder: Path, **__: Any) -> None:
        if task == "rescore":  # the other child encodes captures, and needs no weights
            race.used.append(file_digests.of_file(folder / WEIGHTS))
        raise KolmError("E_TEST", "seen")

    def measured(*_: Any, **__: Any) -> Any:
        change(race.path, race.evil)
        return {"class": "sha256:" + "0" * 64}

    monkeypatch.setattr(children, "run", children_run)
    monkeypatch.setattr(profile, "environment_class", measured)
    monkeypatch.setattr(profile, "strict_environment", lambda *_: {})
    original = Bundle.unpack

    def unpack(self: Bundle, folder: Path) -> None:
        change(race.path, race.evil)
        original(self, folder)

    monkeypatch.setattr(Bundle, "unpack", unpack)
    verification.verify(
        race.path,
        trust=race.world.trust,
        base=race.world.parts.base,
        captures=tmp_path / "captures",
        rescore=2,
    )
    assert race.used == [race.honest]


@pytest.mark.parametrize("change", CHANGES)
def test_publish_keeps_what_was_verified(race: Race, change: Any, tmp_path: Path) -> None:
    key, world = race.world.publisher, race.world
    trust = TrustStore(
        (TrustedKey(name="me", key=key.public, roles=frozenset(KeyRole), names=("*",)),)
    )
    registry = Directory.create(tmp_path / "registry")
    whole = file_digests.of_file(race.path)

    passing = verified(trust=trust, now=NOW)

    def check(held: Any) -> Passed:
        passed = passing(held)
        change(race.path, race.evil)
        return passed

    name, version = parse_target("demo@1.0.0")
    published = Publisher(key=key, trust=trust, check=check).publish(
        registry, race.path, name, version
    )
    kept = hold(registry.path_of(published.entry["file"]["digest"]))
    assert kept.digest == whole
    assert published.entry["bundle"] == world.parts.content_id()


def _reported(race: Race, _: Path) -> bytes:
    return reporting.report(race.path).page


def _described(race: Race, _: Path) -> bytes:
    return b"".join(dossiers.dossier(race.path).files.values())


def _endorsed(race: Race, folder: Path) -> bytes:
    endorsing.endorse(race.path, key="second", trust=race.world.trust, output=folder / "copy.kolm")
    copy = Bundle.open(folder / "copy.kolm")
    race.used.append(digest.of_bytes(copy.member(WEIGHTS)))
    return copy.content_id.encode()


def _signed_as_a_model(race: Race, folder: Path) -> bytes:
    made = endorsing.sign_model(race.path, folder / "model", key="second", trust=race.world.trust)
    race.used.append(file_digests.of_file(folder / "model" / WEIGHTS))
    return made.content_id.encode()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("write", [_reported, _described, _endorsed, _signed_as_a_model])
def test_what_is_written_about_a_bundle_is_about_the_one_that_was_verified(
    race: Race, change: Any, write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    second = private_keys.generate("p256")
    KeyStore(paths.config_folder() / "keys").create("second", second, None)
    for module in (earlier, endorsing):
        monkeypatch.setattr(module, "verify", race.changing(change))

    def seen(bundle: Bundle, *rest: Any) -> Facts:
        race.used.append(digest.of_bytes(bundle.member(WEIGHTS)))
        return Facts(bundle, *rest)

    for module in (reporting, dossiers):
        monkeypatch.setattr(module, "Facts", seen)
    told = write(race, tmp_path)
    assert race.world.parts.content_id().encode() in told
    assert race.evil_id.encode() not in told
    assert race.used == [race.honest]


def base_rewritten(base: Path) -> None:
    shard = next(base.glob("*.safetensors"))
    times = shard.stat()
    with shard.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))


def base_replaced(base: Path) -> None:
    shutil.copy2(base / "config.json", base / "other")
    (base / "other").replace(base / "config.json")


def base_cut(base: Path) -> None:
    os.truncate(next(base.glob("*.safetensors")), 100)


def base_added_to(base: Path) -> None:
    (base / "generation_config.json").write_text("{}")


BASE_CHANGES = (base_rewritten, base_replaced, base_cut, base_added_to)


@pytest.mark.parametrize("change", BASE_CHANGES)
@pytest.mark.parametrize("loads", [True, False], ids=["loads", "does not load"])
@pytest.mark.parametrize("command", ["load", "eval", "rescore"])
def test_a_base_that_changes_after_it_was_measured_is_not_used(
    race: Race,
    change: Any,
    loads: bool,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from kolm.train import profile

    base, captures = race.world.parts.base, tmp_path / "captures"

    def load(*_: Any, **__: Any) -> Any:
        change(base)
        if not loads:
            raise ValueError("file not fully covered")

    monkeypatch.setattr(running, "open_session", load)
    monkeypatch.setattr(usable, "verify", race.changing(lambda *_: None))
    monkeypatch.setattr(evaluating, "_write_pack", lambda *_: (b"", digest.of_bytes(b"")))
    monkeypatch.setattr(children, "run", load)
    monkeypatch.setattr(
        profile, "environment_class", lambda *_, **__: {"class": "sha256:" + "0" * 64}
    )
    monkeypatch.setattr(profile, "strict_environment", lambda *_: {})
    with pytest.raises(KolmError) as stopped:
        if command == "load":
            running.load(race.path, base=base)
        elif command == "eval":
            monkeypatch.setattr(evaluating, "evaluate", lambda *_: {})
            monkeypatch.setattr(evaluating.files, "read_rows", lambda *_: [])
            monkeypatch.setattr(evaluating.files, "read_document", lambda *_: {})
            monkeypatch.setattr(evaluating.sealing, "score_report", lambda *_, **__: {})
            evaluating.evaluate_bundle(race.path, captures=captures, base=base)
        else:
            verification.verify(
                race.path, trust=race.world.trust, base=base, captures=captures, rescore=2
            )
    assert stopped.value.code == "E_BASE_CHANGED"


def test_no_file_of_a_base_is_mapped_into_the_users_own_process(
    race: Race, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who cuts a mapped file ends the process that reads it."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(running, "open_session", lambda *_, **how: asked.append(how))
    monkeypatch.setattr(usable, "verify", race.changing(lambda *_: None))
    running.load(race.path, base=race.world.parts.base, device="cpu")
    assert [how["copied"] for how in asked] == [True]


def test_a_shard_that_is_cut_while_it_is_read_could_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "shard").write_bytes(bytes(100_000))
    with Ranges(tmp_path / "shard") as shard:
        assert shard[10:20] == bytes(10)
        os.truncate(tmp_path / "shard", 50_000)
        assert shard[49_990:50_000] == bytes(10)
        with pytest.raises(Unreadable):
            shard[49_990:60_000]
