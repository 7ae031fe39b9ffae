"""The signature algorithms that kolm knows: each is a file here and a word in the table below.

The command line's choices and the contract tests read the table. An algorithm is loaded when a key
of it is met, since each brings a part of the cryptography library along.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from kolm.sign.signers.signer import Signer

SIGNERS: Final = ("ed25519", "p256")


@cache
def signer_of(algorithm: str) -> Signer:
    """An algorithm of the table."""
    found: Signer = import_module(f"kolm.sign.signers.{algorithm}").SIGNER
    return found
