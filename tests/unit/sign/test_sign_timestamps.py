"""Time stamps of signatures: whose, of what, and what an altered one is taken for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import DER_cert_to_PEM_cert, PEM_cert_to_DER_cert

import pytest

from kolm import canonical
from kolm.actions import stamping
from kolm.actions.keyring import certificate_id
from kolm.errors import KolmError, Network, Refused, Unreadable, Usage
from kolm.sign import making, private_keys
from kolm.sign.envelope import open_envelope
from kolm.sign.timestamps import read_stamp
from kolm.sign.trust import Authority as Trusted
from kolm.sign.trust import TrustStore
from kolm.sign.trust_changes import believing
from tests.support.stamping import Authority, needs_openssl
from tests.unit.sign.test_sign_envelope import STATEMENT

pytest.importorskip("rfc3161_client", reason="the extra timestamp is not installed")
pytestmark = needs_openssl


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("stamps"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("others"), "Other Stamps")


@pytest.fixture(scope="module")
def claim() -> bytes:
    return making.seal(STATEMENT, private_keys.generate())


@pytest.fixture(scope="module")
def response(authority: Authority, claim: bytes) -> bytes:
    return authority.stamp(stamping.query_of(claim))


def trusted(authority: Authority, *, pinned: bool = True, name: str = "stamps") -> Trusted:
    chain = authority.chain if pinned else (authority.folder / "root.pem").read_text()
    end = "-----END CERTIFICATE-----\n"
    return Trusted(name, tuple(part + end for part in chain.split(end)[:-1]))


def signature(claim: bytes) -> bytes:
    return open_envelope(claim).signature


@pytest.mark.parametrize("pinned", [True, False])
def test_a_stamp_is_believed_by_its_certificates(
    authority: Authority, claim: bytes, response: bytes, pinned: bool
) -> None:
    known = (trusted(authority, pinned=pinned),)
    found = read_stamp(response, signature(claim), known, where="t")
    assert found.by == "stamps"
    at = datetime.fromisoformat(found.at)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=10)


def test_a_stamp_of_another_signature_is_refused(authority: Authority, response: bytes) -> None:
    other_claim = making.seal(STATEMENT, private_keys.generate())
    with pytest.raises(Refused) as caught:
        read_stamp(response, signature(other_claim), (trusted(authority),), where="t")
    assert caught.value.code == "E_TIMESTAMP_WRONG"


@pytest.mark.parametrize("nobody", [True, False])
def test_a_stamp_of_a_stranger_could_not_be_looked_at(
    other: Authority, claim: bytes, response: bytes, nobody: bool
) -> None:
    with pytest.raises(Unreadable) as caught:
        known = () if nobody else (trusted(other),)
        read_stamp(response, signature(claim), known, where="t")
    assert caught.value.code == "E_TIMESTAMP_NOT_TRUSTED"


def test_another_certificate_of_the_same_root_does_not_count_where_one_is_pinned(
    authority: Authority, claim: bytes, tmp_path: Path
) -> None:
    sibling = authority.sibling(tmp_path)
    made = sibling.stamp(stamping.query_of(claim))
    rooted = trusted(authority, pinned=False)
    assert read_stamp(made, signature(claim), (rooted,), where="t").by == "stamps"
    with pytest.raises(Unreadable):
        read_stamp(made, signature(claim), (trusted(authority),), where="t")


def test_no_altered_stamp_gives_another_time(
    authority: Authority, claim: bytes, response: bytes
) -> None:
    """Each byte of it: what is taken all the same is what the authority's signature leaves open."""
    known = (trusted(authority),)
    honest = read_stamp(response, signature(claim), known, where="t")
    taken = 0
    for place in range(len(response)):
        altered = bytearray(response)
        altered[place] ^= 1
        try:
            found = read_stamp(bytes(altered), signature(claim), known, where="t")
        except KolmError as error:
            assert error.code in ("E_TIMESTAMP_WRONG", "E_TIMESTAMP_NOT_TRUSTED")
        else:
            assert found == honest
            taken += 1
    assert taken < len(response) // 50


@pytest.mark.parametrize("data", [b"", b"0\x03\x02\x01\x02", bytes(100)])
def test_what_is_no_stamp_is_refused(authority: Authority, claim: bytes, data: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_stamp(data, signature(claim), (trusted(authority),), where="t")
    assert caught.value.code == "E_TIMESTAMP_WRONG"


def test_a_stamp_goes_beside_the_claim_that_it_is_of(
    authority: Authority, claim: bytes, response: bytes
) -> None:
    other_claim = making.seal(STATEMENT, private_keys.generate())
    trust = TrustStore(authorities=(trusted(authority),))
    put = stamping.put([other_claim, claim], response, trust)
    assert put.by == "stamps"
    opened = open_envelope(put.data)
    assert opened._replace(stamp=None) == open_envelope(claim)
    assert opened.stamp == response
    assert stamping.put([claim], response, TrustStore()) == put._replace(by=None)
    with pytest.raises(Refused) as caught:
        stamping.put([other_claim], response, trust)
    assert caught.value.code == "E_TIMESTAMP_WRONG"


@pytest.mark.parametrize("count", [0, 2])
def test_a_claim_has_one_stamp_or_none(claim: bytes, response: bytes, count: int) -> None:
    value = canonical.loads(making.stamped(claim, response), where="t")
    told = value["verificationMaterial"]["timestampVerificationData"]
    told["rfc3161Timestamps"] *= count
    with pytest.raises(Refused) as caught:
        open_envelope(canonical.dumps(value))
    assert caught.value.code == "E_SCHEMA"


def test_an_authority_is_trusted_once_by_a_name(authority: Authority, other: Authority) -> None:
    first = trusted(authority)
    store = believing(believing(TrustStore(), first), first)
    assert store.authorities == (first,)
    document = canonical.loads(canonical.dumps(store.to_document()), where="t")
    assert TrustStore.from_document(document, where="t") == store
    with pytest.raises(Usage) as caught:
        believing(store, trusted(other))
    assert caught.value.code == "E_TRUST_NAME_TAKEN"
    with pytest.raises(Usage):
        believing(store, trusted(other, name="No Name"))
    assert len(certificate_id(first)) == 64


def test_nothing_is_asked_where_the_network_is_forbidden(
    claim: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_OFFLINE", "1")
    with pytest.raises(Network) as caught:
        stamping.ask("https://example.com/", stamping.query_of(claim))
    assert caught.value.code == "E_TIMESTAMP_UNREACHABLE"


def spoilt(data: bytes) -> bytes:
    """The same DER with a name that is not UTF-8."""
    assert b"Test Stamps" in data
    return data.replace(b"Test Stamps", b"\xffest Stamps")


def test_a_stamp_with_a_name_that_is_no_text_is_refused(
    authority: Authority, claim: bytes, response: bytes
) -> None:
    with pytest.raises(KolmError):
        read_stamp(spoilt(response), signature(claim), [trusted(authority)], where="claim")


def test_an_authority_with_a_name_that_is_no_text_vouches_for_nothing(
    authority: Authority, claim: bytes, response: bytes
) -> None:
    chain = trusted(authority).certificates
    broken = tuple(DER_cert_to_PEM_cert(spoilt(PEM_cert_to_DER_cert(one))) for one in chain)
    with pytest.raises(KolmError):
        read_stamp(response, signature(claim), [Trusted("stamps", broken)], where="claim")
