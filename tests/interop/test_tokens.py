"""Keys on a token, SoftHSM's: a bundle is signed there and verified as any other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from kolm.actions.signing import choose_key, public_half
from kolm.errors import KolmError
from kolm.records.verification import Verdict
from kolm.sign import token_keys
from kolm.sign.keys import public_of
from kolm.sign.signers.p256 import SIGNER
from kolm.sign.token_keys import TokenKey
from kolm.sign.trust import TrustStore
from tests.support.audits import World, trusting

PIN, LABEL = "271828", "signing key"
URI = "pkcs11:token=kolm%20test;object=signing%20key?module-path={module}"


def _digest_signer(key: ec.EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    """What a token does with a digest, in software: r and s, 32 bytes each."""

    def sign(data: bytes) -> bytes:
        r, s = utils.decode_dss_signature(
            key.sign(data, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        )
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


def test_what_a_token_signs_is_an_ordinary_signature_and_its_key_stays_there() -> None:
    software = ec.generate_private_key(ec.SECP256R1())
    key = TokenKey(software.public_key(), _digest_signer(software))
    for number in range(20):  # about half of them have a high s before it is brought down
        message = bytes([number])
        signature = SIGNER.sign(key, message)
        assert SIGNER.verify(software.public_key(), message, signature)
        assert not SIGNER.verify(software.public_key(), message + b"x", signature)
    with pytest.raises(TypeError, match="stays on its token"):
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    with pytest.raises(TypeError, match="stays on its token"):
        key.private_numbers()


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:",
        "pkcs11:token=a;object=b",
        "pkcs11:token=a;object=?module-path=c",
        "pkcs11:token=a;object=b?module-path=c&pin-value=314159",
    ],
)
def test_a_uri_names_token_key_and_library_and_no_pin(uri: str) -> None:
    with pytest.raises(KolmError) as caught:
        choose_key(uri, lambda _: PIN)
    assert caught.value.code == "E_KEY_URI"
    assert "314159" not in str(caught.value)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SoftHSM's library, with a token on which a P-256 and a P-384 key lie."""
    pkcs11 = pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    tool = shutil.which("softhsm2-util")
    if tool is None:
        pytest.skip("softhsm2-util is not installed")
    root = Path(tool).parents[1]
    (found, *_) = [*root.glob("lib*/softhsm/libsofthsm2.so"), *root.glob("lib/*/softhsm/*hsm2.so")]
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    asked = ("--init-token", "--free", "--label", "kolm test", "--pin", PIN, "--so-pin", PIN)
    subprocess.run([tool, "--module", found, *asked], check=True, capture_output=True)
    library = pkcs11.lib(str(found))
    library.reinitialize()  # it may have been loaded with the token of another test
    from pkcs11.util.ec import encode_named_curve_parameters

    with library.get_token(token_label="kolm test").open(user_pin=PIN, rw=True) as session:
        for label, curve in ((LABEL, "secp256r1"), ("large", "secp384r1")):
            asked_curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            domain = session.create_domain_parameters(pkcs11.KeyType.EC, asked_curve, local=True)
            domain.generate_keypair(store=True, label=label)
    return found


def test_a_bundle_is_signed_on_a_token_and_verified_without_it(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = URI.format(module=module)
    key = choose_key(uri, lambda _: PIN)
    world = World.make(tmp_path / "world")
    path = world.seal(key=key)
    trusted = TrustStore((trusting(key),))
    audit = world.look(path, trust=trusted)
    assert audit.overall is Verdict.OK
    assert [signer.keyid for signer in audit.report.signers] == [key.public.keyid]
    assert world.look(path).overall is not Verdict.OK
    monkeypatch.setenv("KOLM_KEY_PASSPHRASE", PIN)
    assert public_half(uri) == public_of(key.held.public_key(), where="token")


@pytest.mark.parametrize(
    ("change", "pin", "code"),
    [
        (("signing", "signing"), None, "E_KEY_PASSPHRASE"),
        (("signing", "signing"), "999999", "E_KEY_PASSPHRASE"),
        (("signing", "no such"), PIN, "E_KEY_TOKEN"),
        (("kolm", "other"), PIN, "E_KEY_TOKEN"),
        (("softhsm", "nowhere"), PIN, "E_KEY_TOKEN"),
        (("signing%20key", "large"), PIN, "E_KEY_KIND"),
    ],
)
def test_what_a_token_does_not_give_is_said(
    module: Path, change: tuple[str, str], pin: str | None, code: str
) -> None:
    uri = URI.format(module=module).replace(*change)
    with pytest.raises(KolmError) as caught:
        token_keys.load(uri, lambda _: pin)
    assert caught.value.code == code
