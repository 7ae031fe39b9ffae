"""Every command that writes a file which the user names: what is there stays unless --force."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kolm import canonical
from kolm.bundle import writer
from kolm.bundle.reader import Bundle
from kolm.digest import Digest
from kolm.sign import making, predicates, private_keys
from kolm.sign.keystore import KeyStore
from tests.support.bundles import BundleParts, make_parts
from tests.support.commands import Ran, invoke
from tests.support.pictures import picture

MINE = b"precious"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KOLM_KEY_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert invoke("keys", "new").code == 0
    return tmp_path / "home"


def added_claim(content: Digest, key: private_keys.PrivateKey) -> bytes:
    """One more claim about a bundle, as somebody adds it later."""
    said = making.test_result(passed=["mine"], failed=[], configuration={"x": content})
    return making.seal(making.statement(content, "x", predicates.TEST_RESULT, said), key)


def code_of(ran: Ran) -> str:
    return str(ran.error()["code"])


def kept(path: Path, *command: str | Path) -> None:
    """Demand that a command keeps another file, follows links, and replaces it on request."""
    path.write_bytes(MINE)
    link = path.with_name("link-" + path.name)
    link.symlink_to(path)
    for name in (path, link):
        ran = invoke(*command, name, "--json")
        assert (ran.code, code_of(ran)) == (2, "E_TARGET_EXISTS"), ran.stderr
        assert path.read_bytes() == MINE
    ran = invoke(*command, link, "--force")
    assert ran.code == 0, ran.stderr
    assert link.is_symlink()
    assert path.read_bytes() != MINE


def test_a_public_key_over_a_file(tmp_path: Path) -> None:
    kept(tmp_path / "key.pem", "keys", "export", "-o")
    assert invoke("keys", "export", "-o", tmp_path / "key.pem").code == 0  # the same content


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_public_key_never_replaces_a_private_one(home: Path, force: tuple[str, ...]) -> None:
    secret = home / "keys" / "default.pem"
    before = secret.read_bytes()
    Path("link").symlink_to(secret)
    for target in (secret, Path("link")):
        ran = invoke("keys", "export", "-o", target, *force, "--json")
        assert (ran.code, code_of(ran)) == (2, "E_KEYS_EXPORT_OVER_PRIVATE")
    assert secret.read_bytes() == before
    assert KeyStore(home / "keys").load("default", lambda _: None)


def test_exports_of_captures_and_lists_of_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(picture(0))
    good = {"image": "0.png", "prompt": "what?", "response": "it"}
    lines = [good, {"image": "none.png", "prompt": "what?", "response": "it"}]
    (tmp_path / "rows.jsonl").write_bytes(canonical.dump_lines(lines))
    kept(tmp_path / "bad.jsonl", "capture", "import", "rows.jsonl", "--skip-bad", "--refused")
    kept(tmp_path / "out.jsonl", "capture", "export")
    for target in ("/dev/null", tmp_path / "null"):
        if not Path(target).exists():
            Path(target).symlink_to("/dev/null")
        ran = invoke("capture", "import", "rows.jsonl", "--skip-bad", "--refused", target)
        assert ran.code == 0
        assert Path("/dev/null").is_char_device()
    ran = invoke("capture", "export", "/dev/null", "--format", "jsonl", "--json")
    assert (ran.code, code_of(ran)) == (2, "E_EXPORT_IMAGES")
    assert not Path("/dev/null_images").exists()


def test_an_empty_store_is_exported_into_a_device(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(
        canonical.dump_lines([{"image": [], "prompt": "2+2?", "response": "4"}])
    )
    assert invoke("capture", "import", "rows.jsonl").code == 0
    command = [sys.executable, "-m", "kolm", "capture", "export", "/dev/stdout"]
    ran = subprocess.run(
        [*command, "--format", "jsonl"], capture_output=True, check=True, env=dict(os.environ)
    )
    (row,) = ran.stdout.splitlines()
    assert canonical.loads(row, where="")["response"] == "4"


def test_stdout_as_output_holds_the_file_and_nothing_else(home: Path) -> None:
    command = [sys.executable, "-m", "kolm", "keys", "export", "-o", "/dev/stdout"]
    public = (home / "keys" / "default.pub.pem").read_bytes()
    for more in ([], ["--json"], ["-q"]):
        ran = subprocess.run([*command, *more], capture_output=True, check=True)
        assert ran.stdout == public


@pytest.fixture
def parts(tmp_path: Path) -> BundleParts:
    return make_parts(tmp_path)


@pytest.fixture
def published(home: Path, parts: BundleParts, tmp_path: Path) -> Path:
    key = KeyStore(home / "keys").load("default", lambda _: None)
    path = parts.seal(tmp_path / "toy.kolm", key=key)
    assert invoke("registry", "init", "registry").code == 0
    assert invoke("push", path, "demo@1.0.0").code == 0
    return path


@pytest.mark.usefixtures("published")
def test_a_pulled_bundle_over_a_file(tmp_path: Path) -> None:
    kept(tmp_path / "mine.kolm", "pull", "demo", "-o")


def test_a_bundle_of_the_same_content_keeps_the_claims_that_were_added(
    home: Path, published: Path, tmp_path: Path
) -> None:
    key = KeyStore(home / "keys").load("default", lambda _: None)
    mine = tmp_path / "mine.kolm"
    assert invoke("pull", "demo", "-o", mine).code == 0
    content = Bundle.open(mine).content_id
    assert mine.read_bytes() == published.read_bytes()
    writer.add_claims(mine, [added_claim(content, key)])
    assert len(Bundle.open(mine).claims) == len(Bundle.open(published).claims) + 1
    before = mine.read_bytes()
    ran = invoke("pull", "demo", "-o", mine)
    assert ran.code == 0, ran.stderr
    assert mine.read_bytes() == before
    assert invoke("pull", "demo", "-o", mine, "--force").code == 0
    assert mine.read_bytes() == published.read_bytes()


def test_sealing_keeps_claims_of_the_same_content_and_other_files(
    home: Path, parts: BundleParts, tmp_path: Path
) -> None:
    key = KeyStore(home / "keys").load("default", lambda _: None)
    path = parts.seal(tmp_path / "toy.kolm", key=key)
    claims = Bundle.open(path).claims
    arguments = {"receipt": parts.receipt(), "members": parts.members()}
    writer.seal(path, **arguments)  # type: ignore[arg-type]
    assert Bundle.open(path).claims == claims
    (tmp_path / "link.kolm").symlink_to(path)
    writer.add_claims(tmp_path / "link.kolm", [added_claim(Bundle.open(path).content_id, key)])
    assert (tmp_path / "link.kolm").is_symlink()
    assert len(Bundle.open(path).claims) == len(claims) + 1


@pytest.mark.parametrize("name", ["kolm.yaml", ".gitignore"])
def test_a_project_is_not_started_over_a_file_or_a_link(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    ran = invoke("init", folder, "--json")
    assert ran.code == 1
    assert ran.document()["error"]["code"] == "E_INIT_EXISTS"
    assert not (tmp_path / "elsewhere").exists()
