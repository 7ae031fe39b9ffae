from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm import digest
from kolm.errors import Denied, KolmError, Refused, Usage
from kolm.sign import keys, private_keys
from kolm.sign.signers import SIGNERS
from kolm.sign.signers.p256 import ORDER

FIELD = 2**255 - 19
CURVE_D = -121665 * pow(121666, -1, FIELD) % FIELD

PUBLIC = [private_keys.generate(algorithm).public for algorithm in SIGNERS]


def _pem(public_key):
    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", list(SIGNERS))
def test_a_key_verifies_what_it_signed_and_nothing_else(algorithm):
    key = private_keys.generate(algorithm)
    signature = key.sign(b"message")
    assert key.public.verifies(b"message", signature)
    assert not key.public.verifies(b"messagf", signature)
    assert not private_keys.generate(algorithm).public.verifies(b"message", signature)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_pem_texts_raise_only_typed_errors(data):
    for text in (data, b"-----BEGIN PUBLIC KEY-----\n" + data + b"\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(KolmError):
            keys.read_public(text, where="test")


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_arbitrary_signatures_are_a_no(data):
    for public in PUBLIC:
        assert not public.verifies(b"message", data)


@pytest.mark.parametrize("algorithm", list(SIGNERS))
def test_every_flipped_bit_of_a_signature_is_refused(algorithm):
    key = private_keys.generate(algorithm)
    signature = key.sign(b"message")
    for bit in range(len(signature) * 8):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not key.public.verifies(b"message", bytes(flipped))


@pytest.mark.parametrize("algorithm", list(SIGNERS))
@pytest.mark.parametrize("change", [lambda s: b"", lambda s: s[:-1], lambda s: s + b"\0"])
def test_a_signature_of_the_wrong_length_is_refused(algorithm, change):
    key = private_keys.generate(algorithm)
    assert not key.public.verifies(b"message", change(key.sign(b"message")))


@pytest.mark.parametrize("algorithm", list(SIGNERS))
def test_the_key_id_is_the_sha256_of_the_spki_pem_text(algorithm):
    public = private_keys.generate(algorithm).public
    assert public.pem.startswith("-----BEGIN PUBLIC KEY-----\n")
    assert public.keyid == digest.hex_of(digest.of_bytes(public.pem.encode()))


def test_line_ends_and_blanks_do_not_change_the_key_id():
    public = private_keys.generate().public
    sloppy = "\n\n" + public.pem.replace("\n", "\r\n") + "  \n"
    assert keys.read_public(sloppy, where="test").keyid == public.keyid


def _flip_s(signature):
    from cryptography.hazmat.primitives.asymmetric.utils import (
        decode_dss_signature,
        encode_dss_signature,
    )

    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, ORDER - s)


def test_p256_signs_with_low_s_and_refuses_the_twin_with_high_s():
    key = private_keys.generate("p256")
    for number in range(8):
        signature = key.sign(b"%d" % number)
        assert key.public.verifies(b"%d" % number, signature)
        assert not key.public.verifies(b"%d" % number, _flip_s(signature))


def test_p256_refuses_a_der_signature_with_a_padded_integer():
    key = private_keys.generate("p256")
    signature = key.sign(b"message")
    size = signature[3]
    padded = bytes([0x30, signature[1] + 1, 0x02, size + 1, 0]) + signature[4:]
    assert key.public.verifies(b"message", signature)
    assert not key.public.verifies(b"message", padded)


def test_p256_refuses_the_all_zero_signature():
    # The "psychic signature" of CVE-2022-21449: r = s = 0.
    assert not private_keys.generate("p256").public.verifies(
        b"m", bytes.fromhex("3006020100020100")
    )


def test_ed25519_agrees_with_rfc_8032_test_3():
    secret = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    public = keys.read_public(_pem(private.public_key()), where="test")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert public.verifies(bytes.fromhex("af82"), signature)


def _add(p, q):
    (x1, y1), (x2, y2) = p, q
    slope = CURVE_D * x1 * x2 * y1 * y2 % FIELD
    x = (x1 * y2 + x2 * y1) * pow(1 + slope, -1, FIELD) % FIELD
    y = (y1 * y2 + x1 * x2) * pow(1 - slope, -1, FIELD) % FIELD
    return x, y


def _x_of(y):
    square = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, FIELD) % FIELD
    x = pow(square, (FIELD + 3) // 8, FIELD)
    if (x * x - square) % FIELD:
        x = x * pow(2, (FIELD - 1) // 4, FIELD) % FIELD
    return x if (x * x - square) % FIELD == 0 else None


def _small_order_ys():
    """The y of every point whose order divides 8: multiples of some point times the group order."""
    group = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 200):
        x = _x_of(y)
        if x is None:
            continue
        total, power, left = (0, 1), (x, y), group
        while left:
            if left & 1:
                total = _add(total, power)
            power, left = _add(power, power), left >> 1
        four = _add(_add(total, total), _add(total, total))
        if four != (0, 1):  # total generates the whole torsion group
            point, found = (0, 1), set()
            for _ in range(8):
                found.add(point[1])
                point = _add(point, total)
            assert point == (0, 1)
            return found
    raise AssertionError("no generator found")


def test_ed25519_keys_of_small_order_are_refused():
    ys = _small_order_ys()
    assert len(ys) == 5
    for y in ys:
        for sign in (0, 1):
            raw = (y | sign << 255).to_bytes(32, "little")
            weak = ed25519.Ed25519PublicKey.from_public_bytes(raw)
            with pytest.raises(Refused) as caught:
                keys.read_public(_pem(weak), where="test")
            assert caught.value.code == "E_KEY_KIND"


def test_a_point_that_is_written_with_y_beyond_the_field_is_refused():
    raw = (FIELD + 3).to_bytes(32, "little")
    with pytest.raises(Refused) as caught:
        keys.read_public(_pem(ed25519.Ed25519PublicKey.from_public_bytes(raw)), where="test")
    assert caught.value.code == "E_KEY_KIND"


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: ec.generate_private_key(ec.SECP256K1()),
        lambda: ed448.Ed448PrivateKey.generate(),
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
)
def test_keys_of_other_algorithms_are_refused(make):
    with pytest.raises(Refused) as caught:
        keys.read_public(_pem(make().public_key()), where="test")
    assert caught.value.code == "E_KEY_KIND"


@pytest.mark.parametrize(
    "text",
    ["", "hello", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "x" * 20000],
)
def test_what_is_not_a_public_key_is_refused(text):
    with pytest.raises(Refused) as caught:
        keys.read_public(text, where="test")
    assert caught.value.code == "E_KEY_FORM"


def test_a_private_key_is_not_taken_for_a_public_one():
    with pytest.raises(Refused) as caught:
        keys.read_public(private_keys.generate().to_pem(), where="test")
    assert caught.value.code == "E_KEY_FORM"


@pytest.mark.parametrize("algorithm", list(SIGNERS))
@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_private_key_survives_its_pem_text(algorithm, passphrase):
    key = private_keys.generate(algorithm)
    data = key.to_pem(passphrase)
    assert private_keys.is_encrypted(data) == (passphrase is not None)
    again = private_keys.read_private(data, passphrase=passphrase, where="test")
    assert again.public == key.public
    assert again.public.verifies(b"m", again.sign(b"m"))


@pytest.mark.parametrize("passphrase", [None, "", "wrong"])
def test_an_encrypted_key_needs_its_passphrase(passphrase):
    data = private_keys.generate().to_pem("right")
    with pytest.raises(Denied) as caught:
        private_keys.read_private(data, passphrase=passphrase, where="test")
    assert caught.value.code == "E_KEY_PASSPHRASE"


def test_a_passphrase_for_a_plain_key_is_ignored():
    key = private_keys.generate()
    assert (
        private_keys.read_private(key.to_pem(), passphrase="extra", where="t").public == key.public
    )


def test_a_broken_private_key_is_refused():
    with pytest.raises(Refused) as caught:
        private_keys.read_private(
            b"-----BEGIN PRIVATE KEY-----\nAA\n", passphrase=None, where="test"
        )
    assert caught.value.code == "E_KEY_FORM"


def test_a_private_key_of_31_bytes_is_refused():
    short = bytes.fromhex("302d020100300506032b65700421041f") + bytes(31)
    pem = b"-----BEGIN PRIVATE KEY-----\n%b\n-----END PRIVATE KEY-----\n" % b64encode(short)
    with pytest.raises(Refused) as caught:
        private_keys.read_private(pem, passphrase=None, where="key.pem")
    assert caught.value.code == "E_KEY_FORM"


def test_an_unknown_algorithm_is_a_usage_error():
    with pytest.raises(Usage) as caught:
        private_keys.generate("rsa")
    assert caught.value.code == "E_KEY_ALGORITHM"


def test_a_private_key_does_not_show_its_secret():
    assert "PRIVATE" not in repr(private_keys.generate())
    assert "_key" not in repr(private_keys.generate())
