"""A time stamp authority for tests: certificates made here, tokens by `openssl ts`, no network.

authority = Authority.make(tmp_path)
response = authority.stamp(query)          # RFC 3161, DER
certificates = authority.chain             # PEM: the authority's own, then its root
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the time stamps, is not installed"
)
_SETTINGS = """\
[stamps]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
"""
_BORN = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Authority:
    """An authority in a folder: its key, its certificate and its root."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, name: str = "Test Stamps") -> Authority:
        folder.mkdir(parents=True, exist_ok=True)
        root_key, key = (
            ec.generate_private_key(ec.SECP256R1()),
            ec.generate_private_key(ec.SECP256R1()),
        )
        root = _certificate(f"{name} Root", root_key, f"{name} Root", root_key, authority=True)
        root_pem = root_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "root.key").write_bytes(root_pem)
        own = _certificate(name, key, f"{name} Root", root_key, authority=False)
        (folder / "root.pem").write_bytes(root)
        (folder / "tsa.pem").write_bytes(own)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "tsa.key").write_bytes(pem)
        (folder / "serial").write_text("01\n")
        (folder / "tsa.cnf").write_text(_SETTINGS.format(folder=folder))
        return cls(folder)

    def sibling(self, folder: Path) -> Authority:
        """Another authority of the same root."""
        made = Authority.make(folder, "Sibling Stamps")
        root_key = load_pem_private_key((self.folder / "root.key").read_bytes(), None)
        key = load_pem_private_key((folder / "tsa.key").read_bytes(), None)
        root = x509.load_pem_x509_certificate((self.folder / "root.pem").read_bytes())
        assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuer = root.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        own = _certificate("Sibling Stamps", key, str(issuer), root_key, authority=False)
        (folder / "tsa.pem").write_bytes(own)
        return made

    @property
    def chain(self) -> str:
        return (self.folder / "tsa.pem").read_text() + (self.folder / "root.pem").read_text()

    def stamp(self, query: bytes) -> bytes:
        """What the authority answers to a query, now."""
        (self.folder / "query.tsq").write_bytes(query)
        settings = ("-config", "tsa.cnf", "-section", "stamps")
        command = ("openssl", "ts", "-reply", "-queryfile", "query.tsq", *settings)
        done = subprocess.run(
            [*command, "-out", "reply.tsr"], cwd=self.folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return (self.folder / "reply.tsr").read_bytes()


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    *,
    authority: bool,
) -> bytes:
    """A certificate in PEM, of a root or of who stamps."""
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BORN)
        .not_valid_after(_BORN + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority, key_cert_sign=authority, crl_sign=authority,
                content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )  # fmt: skip
    if not authority:
        stamps = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        made = made.add_extension(stamps, critical=True)
    return made.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
