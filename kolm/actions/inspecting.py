"""The compositions: what a bundle holds and claims, read without running or believing anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm.bundle.reader import Bundle
from kolm.errors import KolmError
from kolm.format import names
from kolm.planning.parameters import Owned, by_role
from kolm.sign.envelope import open_envelope
from kolm.sign.predicates import COMPUTE, KSCORE
from kolm.sign.statement import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kolm.records.answers import (
        Inspect,
        InspectClaim,
        InspectCompute,
        InspectKscore,
        InspectParameter,
    )
    from kolm.records.documents import ModulesRow


def inspect(bundle: str | Path, *, unpack: Path | None = None) -> Inspect:
    """What a bundle says of itself: members, receipt, evaluation, claims and K-scores.

    Container and schemas are checked; whether what is said is true is the question of `verify`.

    Args:
        bundle: the file.
        unpack: write the members into this folder, for example for PEFT to load.

    Raises:
        Unreadable, Refused: it is not an intact bundle.
    """
    opened = Bundle.open(Path(bundle))
    found = describe(opened)
    if unpack is not None:
        opened.unpack(unpack)
        found["unpacked"] = str(unpack)
    return found


def describe(opened: Bundle) -> Inspect:
    """What an open bundle says of itself."""
    claims: list[InspectClaim] = []
    scores: list[InspectKscore] = []
    computes: list[InspectCompute] = []
    for stored in opened.container.claims[0]:
        row: InspectClaim = {"predicate_type": stored.predicate_type}
        claims.append(row)
        try:
            envelope = open_envelope(stored.data, where=f"claim {stored.digest}")
            row["key"] = envelope.keyid
            said = parse(envelope.payload, where=f"claim {stored.digest}")
        except KolmError as error:  # anybody may add a claim: one that says nothing hides no other
            row["error"] = {"code": error.code, "message": error.message}
            continue
        if score := said.of(KSCORE):
            scores.append({"key": envelope.keyid, "kscore": score})
        if compute := said.of(COMPUTE):
            computes.append({"key": envelope.keyid, "compute": compute})
    return {
        "content_id": opened.content_id,
        "cid": opened.cid,
        "members": [
            {"name": member.name, "digest": member.digest, "bytes": member.size}
            for member in opened.members
        ],
        "receipt": opened.receipt,
        "parameters": _parameters(opened),
        "evaluation": opened.document(names.EVALUATION),
        "claims": claims,
        "computes": computes,
        "kscores": scores,
    }


def _parameters(opened: Bundle) -> list[InspectParameter]:
    """Whose parameters are trained, by role and module."""
    modules: Iterator[ModulesRow] = opened.rows(names.MODULES)
    owned = (
        Owned(
            module=row["module"],
            role=row["role"],
            base=sum(own["elements"] for own in row["parameters"] if "alias_of" not in own),
            trained=sum(tensor["elements"] for tensor in row["adapter"]),
            whole=row["state"] == "trained",
        )
        for row in modules
    )
    return [
        {
            "role": found.role,
            "base": found.base,
            "trained": found.trained,
            "modules": [
                {
                    "glob": group.glob,
                    "modules": group.modules,
                    "base": group.base,
                    "trained": group.trained,
                    "whole": group.whole,
                }
                for group in found.groups
            ],
        }
        for found in by_role(owned)
    ]
