"""What every signature algorithm does: a word in the table inherits this."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kolm.errors import Refused
from kolm.records.verification import Verdict
from kolm.sign import envelope, keys, making, private_keys
from kolm.sign.signers import SIGNERS, signer_of
from kolm.sign.trust import TrustStore
from tests.support.audits import World, trusting
from tests.support.commands import invoke

each_signer = pytest.mark.parametrize("algorithm", SIGNERS)
MESSAGES = (b"", b"\x00", b"message", b"m" * 100_000)


@each_signer
def test_a_key_signs_and_its_public_half_verifies(algorithm: str) -> None:
    signer = signer_of(algorithm)
    key, other = signer.generate(), signer.generate()
    for message in MESSAGES:
        signature = signer.sign(key, message)
        assert signer.verify(key.public_key(), message, signature)
        assert not signer.verify(other.public_key(), message, signature)
        assert not signer.verify(key.public_key(), message + b"x", signature)


@each_signer
def test_a_signature_has_one_spelling(algorithm: str) -> None:
    """A flipped bit, a byte more or less, or anything else at all is a no and never an error."""
    signer = signer_of(algorithm)
    key = signer.generate()
    signature = signer.sign(key, b"message")
    wrong = [signature[:-1], signature + b"\x00", signature[1:], b"", b"\x30", bytes(64), bytes(72)]
    for place in range(8 * len(signature)):
        flipped = bytearray(signature)
        flipped[place // 8] ^= 1 << place % 8
        wrong.append(bytes(flipped))
    assert not any(signer.verify(key.public_key(), b"message", other) for other in wrong)


@each_signer
@pytest.mark.parametrize("other", SIGNERS)
def test_a_key_belongs_to_one_algorithm(algorithm: str, other: str) -> None:
    """So nothing in a signed file ever chooses the algorithm."""
    key = signer_of(other).generate()
    assert signer_of(algorithm).accepts(key.public_key()) == (algorithm == other)
    if algorithm != other:
        signature = signer_of(other).sign(key, b"message")
        assert not signer_of(algorithm).verify(key.public_key(), b"message", signature)
        with pytest.raises(TypeError):
            signer_of(algorithm).sign(key, b"message")


@each_signer
@pytest.mark.parametrize("passphrase", [None, "pass phrase"])
def test_keys_survive_their_files(algorithm: str, passphrase: str | None) -> None:
    key = private_keys.generate(algorithm)
    again = private_keys.read_private(key.to_pem(passphrase), passphrase=passphrase, where="key")
    assert again.public == keys.read_public(key.public.pem, where="key")._replace(
        held=again.public.held
    )
    assert again.public.algorithm == algorithm
    assert key.public.verifies(b"message", again.sign(b"message"))


@each_signer
def test_claims_are_sealed_and_opened(algorithm: str) -> None:
    key, said = private_keys.generate(algorithm), b'{"any":"statement"}'
    opened = envelope.open_envelope(making.seal(said, key))
    assert (opened.keyid, bytes(opened.payload)) == (key.public.keyid, said)
    envelope.demand_signature(opened, key.public)
    with pytest.raises(Refused):
        envelope.demand_signature(opened, private_keys.generate(algorithm).public)


@each_signer
def test_a_bundle_signed_with_it_is_verified(algorithm: str, tmp_path: Path) -> None:
    world, key = World.make(tmp_path), private_keys.generate(algorithm)
    sealed = world.seal(key=key)
    assert world.look(sealed).overall is not Verdict.OK
    trusted = TrustStore((trusting(key),))
    assert world.look(sealed, trust=trusted).overall is Verdict.OK


@each_signer
def test_the_command_line_makes_such_keys(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path))
    ran = invoke("keys", "new", "--algorithm", algorithm, "--json")
    assert ran.code == 0, ran


def test_an_audit_under_the_first_algorithm_loads_no_other() -> None:
    code = "import sys, kolm.verify.verifier, kolm.sign.private_keys as k; k.generate()"
    code += "; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert f"kolm.sign.signers.{SIGNERS[0]}" in loaded
    assert not {f"kolm.sign.signers.{name}" for name in SIGNERS[1:]} & {*loaded}
