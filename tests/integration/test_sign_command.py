"""``kolm sign``: a second party stands behind a bundle, and a policy counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm import canonical
from kolm.bundle.reader import Bundle
from kolm.sign import predicates
from kolm.sign.envelope import open_envelope
from kolm.sign.statement import Statement, parse
from kolm.sign.trust import FILE_NAME
from tests.support.audits import World
from tests.support.commands import invoke

POLICY = """\
schema: urn:kolm:policy:v1
name: two-of-three
claims:
  - {predicate: https://slsa.dev/provenance/v1, role: builder, threshold: 1}
  - {predicate: urn:kolm:endorsement:v1, role: endorser, threshold: 2}
same_signer: true
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("sign"))


@pytest.fixture
def home(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that trusts the publisher, has two keys of its own, and a policy."""
    monkeypatch.setenv("KOLM_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(canonical.dumps(world.trust.to_document()))
    for name in ("anna", "ben"):
        assert invoke("keys", "new", "--name", name).code == 0
    (tmp_path / "two.yaml").write_text(POLICY)
    return tmp_path


def endorsements(path: Path) -> list[Statement]:
    said = [parse(open_envelope(bytes(claim)).payload) for claim in Bundle.open(path).claims]
    return [one for one in said if one.predicate_type == predicates.ENDORSEMENT]


def test_two_of_them_meet_a_policy_that_one_does_not(world: World, home: Path) -> None:
    path = world.seal()
    content = Bundle.open(path).content_id
    verify = ("verify", path, "--policy", "two.yaml")
    assert invoke(*verify).code == 1
    made = invoke("sign", path, "--key", "anna", "--policy", "two.yaml", "--json")
    assert made.code == 0, made.stderr
    document = made.document()
    assert document["content_id"] == content
    assert document["claims"] == ["K-score", "modules", "provenance", "test-result"]
    assert invoke(*verify).code == 1
    assert invoke("sign", path, "--key", "ben", "--policy", "two.yaml").code == 0
    ran = invoke(*verify)
    assert ran.code == 0, ran.stdout
    assert Bundle.open(path).content_id == content
    assert [len(one.predicate["claims"]) for one in endorsements(path)] == [4, 4]  # type: ignore[arg-type]


def test_a_copy_gets_the_endorsement_and_the_bundle_stays(world: World, home: Path) -> None:
    path = world.seal()
    before = path.read_bytes()
    made = invoke("sign", path, "--key", "anna", "-o", "copy.kolm")
    assert made.code == 0, made.stderr
    assert path.read_bytes() == before
    assert len(endorsements(home / "copy.kolm")) == 1
    (home / "other").write_bytes(b"mine")
    assert invoke("sign", path, "--key", "anna", "-o", "other").code == 2
    assert (home / "other").read_bytes() == b"mine"


def test_what_does_not_pass_is_not_signed(world: World, home: Path) -> None:
    forged = world.parts.copy()
    forged.evaluation["covered"] = 1
    path = world.seal(forged)
    before = path.read_bytes()
    ran = invoke("sign", path, "--key", "anna", "--json")
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_BUNDLE_NOT_VERIFIED")
    assert path.read_bytes() == before
    unknown = world.seal(key=world.stranger)
    ran = invoke("sign", unknown, "--key", "anna", "--json")
    assert (ran.code, ran.error()["code"]) == (3, "E_BUNDLE_NOT_CHECKED")


def test_who_built_it_cannot_endorse_it(world: World, home: Path) -> None:
    (home / "keys" / "maker.pem").write_bytes(world.publisher.to_pem())
    (home / "keys" / "maker.pem").chmod(0o600)
    (home / "keys" / "maker.pub.pem").write_text(world.publisher.public.pem)
    path = world.seal()
    ran = invoke("sign", path, "--key", "maker", "--json")
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_SIGN_OWN")
    assert endorsements(path) == []
