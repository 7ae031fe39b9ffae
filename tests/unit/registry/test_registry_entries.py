from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical, digest
from kolm.errors import KolmError, Refused, Unreadable
from kolm.records.codec import from_document, to_document
from kolm.records.entry import Entry, FileReference
from kolm.registry.entries import read_entry, read_history, seal_entry
from kolm.sign import envelope, keys, predicates
from kolm.sign.statement import STATEMENT_TYPE, statement
from kolm.sign.trust import Revocation, Role, TrustedKey, TrustStore

KEY = keys.generate()
OTHER = keys.generate()
FIRST = Entry(
    name="demo",
    version="1.0.0",
    bundle=digest.of_bytes(b"bundle"),
    file=FileReference(digest=digest.of_bytes(b"file"), size=4),
    previous=None,
    sequence=1,
    state="active",
)
SEALED = seal_entry(FIRST, KEY)


def _trust(key=KEY, *, names=("*",), roles=tuple(Role), revoked=None):
    entry = TrustedKey(
        name="alice", key=key.public, roles=frozenset(roles), names=names, revoked=revoked
    )
    return TrustStore((entry,))


def _read(data, *, sequence=1, previous=None, name="demo", trust=None):
    return read_entry(
        data, name=name, sequence=sequence, previous=previous, trust=trust or _trust()
    )


def _refusal(data, **place):
    with pytest.raises(Refused) as caught:
        _read(data, **place)
    return caught.value.code


def _second(**changes):
    fields = {"version": "1.1.0", "sequence": 2, "previous": digest.of_bytes(SEALED)}
    return replace(FIRST, **{**fields, **changes})


def test_a_sealed_entry_is_read_back_and_counts():
    signed = _read(SEALED)
    assert signed.counts
    assert signed.entry == FIRST
    assert signed.digest == digest.of_bytes(SEALED)
    assert signed.signer.name == "alice"


def test_an_entry_survives_its_document():
    for entry in (FIRST, _second()):
        document = to_document(entry)
        assert "previous" in document
        assert from_document(Entry, document) == entry


def test_a_history_is_read_in_order():
    history = read_history([SEALED, seal_entry(_second(), KEY)], name="demo", trust=_trust())
    assert [signed.entry.version for signed in history] == ["1.0.0", "1.1.0"]


def test_every_flipped_bit_of_an_entry_is_refused_or_counts_for_nothing():
    for bit in range(len(SEALED) * 8):
        flipped = bytearray(SEALED)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            signed = _read(bytes(flipped))
        except KolmError:
            continue
        assert not signed.counts


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_entries_raise_only_typed_errors(data):
    with pytest.raises(KolmError):
        _read(data)


def test_an_entry_in_another_place_is_refused():
    assert _refusal(SEALED, sequence=2) == "E_ENTRY_PLACE"
    assert _refusal(SEALED, name="other") == "E_ENTRY_PLACE"


def test_an_entry_that_does_not_follow_the_one_before_is_refused():
    second = seal_entry(_second(), KEY)
    assert _refusal(SEALED, previous=digest.of_bytes(b"x")) == "E_ENTRY_CHAIN"
    assert _refusal(second, sequence=2, previous=digest.of_bytes(b"x")) == "E_ENTRY_CHAIN"
    assert _refusal(second, sequence=2, previous=None) == "E_ENTRY_CHAIN"


def test_a_replaced_first_entry_breaks_the_history():
    other = seal_entry(replace(FIRST, version="9.0.0"), KEY)
    with pytest.raises(Refused) as caught:
        read_history([other, seal_entry(_second(), KEY)], name="demo", trust=_trust())
    assert caught.value.code == "E_ENTRY_CHAIN"


def test_a_removed_first_entry_breaks_the_history():
    with pytest.raises(Refused) as caught:
        read_history([seal_entry(_second(), KEY)], name="demo", trust=_trust())
    assert caught.value.code == "E_ENTRY_PLACE"


def test_a_claim_of_another_kind_is_not_an_entry():
    said = statement(
        FIRST.bundle,
        "demo",
        predicates.MODULES,
        predicates.modules(modules=FIRST.bundle, base_root=FIRST.bundle, words=["head frozen"]),
    )
    assert _refusal(envelope.seal(said, KEY)) == "E_ENTRY_KIND"


@pytest.mark.parametrize(
    ("name", "subject"), [("demo", digest.of_bytes(b"another")), ("other", FIRST.bundle)]
)
def test_an_entry_about_one_bundle_that_points_to_another_is_refused(name, subject):
    said = statement(subject, name, predicates.ENTRY, to_document(FIRST))
    assert _refusal(envelope.seal(said, KEY)) == "E_ENTRY_SUBJECT"


def test_an_entry_with_a_version_that_is_none_is_refused():
    assert _refusal(seal_entry(replace(FIRST, version="1.0.00"), KEY)) == "E_ENTRY_VERSION"


def test_an_entry_in_an_unknown_state_is_refused():
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "demo", "digest": {"sha256": digest.hex_of(FIRST.bundle)}}],
        "predicateType": predicates.ENTRY,
        "predicate": {**to_document(FIRST), "state": "yanked"},
    }
    assert _refusal(envelope.seal(canonical.dumps(value), KEY)) == "E_SCHEMA"


def test_a_signature_that_the_named_key_did_not_make_is_refused():
    forged = canonical.loads(seal_entry(FIRST, OTHER), where="test")
    forged["verificationMaterial"]["publicKey"]["hint"] = KEY.public.keyid
    forged["dsseEnvelope"]["signatures"][0]["keyid"] = KEY.public.keyid
    assert _refusal(canonical.dumps(forged)) == "E_SIGNATURE_WRONG"


def test_an_entry_by_an_unknown_key_counts_for_nothing():
    signed = _read(SEALED, trust=TrustStore())
    assert not signed.counts
    assert isinstance(signed.objection, Unreadable)
    assert signed.objection.code == "E_KEY_NOT_TRUSTED"


@pytest.mark.parametrize(
    ("trust", "code"),
    [
        (_trust(roles=(Role.BUILDER,)), "E_PUBLISHER"),
        (_trust(names=("other", "demo/*")), "E_PUBLISHER"),
        (_trust(names=()), "E_PUBLISHER"),
        (_trust(revoked=Revocation(on="2026-01-01T00:00:00Z", reason="")), "E_KEY_REVOKED"),
    ],
)
def test_an_entry_that_trust_does_not_cover_counts_for_nothing(trust, code):
    signed = _read(SEALED, trust=trust)
    assert not signed.counts
    assert signed.objection.code == code


def test_a_version_that_moves_to_another_bundle_is_refused():
    moved = _second(version="1.0.0+build", bundle=digest.of_bytes(b"another"))
    with pytest.raises(Refused) as caught:
        read_history([SEALED, seal_entry(moved, KEY)], name="demo", trust=_trust())
    assert caught.value.code == "E_ENTRY_VERSION_MOVED"


def test_a_stranger_cannot_move_a_version_or_block_a_name():
    moved = _second(version="1.0.0", bundle=digest.of_bytes(b"another"))
    history = read_history([SEALED, seal_entry(moved, OTHER)], name="demo", trust=_trust())
    assert [signed.counts for signed in history] == [True, False]
