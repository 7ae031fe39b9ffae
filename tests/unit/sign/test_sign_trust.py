import multiprocessing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical
from kolm.errors import KolmError, Refused, Unreadable, Usage
from kolm.sign import claims, making, predicates, private_keys
from kolm.sign.making import statement
from kolm.sign.trust import KeyRole, Revocation, TrustedKey, TrustStore
from kolm.sign.trust_changes import adding, change, named, revoking

POOL = [private_keys.generate("ed25519" if i % 2 else "p256").public for i in range(6)]


def _trusted(index=0, name="alice", roles=tuple(KeyRole), names=(), revoked=None):
    return TrustedKey(
        name=name, key=POOL[index], roles=frozenset(roles), names=tuple(names), revoked=revoked
    )


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,20}", fullmatch=True)
RULES = st.one_of(
    st.just("*"),
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}(/([a-z0-9][a-z0-9-]{0,8}|\*))?", fullmatch=True),
)
REVOCATIONS = st.none() | st.builds(
    Revocation, on=st.just("2026-01-02T03:04:05Z"), reason=st.text(max_size=40)
)


@st.composite
def stores(draw):
    names = draw(st.lists(NAMES, max_size=len(POOL), unique=True))
    return TrustStore(
        tuple(
            TrustedKey(
                name=name,
                key=POOL[index],
                roles=frozenset(draw(st.sets(st.sampled_from(KeyRole), min_size=1))),
                names=tuple(sorted(draw(st.sets(RULES, max_size=3)))),
                revoked=draw(REVOCATIONS),
            )
            for index, name in enumerate(sorted(names))
        )
    )


@settings(max_examples=40, deadline=None)
@given(stores())
def test_a_store_survives_its_document(store):
    data = canonical.dumps(store.to_document())
    again = TrustStore.from_document(canonical.loads(data, where="test"), where="test")
    assert again == store
    assert canonical.dumps(again.to_document()) == data


def test_no_file_means_that_nobody_is_believed(tmp_path):
    assert TrustStore.load(tmp_path).keys == ()


def test_a_named_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(Unreadable) as caught:
        TrustStore.load_file(tmp_path / "none.json")
    assert caught.value.code == "E_TRUST_MISSING"


def _document(*items):
    return {"schema": "urn:kolm:trust:v1", "keys": list(items)}


def _item(**changes):
    item = {"name": "alice", "key": POOL[0].pem, "roles": ["builder"], "names": []}
    return {**item, **changes}


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"keys": []}, "E_SCHEMA"),
        ({**_document(), "extra": 1}, "E_SCHEMA"),
        (_document(_item(roles=[])), "E_SCHEMA"),
        (_document(_item(roles=["admin"])), "E_SCHEMA"),
        (_document(_item(roles=["builder", "builder"])), "E_SCHEMA"),
        (_document(_item(name="Alice")), "E_SCHEMA"),
        (_document(_item(names=["demo/**"])), "E_SCHEMA"),
        (_document(_item(names=["*/x"])), "E_SCHEMA"),
        (_document(_item(key="nonsense")), "E_SCHEMA"),
        (_document(_item(revoked={"on": "yesterday", "reason": ""})), "E_SCHEMA"),
        (_document(_item(key=POOL[0].pem.replace("\nM", "\n\nM", 1))), "E_KEY_FORM"),
        (_document(_item(), _item()), "E_TRUST_TWICE"),
        (_document(_item(), _item(name="bob")), "E_TRUST_TWICE"),
        (_document(_item(), _item(key=POOL[1].pem)), "E_TRUST_TWICE"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(value, code):
    with pytest.raises(Refused) as caught:
        TrustStore.from_document(value, where="test")
    assert caught.value.code == code


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_trust_files_raise_only_typed_errors(data):
    with pytest.raises(KolmError):
        TrustStore.from_document(canonical.loads(data, where="t"), where="t")


@pytest.mark.parametrize(
    ("rules", "name", "allowed"),
    [
        (["*"], "demo", True),
        (["*"], "demo/easy-vqa", True),
        (["demo"], "demo", True),
        (["demo"], "demo/easy-vqa", False),
        (["demo/*"], "demo/easy-vqa", True),
        (["demo/*"], "demo", False),
        (["demo/*"], "demo2/easy-vqa", False),
        (["demo/a", "other"], "other", True),
        ([], "demo", False),
    ],
)
def test_names_say_what_a_publisher_may_publish(rules, name, allowed):
    assert _trusted(names=rules).may_publish(name) is allowed


def test_without_the_role_or_after_revocation_nothing_may_be_published():
    assert not _trusted(roles=[KeyRole.BUILDER], names=["*"]).may_publish("demo")
    gone = Revocation(on="2026-01-01T00:00:00Z", reason="lost")
    assert not _trusted(names=["*"], revoked=gone).may_publish("demo")
    assert not _trusted(revoked=gone).allows(KeyRole.BUILDER)


def test_the_roles_of_a_known_key_can_be_changed():
    store = adding(adding(TrustStore(), _trusted()), _trusted(roles=[KeyRole.VERIFIER]))
    assert [entry.roles for entry in store.keys] == [frozenset([KeyRole.VERIFIER])]


def test_a_name_or_a_key_is_not_taken_over():
    store = adding(TrustStore(), _trusted())
    for other in (_trusted(index=1), _trusted(name="bob")):
        with pytest.raises(Usage) as caught:
            adding(store, other)
        assert caught.value.code == "E_TRUST_NAME_TAKEN"


def test_a_revoked_key_is_not_trusted_again():
    gone = Revocation(on="2026-01-01T00:00:00Z", reason="lost")
    store = revoking(adding(TrustStore(), _trusted()), POOL[0].keyid, gone)
    with pytest.raises(Refused) as caught:
        adding(store, _trusted())
    assert caught.value.code == "E_KEY_REVOKED"


def test_a_second_revocation_does_not_move_the_first():
    first, second = (Revocation(on=f"202{i}-01-01T00:00:00Z", reason="x") for i in (1, 2))
    store = revoking(adding(TrustStore(), _trusted()), POOL[0].keyid, first)
    assert revoking(store, POOL[0].keyid, second).keys[0].revoked == first


def test_a_key_is_found_by_name_or_by_the_start_of_its_id():
    store = adding(adding(TrustStore(), _trusted()), _trusted(index=1, name="bob"))
    assert named(store, "bob").key == POOL[1]
    assert named(store, POOL[0].keyid[:8]).name == "alice"
    for missing in ("carol", POOL[0].keyid[:7], "0" * 64):
        with pytest.raises(Usage) as caught:
            named(store, missing)
        assert caught.value.code == "E_TRUST_NO_SUCH_KEY"


def test_a_change_is_written_for_its_owner_only(tmp_path):
    change(tmp_path, lambda store: adding(store, _trusted()))
    path = tmp_path / "trust.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert TrustStore.load(tmp_path).find(POOL[0].keyid) is not None


def _add(folder, index):
    new = TrustedKey(name=f"key-{index}", key=POOL[index], roles=frozenset(KeyRole))
    change(folder, lambda store: adding(store, new))


def test_changes_at_the_same_time_all_count(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add, args=(tmp_path, i)) for i in range(len(POOL))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(TrustStore.load(tmp_path).keys) == len(POOL)


def _claim(key):
    from kolm import digest

    made = statement(
        digest.of_bytes(b"m"),
        "demo",
        predicates.MODULES,
        making.modules(
            modules=digest.of_bytes(b"a"), base_root=digest.of_bytes(b"b"), words=["head frozen"]
        ),
    )
    return making.seal(made, key)


def test_a_claim_by_an_unknown_key_could_not_be_looked_at():
    with pytest.raises(Unreadable) as caught:
        claims.authenticate(_claim(private_keys.generate()), adding(TrustStore(), _trusted()))
    assert caught.value.code == "E_KEY_NOT_TRUSTED"


def test_a_claim_by_a_revoked_key_is_refused():
    key = private_keys.generate()
    gone = Revocation(on="2026-01-01T00:00:00Z", reason="lost")
    entry = TrustedKey(name="a", key=key.public, roles=frozenset(KeyRole), revoked=gone)
    with pytest.raises(Refused) as caught:
        claims.authenticate(_claim(key), TrustStore((entry,)))
    assert caught.value.code == "E_KEY_REVOKED"
