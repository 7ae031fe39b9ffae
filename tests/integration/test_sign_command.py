"""``kolm sign``: a second party stands behind a bundle, and a policy counts it."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kolm import canonical
from kolm.actions.attesting import attest
from kolm.actions.endorsing import endorse
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.errors import Lacking
from kolm.sign import predicates
from kolm.sign.envelope import open_envelope
from kolm.sign.statement import Statement, parse
from tests.support.audits import World
from tests.support.commands import invoke
from tests.support.stamping import Authority, needs_openssl

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
    world.home(tmp_path, monkeypatch)
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
    assert document["claims"] == ["K-score", "compute", "modules", "provenance", "test-result"]
    assert invoke(*verify).code == 1
    assert invoke("sign", path, "--key", "ben", "--policy", "two.yaml").code == 0
    ran = invoke(*verify)
    assert ran.code == 0, ran.stdout
    assert Bundle.open(path).content_id == content
    assert [len(one.predicate["claims"]) for one in endorsements(path)] == [5, 5]  # type: ignore[arg-type]


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


def test_nothing_is_signed_by_a_clock_that_is_before_the_build(world: World, home: Path) -> None:
    path = world.seal()
    before, early = path.read_bytes(), datetime(2025, 12, 31, tzinfo=UTC)
    with pytest.raises(Lacking) as caught:
        endorse(path, key="anna", now=early)
    assert caught.value.code == "E_CLOCK_BEHIND"
    report = world.look(path).report._replace(checked_at=predicates.instant(early))
    with pytest.raises(Lacking) as caught:
        attest(open_container(path), report, world.publisher)
    assert caught.value.code == "E_CLOCK_BEHIND"
    assert path.read_bytes() == before


def test_who_built_it_cannot_endorse_it(world: World, home: Path) -> None:
    (home / "keys" / "maker.pem").write_bytes(world.publisher.to_pem())
    (home / "keys" / "maker.pem").chmod(0o600)
    (home / "keys" / "maker.pub.pem").write_text(world.publisher.public.pem)
    path = world.seal()
    ran = invoke("sign", path, "--key", "maker", "--json")
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_SIGN_OWN")
    assert endorsements(path) == []


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    pytest.importorskip("rfc3161_client", reason="the extra timestamp is not installed")
    made = Authority.make(tmp_path / "authority")
    (tmp_path / "chain.pem").write_text(made.chain)
    return made


class _Handler(BaseHTTPRequestHandler):
    """An authority behind an address of this machine."""

    authority: Authority
    broken = False

    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/timestamp-query"
        reply = b"busy" if self.broken else self.authority.stamp(query)
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(authority: Authority, *, broken: bool = False) -> Iterator[str]:
    kind = type("Handler", (_Handler,), {"authority": authority, "broken": broken})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


STAMPED = """\
schema: urn:kolm:policy:v1
name: stamped
claims:
  - {predicate: https://slsa.dev/provenance/v1, role: builder, threshold: 1}
  - predicate: urn:kolm:endorsement:v1
    role: endorser
    threshold: 1
    stamped: {after: 2026-01-01T00:00:00Z, before: 2090-01-01T00:00:00Z}
"""


@needs_openssl
def test_an_address_stamps_the_endorsement(world: World, home: Path, authority: Authority) -> None:
    (home / "stamped.yaml").write_text(STAMPED)
    path = world.seal()
    with served(authority) as url:
        made = invoke("sign", path, "--key", "anna", "--timestamp", url, "--json")
    assert made.code == 0, made.stderr
    document = made.document()
    assert document["stamped_at"] > "2026-01-01"
    assert document["stamped_by"] is None  # nobody has trusted it here yet
    assert invoke("verify", path, "--policy", "stamped.yaml").code == 3
    assert invoke("policy", "check", "stamped.yaml").code == 1
    trusted = invoke("keys", "authority", "chain.pem", "--as", "stamps", "--json")
    assert trusted.code == 0, trusted.stderr
    assert trusted.document()["subject"] == "CN=Test Stamps"
    listed = invoke("keys", "list", "--json").document()
    certificate = trusted.document()["certificate"]
    assert listed["authorities"] == [{"name": "stamps", "certificate": certificate}]
    ran = invoke("verify", path, "--policy", "stamped.yaml", "-v")
    assert ran.code == 0, ran.stdout
    assert f"time-stamped {document['stamped_at']} by stamps" in ran.stdout
    assert invoke("policy", "check", "stamped.yaml").code == 0


@needs_openssl
def test_a_stamp_travels_as_files(world: World, home: Path, authority: Authority) -> None:
    path = world.seal()
    invoke("keys", "authority", "chain.pem", "--as", "stamps")
    assert invoke("sign", path, "--key", "anna", "--timestamp-query", "q.tsq").code == 0
    (home / "r.tsr").write_bytes(authority.stamp((home / "q.tsq").read_bytes()))
    made = invoke("sign", path, "--timestamp-file", "r.tsr", "--json")
    assert made.code == 0, made.stderr
    assert made.document()["stamped_by"] == "stamps"
    assert made.document()["policy"] is None
    assert len(endorsements(path)) == 2  # with and without: others may name either
    assert invoke("verify", path).code == 0
    other = world.seal()
    ran = invoke("sign", other, "--timestamp-file", "r.tsr", "--json")
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_TIMESTAMP_WRONG")
    assert invoke("sign", path, "--timestamp-file", "r.tsr", "--key", "anna").code == 2


@needs_openssl
def test_nothing_is_signed_where_the_authority_gives_no_stamp(
    world: World, home: Path, authority: Authority
) -> None:
    path = world.seal()
    before = path.read_bytes()
    with served(authority, broken=True) as url:
        ran = invoke("sign", path, "--key", "anna", "--timestamp", url, "--json")
    assert (ran.code, ran.document()["error"]["code"]) == (1, "E_TIMESTAMP_WRONG")
    closed = invoke("sign", path, "--key", "anna", "--timestamp", url, "--json")
    assert (closed.code, closed.error()["code"]) == (5, "E_TIMESTAMP_UNREACHABLE")
    offline = invoke("--offline", "sign", path, "--key", "anna", "--timestamp", url, "--json")
    assert (offline.code, offline.error()["code"]) == (5, "E_TIMESTAMP_UNREACHABLE")
    ran = invoke("sign", path, "--key", "anna", "--timestamp", "ftp://x", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_TIMESTAMP_URL")
    assert path.read_bytes() == before


def test_what_is_no_chain_is_not_trusted(home: Path) -> None:
    (home / "none.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for file in ("none.pem", "two.yaml"):
        ran = invoke("keys", "authority", file, "--as", "stamps", "--json")
        assert (ran.code, ran.document()["error"]["code"]) == (1, "E_CERTIFICATE_FORM")
    assert invoke("keys", "list", "--json").document()["authorities"] == []


def test_a_folder_is_signed_as_a_model(world: World, home: Path) -> None:
    path = world.seal()
    before = path.read_bytes()
    assert invoke("keys", "new", "--algorithm", "p256", "--name", "oms").code == 0
    made = invoke("sign", path, "--oms", "model", "--key", "oms", "--json")
    assert made.code == 0, made.stderr
    stored = canonical.loads((home / "model" / "model.sig").read_bytes(), where="model.sig")
    said = canonical.loads(base64.b64decode(stored["dsseEnvelope"]["payload"]), where="payload")
    names = [item["name"] for item in said["predicate"]["resources"]]
    there = sorted(file.name for file in (home / "model").iterdir() if file.name != "model.sig")
    assert names == there
    assert "adapter_model.safetensors" in names
    assert path.read_bytes() == before
    assert invoke("sign", path, "--oms", "model", "--key", "oms").code == 2  # it is not empty
    ran = invoke("sign", path, "--oms", "other", "--key", "anna", "--json")
    assert (ran.code, ran.error()["code"]) == (2, "E_SIGN_OMS_KEY")
    assert not (home / "other").exists()
    assert invoke("sign", path, "--oms", "other", "--key", "oms", "-o", "copy").code == 2


@needs_openssl
def test_the_summary_tells_who_made_it_and_who_endorsed_it_on_one_screen(
    world: World, home: Path, authority: Authority
) -> None:
    path = world.seal()
    invoke("keys", "authority", "chain.pem", "--as", "stamps")
    with served(authority) as url:
        for name in ("anna", "ben"):
            assert invoke("sign", path, "--key", name, "--timestamp", url).code == 0
    shown = invoke("verify", path).stdout
    assert f"  signed by      key {world.publisher.public.keyid[:16]}, called publisher\n" in shown
    assert "  endorsed by    key " in shown
    assert ", called anna, and 1 more key\n" in shown
    assert " UTC, by stamps\n" in shown
    assert len(shown.splitlines()) <= 25
