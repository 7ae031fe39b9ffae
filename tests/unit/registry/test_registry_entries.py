import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical, digest
from kolm.errors import KolmError, Refused, Unreadable
from kolm.registry.backends.backend import StoredEntries
from kolm.registry.entries import read_entry, seal_entry
from kolm.registry.history import read_history
from kolm.sign import making, predicates, private_keys
from kolm.sign.making import statement
from kolm.sign.statement import STATEMENT_TYPE
from kolm.sign.trust import KeyRole, Revocation, TrustedKey, TrustStore

KEY = private_keys.generate()
OTHER = private_keys.generate()
FIRST = {
    "name": "demo",
    "version": "1.0.0",
    "bundle": digest.of_bytes(b"bundle"),
    "file": {"digest": digest.of_bytes(b"file"), "size": 4},
    "claims": [],
    "previous": None,
    "sequence": 1,
    "state": "active",
}
SEALED = seal_entry(FIRST, KEY)


def _trust(key=KEY, *, names=("*",), roles=tuple(KeyRole), revoked=None):
    entry = TrustedKey(
        name="alice", key=key.public, roles=frozenset(roles), names=names, revoked=revoked
    )
    return TrustStore((entry,))


def _read(data, *, sequence=1, name="demo", trust=None):
    return read_entry(data, name=name, sequence=sequence, trust=trust or _trust())


def _history(*stored, trust=None):
    entries = dict(enumerate(stored, start=1))
    found = StoredEntries(entries=entries, taken=frozenset(), problems=())
    return read_history(found, name="demo", trust=trust or _trust())


def _codes(history):
    return [problem.code for problem in history.problems]


def _refusal(data, **place):
    with pytest.raises(Refused) as caught:
        _read(data, **place)
    return caught.value.code


def _second(**changes):
    second = {"version": "1.1.0", "sequence": 2, "previous": digest.of_bytes(SEALED)}
    return {**FIRST, **second, **changes}


def test_a_sealed_entry_is_read_back_and_counts():
    signed = _read(SEALED)
    assert signed.counts
    assert signed.entry == FIRST
    assert signed.digest == digest.of_bytes(SEALED)
    assert signed.signer.name == "alice"


def test_a_history_is_read_in_order():
    history = _history(SEALED, seal_entry(_second(), KEY))
    assert [signed.entry["version"] for signed in history.entries] == ["1.0.0", "1.1.0"]
    assert history.problems == ()


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


@pytest.mark.parametrize("previous", [None, digest.of_bytes(b"x")])
def test_an_entry_that_does_not_follow_the_one_before_is_a_finding(previous):
    second = seal_entry(_second(previous=previous), KEY)
    history = _history(SEALED, second)
    assert _codes(history) == ["E_ENTRY_CHAIN"]
    assert [signed.counts for signed in history.entries] == [True, True]


def test_a_replaced_or_removed_first_entry_is_a_finding():
    other, second = seal_entry({**FIRST, "version": "9.0.0"}, KEY), seal_entry(_second(), KEY)
    assert _codes(_history(other, second)) == ["E_ENTRY_CHAIN"]
    stored = StoredEntries(entries={2: second}, taken=frozenset(), problems=())
    history = read_history(stored, name="demo", trust=_trust())
    assert _codes(history) == ["E_ENTRY_GAP", "E_ENTRY_CHAIN"]
    assert len(history.believed) == 1


def test_one_bad_entry_blocks_nothing():
    history = _history(SEALED, b"{}", seal_entry(_second(sequence=3), KEY))
    assert _codes(history) == ["E_SCHEMA"]
    assert [signed.entry["version"] for signed in history.believed] == ["1.0.0", "1.1.0"]


def test_a_claim_of_another_kind_is_not_an_entry():
    said = statement(
        FIRST["bundle"],
        "demo",
        predicates.MODULES,
        making.modules(modules=FIRST["bundle"], base_root=FIRST["bundle"], words=["head frozen"]),
    )
    assert _refusal(making.seal(said, KEY)) == "E_ENTRY_KIND"


@pytest.mark.parametrize(
    ("name", "subject"), [("demo", digest.of_bytes(b"another")), ("other", FIRST["bundle"])]
)
def test_an_entry_about_one_bundle_that_points_to_another_is_refused(name, subject):
    said = statement(subject, name, predicates.ENTRY, FIRST)
    assert _refusal(making.seal(said, KEY)) == "E_ENTRY_SUBJECT"


def test_an_entry_with_a_version_that_is_none_is_refused():
    assert _refusal(seal_entry({**FIRST, "version": "1.0.00"}, KEY)) == "E_ENTRY_VERSION"


def _of_value(**changes):
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "demo", "digest": {"sha256": digest.hex_of(FIRST["bundle"])}}],
        "predicateType": predicates.ENTRY,
        "predicate": {**FIRST, **changes},
    }
    return making.seal(canonical.dumps(value), KEY)


@pytest.mark.parametrize(
    "changes", [{"state": "Yanked"}, {"state": ""}, {"claims": ["x"]}, {"claims": None}]
)
def test_an_entry_of_another_shape_is_refused(changes):
    assert _refusal(_of_value(**changes)) == "E_SCHEMA"


def test_a_signature_that_the_named_key_did_not_make_is_refused():
    forged = canonical.loads(seal_entry(FIRST, OTHER), where="test")
    forged["verificationMaterial"]["publicKey"]["hint"] = KEY.public.keyid
    forged["dsseEnvelope"]["signatures"][0]["keyid"] = KEY.public.keyid
    signed = _read(canonical.dumps(forged))
    assert (signed.counts, signed.objection.code) == (False, "E_SIGNATURE_WRONG")


def test_an_entry_by_an_unknown_key_counts_for_nothing():
    signed = _read(SEALED, trust=TrustStore())
    assert not signed.counts
    assert isinstance(signed.objection, Unreadable)
    assert signed.objection.code == "E_KEY_NOT_TRUSTED"


@pytest.mark.parametrize(
    ("trust", "code"),
    [
        (_trust(roles=(KeyRole.BUILDER,)), "E_PUBLISHER"),
        (_trust(names=("other", "demo/*")), "E_PUBLISHER"),
        (_trust(names=()), "E_PUBLISHER"),
        (_trust(revoked=Revocation(on="2026-01-01T00:00:00Z", reason="")), "E_KEY_REVOKED"),
    ],
)
def test_an_entry_that_trust_does_not_cover_counts_for_nothing(trust, code):
    signed = _read(SEALED, trust=trust)
    assert not signed.counts
    assert signed.objection.code == code


def test_a_version_that_moves_to_another_bundle_stays_where_it_was():
    moved = _second(version="1.0.0+build", bundle=digest.of_bytes(b"another"))
    history = _history(SEALED, seal_entry(moved, KEY))
    assert history.entries[1].objection.code == "E_ENTRY_VERSION_MOVED"
    assert [signed.entry for signed in history.in_force().values()] == [FIRST]


def test_a_stranger_cannot_move_a_version_or_block_a_name():
    moved = _second(version="1.0.0", bundle=digest.of_bytes(b"another"))
    history = _history(SEALED, seal_entry(moved, OTHER))
    assert [signed.counts for signed in history.entries] == [True, False]
    assert history.problems == ()


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1"])
def test_an_entry_that_drops_a_claim_of_its_bundle_does_not_count(version):
    claims = (digest.of_bytes(b"a"), digest.of_bytes(b"b"))
    first = seal_entry({**FIRST, "claims": sorted(claims)}, KEY)
    second = _second(version=version, claims=claims[:1], previous=digest.of_bytes(first))
    history = _history(first, seal_entry(second, KEY))
    assert history.entries[1].objection.code == "E_CLAIMS_DROPPED"
    assert claims[1] in history.entries[1].objection.expected
    assert history.claims(FIRST["bundle"]) == set(claims)


def test_the_last_entry_of_a_version_is_in_force_and_a_withdrawal_is_for_good():
    yanked = seal_entry(_second(version="1.0.0", state="yanked"), KEY)
    back = seal_entry(_second(version="1.0.0", sequence=3, previous=digest.of_bytes(yanked)), KEY)
    assert _states(SEALED, yanked) == ["yanked"]
    assert _states(SEALED, yanked, back) == ["active"]
    gone = seal_entry(_second(version="1.0.0", state="withdrawn"), KEY)
    back = seal_entry(_second(version="1.0.0", sequence=3, previous=digest.of_bytes(gone)), KEY)
    assert _states(SEALED, gone, back) == ["withdrawn"]


def _states(*stored):
    return [signed.entry["state"] for signed in _history(*stored).in_force().values()]


@pytest.mark.parametrize("junk", [(2,), (2, 3, 999_999), (999_999,)])
def test_the_next_place_is_behind_the_last_believed_entry_whatever_strangers_put(junk):
    stored = StoredEntries(entries={1: SEALED}, taken=frozenset(junk), problems=())
    number, previous = read_history(stored, name="demo", trust=_trust()).next_place()
    assert number == next(n for n in (2, 3, 4) if n not in junk)
    assert previous == digest.of_bytes(SEALED)
