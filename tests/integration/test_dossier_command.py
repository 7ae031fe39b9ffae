"""``kolm dossier``: a folder of documents from a bundle that verifies, and from no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kolm import canonical, digest
from kolm.sign.trust import FILE_NAME
from kolm.version import VERSION
from tests.support.audits import World
from tests.support.commands import invoke

FILES = [
    "README.md", "bom.cdx.json", "bom.spdx.json", "croissant.json", "dossier.json", "dossier.md",
    "eu-annex-xi.md", "eu-annex-xii.md", "eu-training-content.md", "g7-sbom-for-ai.md",
    "owasp-aisvs.md",
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("dossier"))


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return world.home(tmp_path, monkeypatch)


def test_the_folder_holds_every_document_and_the_answer_says_the_share(
    world: World, home: Path
) -> None:
    path = world.seal()
    ran = invoke("dossier", path)
    assert ran.code == 0, ran.stderr
    assert sorted(file.name for file in (home / f"{path.stem}.dossier").iterdir()) == FILES
    assert "stated fields recomputed from bytes" in ran.stdout
    assert "provider, contact" in ran.stdout
    answer = canonical.loads(invoke("dossier", path, "--json").stdout.encode(), where="answer")
    assert answer["files"] == FILES
    assert answer["counts"]["recomputed"] > answer["counts"]["declared"]
    assert "provider" in answer["not_stated"]


def test_two_folders_hold_the_same_bytes(world: World, home: Path) -> None:
    path = world.seal()
    for folder in ("one", "two"):
        assert invoke("dossier", path, "-o", folder).code == 0
    for name in FILES:
        assert (home / "one" / name).read_bytes() == (home / "two" / name).read_bytes(), name


@pytest.fixture
def kept(world: World, home: Path) -> tuple[Path, Path]:
    """A bundle, and an audit of it as it was kept."""
    path, audit = world.seal(), home / "audit.json"
    ran = invoke("verify", path, "--json")
    assert ran.code == 0, ran.stderr
    audit.write_text(ran.stdout)
    return path, audit


def test_an_audit_that_was_kept_gives_what_it_gave(home: Path, kept: tuple[Path, Path]) -> None:
    path, audit = kept
    assert invoke("dossier", path, "-o", "again", "--audit", audit).code == 0
    assert invoke("dossier", path, "-o", "now").code == 0
    for name in FILES:
        assert (home / "again" / name).read_bytes() == (home / "now" / name).read_bytes(), name
    assert invoke("report", path, "-o", "again.html", "--audit", audit).code == 0


def test_an_audit_of_another_file_is_not_taken(
    world: World, home: Path, kept: tuple[Path, Path]
) -> None:
    path, audit = kept
    other = world.parts.copy()
    other.evaluation["covered"] = 1
    ran = invoke("dossier", world.seal(other), "-o", "out", "--audit", audit)
    assert (ran.code, "E_AUDIT_ANOTHER" in ran.stderr) == (1, True)
    kept_text = audit.read_text()
    renamed = canonical.loads(kept_text.encode(), where="audit")
    renamed["bundle"]["digest"] = digest.of_bytes(b"another")
    audit.write_bytes(canonical.dumps(renamed))
    for command in ("dossier", "report"):
        ran = invoke(command, path, "-o", "out", "--audit", audit)
        assert (ran.code, "E_AUDIT_ANOTHER" in ran.stderr + ran.stdout) == (1, True)
    audit.write_text(kept_text)
    older = audit.read_text().replace(f'"kolm":"{VERSION}"', '"kolm":"0.0.1"')
    assert older != audit.read_text()
    audit.write_text(older)
    ran = invoke("dossier", path, "-o", "out", "--audit", audit)
    assert (ran.code, "E_AUDIT_ANOTHER" in ran.stderr, "0.0.1" in ran.stderr) == (1, True, True)
    assert not (home / "out").exists()


def test_a_file_that_was_changed_since_is_refused_for_what_it_is(
    home: Path, kept: tuple[Path, Path]
) -> None:
    path, audit = kept
    data = bytearray(path.read_bytes())
    place = data.index(b"base_model_name_or_path")  # of a member, which the index does not show
    data[place] ^= 1
    path.write_bytes(data)
    ran = invoke("dossier", path, "-o", "out", "--audit", audit)
    assert (ran.code, "E_AUDIT_ANOTHER" in ran.stderr) == (1, False)
    assert not (home / "out").exists()


@pytest.mark.usefixtures("home")
def test_an_audit_takes_no_settings_of_another(kept: tuple[Path, Path]) -> None:
    path, audit = kept
    ran = invoke("dossier", path, "--audit", audit, "--rescore", "all", "--captures", "store")
    assert (ran.code, "E_AUDIT_TWICE" in ran.stderr, "--rescore" in ran.stderr) == (2, True, True)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("text", ["", "{}", '{"schema":"urn:kolm:verification:v1"}', "[1]"])
def test_what_is_no_audit_is_told(text: str, kept: tuple[Path, Path]) -> None:
    path, audit = kept
    audit.write_text(text)
    ran = invoke("dossier", path, "--audit", audit)
    assert (ran.code, "E_AUDIT_BROKEN" in ran.stderr) == (3, True)


def test_an_audit_that_contradicts_itself_is_none(world: World, home: Path) -> None:
    forged = world.parts.copy()
    forged.evaluation["covered"] = 1
    path, audit = world.seal(forged), home / "audit.json"
    said = canonical.loads(invoke("verify", path, "--json").stdout.encode(), where="audit")
    said["conclusions"]["overall"]["verdict"] = "ok"  # and V33 still failed
    audit.write_bytes(canonical.dumps(said))
    ran = invoke("dossier", path, "-o", "out", "--audit", audit)
    assert (ran.code, "E_AUDIT_BROKEN" in ran.stderr) == (3, True)
    assert not (home / "out").exists()


def test_a_bundle_that_does_not_verify_has_no_dossier(world: World, home: Path) -> None:
    forged = world.parts.copy()
    forged.evaluation["covered"] = 1
    ran = invoke("dossier", world.seal(forged), "-o", "out")
    assert ran.code == 1
    assert "E_BUNDLE_NOT_VERIFIED" in ran.stderr
    assert "V33" in ran.stderr
    assert not (home / "out").exists()


def test_a_bundle_of_strangers_has_no_dossier(world: World, home: Path) -> None:
    (home / FILE_NAME).unlink()
    ran = invoke("dossier", world.seal(), "-o", "out")
    assert ran.code == 3
    assert "E_BUNDLE_NOT_CHECKED" in ran.stderr
    assert not (home / "out").exists()


def test_what_is_no_bundle_has_no_dossier(home: Path) -> None:
    (home / "notes.kolm").write_text("hello")
    assert invoke("dossier", "notes.kolm").code == 3
    assert not (home / "notes.dossier").exists()


def test_a_declaration_that_the_policy_demands_is_demanded(world: World, home: Path) -> None:
    path = world.seal()
    invoke("policy", "new", "--for", "release")
    policy = home / "release.policy.yaml"
    policy.write_text(policy.read_text("utf-8") + "dossier: [provider, energy]\n", "utf-8")
    ran = invoke("dossier", path, "--policy", policy)
    assert ran.code == 1
    assert "V67" in ran.stderr


def test_a_file_of_somebody_else_stays_and_nothing_is_written_beside_it(
    world: World, home: Path
) -> None:
    path = world.seal()
    folder = home / "out"
    folder.mkdir()
    (folder / "dossier.md").write_text("mine")
    ran = invoke("dossier", path, "-o", folder)
    assert ran.code == 2
    assert "E_TARGET_EXISTS" in ran.stderr
    assert [file.name for file in folder.iterdir()] == ["dossier.md"]
    assert invoke("dossier", path, "-o", folder, "--force").code == 0
    assert (folder / "dossier.md").read_text() != "mine"
    assert invoke("dossier", path, "-o", folder).code == 0  # its own files may stay


def test_a_dossier_needs_no_model_library(world: World, home: Path) -> None:
    """Neither torch nor an image library nor a socket."""
    code = (
        "import sys, socket; socket.socket = None\n"
        "from kolm.cli.main import main\n"
        f"assert main(['dossier', {str(world.seal())!r}, '-o', 'out']) == 0\n"
        "heavy = {'torch', 'transformers', 'peft', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
