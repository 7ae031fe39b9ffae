"""OpenSSF Model Signing 1.0: one signature over the files of a folder, as `model.sig` beside them.

For those whose tools ask for it. The same envelope as a claim's, with a predicate that lists files;
it is no claim, and stands in no bundle. Source: github.com/ossf/model-signing-spec, "Signature
format", and the statement that the package `model-signing` documents for predicate v1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kolm import canonical, digest
from kolm.digest import Digest
from kolm.errors import Usage
from kolm.sign.making import seal
from kolm.sign.private_keys import PrivateKey
from kolm.sign.statement import STATEMENT_TYPE

FILE_NAME: Final = "model.sig"
_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
_ALGORITHM: Final = "p256"  # the specification knows elliptic curves of NIST's alone


def demand_suitable(key: PrivateKey) -> None:
    """Demand a key of an algorithm that the specification has.

    Raises:
        Usage: ``E_SIGN_OMS_KEY``.
    """
    if key.public.algorithm != _ALGORITHM:
        raise Usage(
            "E_SIGN_OMS_KEY",
            "OpenSSF Model Signing knows no key of this algorithm",
            expected=f"a {_ALGORITHM} key",
            found=key.public.algorithm,
            hint=f"kolm keys new --algorithm {_ALGORITHM} --name oms, then --key oms",
        )


def model_signature(name: str, files: Mapping[str, Digest], key: PrivateKey) -> bytes:
    """The bytes of `model.sig`.

    Args:
        name: of the model, for people.
        files: the digest of every file of the folder by its name; no other file may be there.
        key: of P-256.

    Raises:
        Usage: ``E_SIGN_OMS_KEY``.
    """
    demand_suitable(key)
    hashes = [(file, digest.hex_of(files[file])) for file in sorted(files)]
    root = digest.of_bytes(b"".join(bytes.fromhex(value) for _, value in hashes))
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.hex_of(root)}}],
        "predicateType": _PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [FILE_NAME],
            },
            "resources": [
                {"name": file, "algorithm": "sha256", "digest": value} for file, value in hashes
            ],
        },
    }
    return seal(canonical.dumps(statement), key)
