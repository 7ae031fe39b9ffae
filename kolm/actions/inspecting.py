"""The compositions: what a bundle holds and claims, read without running or believing anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm.bundle.reader import Bundle
from kolm.format import names
from kolm.sign.envelope import open_envelope
from kolm.sign.predicates import COMPUTE, KSCORE
from kolm.sign.statement import parse

if TYPE_CHECKING:
    from kolm.records.answers import Inspect, InspectClaim, InspectCompute, InspectKscore


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
    for number, data in enumerate(opened.claims):
        envelope = open_envelope(data, where=f"claim {number}")
        said = parse(envelope.payload, where=f"claim {number}")
        claims.append({"predicate_type": said.predicate_type, "key": envelope.keyid})
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
        "evaluation": opened.document(names.EVALUATION),
        "claims": claims,
        "computes": computes,
        "kscores": scores,
    }
