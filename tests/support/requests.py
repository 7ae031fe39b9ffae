"""A buyer for tests: a key, and signed requests that a toy bundle answers.

buyer = private_keys.generate()
request = ask(buyer, parts)
parts.answer(request)
"""

from __future__ import annotations

from typing import Any

from kolm.sign import making, predicates
from kolm.sign.private_keys import PrivateKey
from tests.support.bundles import BundleParts

NONCE = "5e" * 32
CLAIMS = [{"predicate": predicates.KSCORE, "role": "evaluator", "threshold": 1}]


def demands_of(parts: BundleParts, **clauses: Any) -> dict[str, Any]:
    """A policy that the bundle meets, with some of its clauses replaced."""
    return {
        "schema": "urn:kolm:policy:v1",
        "name": "buyer",
        "claims": CLAIMS,
        "gate": "passed",
        "base_roots": [parts.lock["base"]["root"]],
        "metrics": [parts.lock["evaluation"]["metric"]],
        "methods": [parts.lock["train"]["method"]["kind"]],
        "freeze": ["vision frozen"],
        "floors": {"accuracy_lower_bound": "0.4"},
        **clauses,
    }


def ask(
    buyer: PrivateKey,
    parts: BundleParts,
    *,
    root: str | None = None,
    sealed: bool = False,
    nonce: str = NONCE,
    **clauses: Any,
) -> bytes:
    """A signed request for a bundle like this one; `clauses` replace those of its policy."""
    scored = root or parts.pack_root()
    said = {
        "name": "toys",
        "nonce": nonce,
        "pack": {
            "captures": len(parts.cases),
            "kind": "sealed" if sealed else "open",
            "root": scored,
        },
        "policy": demands_of(parts, **clauses),
    }
    return making.seal(making.statement(scored, "toys", predicates.REQUEST, said), buyer)
