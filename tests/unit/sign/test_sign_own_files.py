"""Files that decide who is believed: others who may change them are a reason to stop."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kolm import canonical
from kolm.errors import Denied, KolmError, Refused
from kolm.sign import private_keys, trust_changes
from kolm.sign.keystore import KeyStore
from kolm.sign.trust import FILE_NAME, TrustStore
from kolm.verify.policy import load_policy
from tests.support.audits import trusting
from tests.support.commands import invoke

EMPTY = canonical.dumps(TrustStore().to_document())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("KOLM_HOME", str(folder))
    (folder / FILE_NAME).write_bytes(EMPTY)
    (folder / FILE_NAME).chmod(0o600)
    return folder


def _code(error: pytest.ExceptionInfo[KolmError]) -> str:
    return error.value.code


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_trust_file_that_others_may_write_is_not_believed(home: Path, mode: int) -> None:
    assert TrustStore.load(home) == TrustStore()
    (home / FILE_NAME).chmod(mode)
    with pytest.raises(Denied) as denied:
        TrustStore.load(home)
    assert _code(denied) == "E_OWN_FILE"
    assert "chmod go-w" in denied.value.hint
    assert invoke("keys", "list").code == 4


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_holds_no_trust_and_no_keys(home: Path, mode: int) -> None:
    KeyStore(home / "keys").create("default", private_keys.generate(), None)
    home.chmod(mode)
    with pytest.raises(Denied) as denied:
        TrustStore.load(home)
    assert _code(denied) == "E_OWN_FILE"
    with pytest.raises(Denied):
        KeyStore(home / "keys").load("default", lambda _: None)
    with pytest.raises(Denied):
        KeyStore(home / "keys").create("other", private_keys.generate(), None)
    with pytest.raises(Denied):
        trust_changes.change(
            home, lambda store: trust_changes.adding(store, trusting(private_keys.generate()))
        )


def test_the_folder_of_keys_counts_too(home: Path) -> None:
    store = KeyStore(home / "keys")
    store.create("default", private_keys.generate(), None)
    store.folder.chmod(0o777)
    with pytest.raises(Denied):
        store.load("default", lambda _: None)
    store.folder.chmod(0o1777)  # sticky: only its owner replaces a file
    assert store.load("default", lambda _: None)


def test_a_link_is_held_to_where_it_leads(home: Path, tmp_path: Path) -> None:
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    (loose / "t.json").write_bytes(EMPTY)
    (home / FILE_NAME).unlink()
    (home / FILE_NAME).symlink_to(loose / "t.json")
    with pytest.raises(Denied):
        TrustStore.load(home)
    loose.chmod(0o755)
    assert TrustStore.load(home) == TrustStore()


def test_a_pipe_never_makes_anybody_wait(home: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for read in (TrustStore.load_file, load_policy):
        with pytest.raises(Refused) as refused:
            read(pipe)
        assert _code(refused) == "E_FILE_KIND"
    (home / FILE_NAME).unlink()
    os.mkfifo(home / FILE_NAME, 0o600)
    with pytest.raises(Refused):
        TrustStore.load(home)
    store = KeyStore(home / "keys")
    store.create("default", private_keys.generate(), None)
    (store.folder / "default.pub.pem").unlink()
    os.mkfifo(store.folder / "default.pub.pem", 0o600)
    with pytest.raises(Refused):
        store.public("default")


def test_a_lock_that_is_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").touch()
    (home / f".{FILE_NAME}.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(KolmError) as error:
        trust_changes.change(home, lambda store: store)
    assert _code(error) == "E_LINK"


def test_a_named_file_may_be_a_groups_but_not_everybodys(tmp_path: Path) -> None:
    file = tmp_path / "trust.json"
    file.write_bytes(EMPTY)
    file.chmod(0o664)
    assert TrustStore.load_file(file) == TrustStore()
    file.chmod(0o666)
    with pytest.raises(Denied):
        TrustStore.load_file(file)
    with pytest.raises(Denied):
        load_policy(file)


@pytest.mark.parametrize(
    "text", [r'{"a":"\ud800"}', r'{"\udc00":1}', r'["x",["\udbff\u0041"]]', r'"\uDFFF\uD800"']
)
def test_a_lone_surrogate_is_a_typed_error_in_every_document(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refused) as refused:
        canonical.loads(text.encode(), where="x")
    assert _code(refused) == "E_JSON_VALUE"
    file = tmp_path / "x.json"
    file.write_text(text)
    for read in (TrustStore.load_file, load_policy):
        with pytest.raises(KolmError):
            read(file)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert canonical.loads(rb'["\ud83d\ude00", "\\ud800"]', where="x") == ["\U0001f600", "\\ud800"]


@pytest.mark.parametrize("umask", [0o002, 0o000, 0o077])
def test_folders_that_kolm_makes_are_its_owners_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    (tmp_path / "deep").mkdir(mode=0o700)
    home = tmp_path / "deep" / "home"
    monkeypatch.setenv("KOLM_HOME", str(home))
    old = os.umask(umask)
    try:
        assert invoke("keys", "new").code == 0
        assert invoke("keys", "list").code == 0
        assert invoke("keys", "new", "--name", "second").code == 0
    finally:
        os.umask(old)
    for path in (home, home / "keys"):
        assert path.stat().st_mode & 0o022 == 0
