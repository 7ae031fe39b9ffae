"""The compositions: what a finished training took, as its maker claims it.

What an auditor counts again is counted by the same functions here; the seconds, the energy and the
memory are the maker's own, from the run folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kolm import roles
from kolm.format import names, outline
from kolm.format.compute import flops_of, modifier_test, recount
from kolm.format.order import reading_of
from kolm.format.schedule import read_schedule
from kolm.format.sights import tower_operations
from kolm.methods import method_of
from kolm.planning.peak import predicted_bytes
from kolm.run import folder as files
from kolm.run.names import FACTS

if TYPE_CHECKING:
    from pathlib import Path

    from kolm.records.documents import Lock, PredicateCompute


def compute_claim(trained: Path, lock: Lock) -> PredicateCompute:
    """The predicate of the compute claim.

    Args:
        trained: the folder of the finished training.
        lock: that asked for it.
    """
    facts = files.read_document(trained, FACTS)
    family = roles.family(lock["base"]["family"])
    modules = files.read_rows(trained, names.MODULES)
    base = outline.of_modules(modules, family)
    numbers = sum(part["elements"] for row in modules for part in row["adapter"])
    method, shared = method_of(lock["train"]["method"]), facts["shared_prompts"]
    examples = files.read_rows(trained, names.EXAMPLES)
    terms = recount(
        lock=lock,
        reading=reading_of(read_schedule(lock), examples),
        trace=files.read_rows(trained, names.TRACE),
        base=base,
        method=method,
        shared=shared,
    )
    terms["tower"] = tower_operations(base, facts["pictures"], method)
    return {
        "flops": flops_of(terms),
        "measured": facts["measured"]["compute"],
        "modifier_test": modifier_test(sum(terms.values()), lock),
        "predicted_peak_bytes": predicted_bytes(
            lock, examples, base, numbers=numbers, shared=shared, front=method.front
        ),
        "shared_prompts": shared,
    }
