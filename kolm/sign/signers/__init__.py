"""The signature algorithms that kolm knows, one file each; a new one is a file and a line here."""

from __future__ import annotations

from kolm.sign.signers.ed25519 import Ed25519
from kolm.sign.signers.p256 import P256
from kolm.sign.signers.signer import Signer

SIGNERS: dict[str, Signer] = {signer.name: signer for signer in (Ed25519(), P256())}
