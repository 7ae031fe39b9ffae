"""Commands over an intact bundle whose documents are not what they should be.

The container holds, so every digest is right; what the members say is a stranger's text.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical
from kolm.bundle import writer
from kolm.capture.store import CaptureStore
from kolm.sign import making, private_keys
from kolm.sign.envelope import open_envelope
from kolm.version import VERSION
from tests.support.bundles import BundleParts, make_parts
from tests.support.commands import invoke
from tests.support.pictures import picture

Forge = Callable[[BundleParts], None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").write_bytes(picture(0))
    CaptureStore.open(tmp_path / "captures", create=True).close()
    return tmp_path


def sealed(folder: Path, forge: Forge) -> Path:
    parts = make_parts(folder)
    forge(parts)
    return parts.seal(folder / "forged.kolm")


def refused(*arguments: str | Path) -> dict[str, Any]:
    ran = invoke("--json", *map(str, arguments))
    assert ran.code == 1, ran.stdout + ran.stderr
    return dict(ran.document()["error"])


@pytest.mark.parametrize("member", ["receipt.json", "evaluation.json"])
def test_inspect_refuses_a_document_that_fits_no_schema(folder: Path, member: str) -> None:
    bundle = sealed(folder, lambda parts: parts.overrides.update({member: b"{}"}))
    error = refused("inspect", bundle, "--unpack", folder / "unpacked")
    assert error["code"] == "E_SCHEMA"
    assert error["where"].startswith(member)
    assert not (folder / "unpacked").exists()


def test_inspect_shows_no_line_that_the_bundle_wrote(folder: Path) -> None:
    def forge(parts: BundleParts) -> None:
        receipt = canonical.loads(parts.receipt(), where="receipt")
        receipt["base"]["id"] = "x\n  verified   \x1b[32m✓ accepted by kolm verify\x1b[0m"
        parts.overrides["receipt.json"] = canonical.dumps(receipt)

    ran = invoke("--color", "always", "inspect", str(sealed(folder, forge)))
    assert "accepted by kolm verify" in ran.stdout
    assert not any(line.startswith("  verified") for line in ran.stdout.splitlines())
    assert "\x1b" not in ran.stdout


def test_inspect_names_a_claim_that_it_cannot_read_and_shows_the_others(folder: Path) -> None:
    """Anybody may add a claim; a newer kolm makes claims of other kinds."""
    parts, key = make_parts(folder), private_keys.generate()
    bundle, good = parts.seal(folder / "praised.kolm"), parts.claims(key)[0]
    statement = canonical.loads(open_envelope(good).payload, where="statement")
    statement["predicateType"] = "https://example.com/praise/v1"
    writer.add_claims(bundle, [good, making.seal(canonical.dumps(statement), key)])
    ran = invoke("--json", "inspect", str(bundle))
    assert ran.code == 0, ran.stderr
    shown = ran.document()["claims"]
    assert [row["key"] for row in shown] == [key.public.keyid] * 2
    assert [row["error"]["code"] for row in shown if "error" in row] == ["E_PREDICATE_UNKNOWN"]
    told = invoke("inspect", str(bundle)).stdout
    assert f"example.com/praise/v1  by key {key.public.keyid}: cannot be read: " in told


LOCKS: dict[str, Any] = {
    "empty": {},
    "list": {"base": []},
    "number": {"base": {"id": "owner/model", "revision": 5}},
}


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_run_refuses_a_lock_that_fits_no_schema(folder: Path, lock: Any) -> None:
    data = canonical.dumps(lock)
    bundle = sealed(folder, lambda parts: parts.overrides.update({"spec.lock.json": data}))
    error = refused("run", bundle, "--image", "x.png", "--prompt", "?")
    assert (error["code"], error["where"].split("#")[0]) == ("E_SCHEMA", "spec.lock.json")


def test_a_bundle_in_another_shape_says_what_to_do(folder: Path) -> None:
    """As an older kolm wrote it, before the lock had one of its keys."""

    def forge(parts: BundleParts) -> None:
        receipt = canonical.loads(parts.receipt(), where="receipt")
        older = {key: value for key, value in parts.lock.items() if key != "train"}
        parts.overrides["spec.lock.json"] = canonical.dumps(older)
        parts.overrides["receipt.json"] = canonical.dumps({**receipt, "kolm": "0.0.9"})

    bundle = sealed(folder, forge)
    hint = refused("run", bundle, "--image", "x.png", "--prompt", "?")["hint"]
    assert f"this is kolm {VERSION}, and the bundle says that kolm 0.0.9 made it" in hint
    assert "compile it again" in hint
    told = invoke("verify", str(bundle)).stdout
    assert "another kolm made it" in " ".join(told.split())
    assert "verify it with the kolm that made it" in " ".join(told.split())


@pytest.mark.parametrize(
    "name", ["~nosuchuser/x", "../../evil", "/etc/evil", "./evil", "evil", "a/b/c", "a/..", "a/b\n"]
)
def test_a_base_id_that_could_be_a_path_is_refused(folder: Path, name: str) -> None:
    bundle = sealed(folder, lambda parts: parts.lock["base"].update(id=name))
    assert refused("run", bundle, "--image", "x.png", "--prompt", "?")["code"] == "E_SCHEMA"
    report = invoke("--json", "verify", str(bundle)).document()
    (check,) = (check for check in report["checks"] if check["id"] == "V06")
    assert check["verdict"] == "failed"


@pytest.mark.parametrize("revision", ["../../../etc", "/etc", ".", "a/b", ""])
def test_a_revision_that_could_be_a_path_is_refused(folder: Path, revision: str) -> None:
    bundle = sealed(folder, lambda parts: parts.lock["base"].update(revision=revision))
    assert refused("run", bundle, "--image", "x.png", "--prompt", "?")["code"] == "E_SCHEMA"


def test_the_base_of_a_bundle_is_not_looked_for_in_the_working_folder(folder: Path) -> None:
    bundle = sealed(folder, lambda parts: parts.lock["base"].update(id="owner/model"))
    shutil.copytree(folder / "base", folder / "owner" / "model")
    ran = invoke("--json", "run", str(bundle), "--image", "x.png", "--prompt", "?")
    assert (ran.code, ran.error()["code"]) == (3, "E_BASE_NOT_FOUND")


def test_verify_answers_every_question_about_a_lock_that_fits_no_schema(folder: Path) -> None:
    bundle = sealed(folder, lambda parts: parts.overrides.update({"spec.lock.json": b"{}"}))
    ran = invoke("--json", "verify", str(bundle), "--captures", "captures", "--rescore", "2")
    assert ran.code == 1, ran.stderr
    verdicts = {check["id"]: check["verdict"] for check in ran.document()["checks"]}
    assert (verdicts["V06"], verdicts["V46"]) == ("failed", "not_checked")
