"""The norm of a weight, from the checkpoint in the auditor's hands."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from kolm.bundle.tensors import parse_header
from kolm.elements import square_sum
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRowParameter


# Loading in bfloat16 rounds each stored element by at most this share, and so their norm.
LOADING_ERROR: Final = 2.0**-8


def weight_norm(subject: Subject, parameter: ModulesRowParameter) -> float | None:
    """The Frobenius norm of the stored tensor that a parameter was loaded from.

    Args:
        subject: with the auditor's base.
        parameter: of a row of `modules.jsonl`.

    Returns:
        None where the checkpoint has no such tensor of floats, which V42 tells.

    Raises:
        KolmError: the base cannot be read, or is no base.
    """
    from kolm.bundle.ranges import Ranges  # only an auditor with a base has shards

    facts = subject.base_facts
    stored = next((t for t in facts.tensors if [t.key] == parameter["checkpoint"]), None)
    if stored is None:
        return None
    shard = subject.auditor.base_folder() / stored.file
    with Ranges(shard) as data:
        entries = parse_header(data, where=shard.name, canonical_form=False)
        entry = next(entry for entry in entries if entry.name == stored.key)
        sums = [square_sum(entry.dtype, piece) for piece in data.pieces(entry.start, entry.end)]
    known = [part for part in sums if part is not None]
    return math.sqrt(math.fsum(known)) if len(known) == len(sums) else None
