import base64
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import canonical, digest
from kolm.errors import KolmError, Refused
from kolm.sign import claims, envelope, making, predicates, private_keys
from kolm.sign.making import statement
from kolm.sign.trust import KeyRole, TrustedKey, TrustStore

KEYS = {"ed25519": private_keys.generate("ed25519"), "p256": private_keys.generate("p256")}
STATEMENT = statement(
    digest.of_bytes(b"manifest"),
    "demo",
    predicates.MODULES,
    making.modules(
        modules=digest.of_bytes(b"modules"),
        base_root=digest.of_bytes(b"base"),
        words=["vision frozen"],
    ),
)
CLAIMS = {name: making.seal(STATEMENT, key) for name, key in KEYS.items()}
TRUST = TrustStore(
    tuple(
        TrustedKey(name=name, key=key.public, roles=frozenset(KeyRole))
        for name, key in KEYS.items()
    )
)
ALGORITHMS = pytest.mark.parametrize("algorithm", list(KEYS))


def _refusal(data):
    with pytest.raises(Refused) as caught:
        envelope.open_envelope(data)
    return caught.value.code


def _altered(change, algorithm="ed25519"):
    value = canonical.loads(CLAIMS[algorithm], where="test")
    change(value)
    return canonical.dumps(value)


def test_pae_is_the_vector_of_the_dsse_protocol():
    assert (
        envelope.pae(b"hello world", "http://example.com/HelloWorld")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae_counts_bytes_not_characters():
    assert envelope.pae("é".encode(), "ü") == "DSSEv1 2 ü 2 é".encode()


@ALGORITHMS
def test_a_sealed_statement_comes_back_with_its_signer(algorithm):
    claim = claims.authenticate(CLAIMS[algorithm], TRUST)
    assert claim.signer.name == algorithm
    assert claim.statement.subject == digest.of_bytes(b"manifest")
    assert envelope.open_envelope(CLAIMS[algorithm]).payload == STATEMENT


def test_the_stored_form_is_the_documented_one():
    value = canonical.loads(CLAIMS["ed25519"], where="test")
    keyid = KEYS["ed25519"].public.keyid
    assert value == {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": keyid}, "tlogEntries": []},
        "dsseEnvelope": {
            "payloadType": "application/vnd.in-toto+json",
            "payload": base64.b64encode(STATEMENT).decode(),
            "signatures": [{"keyid": keyid, "sig": value["dsseEnvelope"]["signatures"][0]["sig"]}],
        },
    }


@ALGORITHMS
def test_every_flipped_bit_of_a_claim_is_refused(algorithm):
    data = CLAIMS[algorithm]
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(KolmError):
            claims.authenticate(bytes(flipped), TRUST)


@ALGORITHMS
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_random_mutations_are_refused_with_a_typed_error(algorithm, data):
    original = CLAIMS[algorithm]
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 12)))
    printable = st.text(string.printable, max_size=12).map(str.encode)
    patch = data.draw(st.binary(max_size=12) | printable)
    mutated = original[:start] + patch + original[end:]
    if mutated == original:
        return
    with pytest.raises(KolmError):
        claims.authenticate(mutated, TRUST)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_only_typed_errors(data):
    with pytest.raises(KolmError):
        envelope.open_envelope(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.sampled_from(["mediaType", "verificationMaterial", "dsseEnvelope"]), JSON)
def test_a_replaced_part_raises_only_typed_errors(part, value):
    changed = _altered(lambda claim: claim.__setitem__(part, value))
    if changed != CLAIMS["ed25519"]:
        with pytest.raises(KolmError):
            claims.authenticate(changed, TRUST)


def _second_signature(value):
    signatures = value["dsseEnvelope"]["signatures"]
    signatures.append(dict(signatures[0]))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.update(extra=1),
        lambda v: v["dsseEnvelope"].update(extra=1),
        lambda v: v["dsseEnvelope"]["signatures"][0].update(cert="x"),
        lambda v: v["verificationMaterial"].update(certificate={}),
        lambda v: v["verificationMaterial"]["tlogEntries"].append({}),
        lambda v: v.pop("mediaType"),
        lambda v: v.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.2"),
        lambda v: v["dsseEnvelope"].update(payloadType="application/json"),
        lambda v: v["dsseEnvelope"].update(signatures=[]),
        _second_signature,
        lambda v: v["dsseEnvelope"]["signatures"][0].pop("keyid"),
        lambda v: v["dsseEnvelope"]["signatures"][0].update(keyid=""),
        lambda v: v["dsseEnvelope"].update(payload=""),
        lambda v: v["dsseEnvelope"].update(payload="a-_b"),
        lambda v: v["dsseEnvelope"].update(payload=["a"]),
    ],
)
def test_an_envelope_of_another_shape_is_refused(change):
    assert _refusal(_altered(change)) == "E_SCHEMA"


def test_an_envelope_that_is_not_canonical_json_is_refused():
    assert _refusal(CLAIMS["ed25519"] + b"\n") == "E_JSON_NOT_CANONICAL"


def test_an_envelope_beyond_the_limit_is_refused():
    big = base64.b64encode(b"x" * envelope.MAX_ENVELOPE_BYTES).decode()
    data = _altered(lambda v: v["dsseEnvelope"].update(payload=big))
    assert _refusal(data) == "E_JSON_TOO_LARGE"


def test_two_different_key_ids_are_refused():
    change = lambda v: v["verificationMaterial"]["publicKey"].update(hint="0" * 64)  # noqa: E731
    assert _refusal(_altered(change)) == "E_ENVELOPE_KEYID"


@pytest.mark.parametrize("text", ["QQ=", "QR==", "QQ", "Q===", "QUI=QUI="])
def test_base64_that_is_not_the_standard_form_is_refused(text):
    change = lambda v: v["dsseEnvelope"]["signatures"][0].update(sig=text)  # noqa: E731
    assert _refusal(_altered(change)) in ("E_ENVELOPE_BASE64", "E_SCHEMA")


def test_unused_bits_at_the_end_of_base64_are_refused():
    value = canonical.loads(CLAIMS["ed25519"], where="test")
    text = value["dsseEnvelope"]["signatures"][0]["sig"]
    assert text.endswith("==")  # 64 bytes leave four unused bits in the last digit
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    twin = text[:-3] + alphabet[alphabet.index(text[-3]) + 1] + "=="
    assert base64.b64decode(twin) == base64.b64decode(text)
    change = lambda v: v["dsseEnvelope"]["signatures"][0].update(sig=twin)  # noqa: E731
    assert _refusal(_altered(change)) == "E_ENVELOPE_BASE64"


def test_a_payload_of_another_claim_is_refused():
    other = base64.b64encode(STATEMENT.replace(b"vision", b"head")).decode()
    data = _altered(lambda v: v["dsseEnvelope"].update(payload=other))
    with pytest.raises(Refused) as caught:
        claims.authenticate(data, TRUST)
    assert caught.value.code == "E_SIGNATURE_WRONG"


def test_the_algorithm_comes_from_the_trusted_key_not_from_the_claim():
    # The P-256 key's claim under the Ed25519 key's id: the Ed25519 key judges it.
    keyid = KEYS["ed25519"].public.keyid

    def rename(value):
        value["verificationMaterial"]["publicKey"]["hint"] = keyid
        value["dsseEnvelope"]["signatures"][0]["keyid"] = keyid

    with pytest.raises(Refused) as caught:
        claims.authenticate(_altered(rename, "p256"), TRUST)
    assert caught.value.code == "E_SIGNATURE_WRONG"


def test_a_signature_by_another_key_than_the_named_one_is_refused():
    sealed = envelope.open_envelope(CLAIMS["ed25519"])
    with pytest.raises(Refused) as caught:
        envelope.demand_signature(sealed, KEYS["p256"].public)
    assert caught.value.code == "E_ENVELOPE_KEYID"
