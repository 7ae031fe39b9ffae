"""Format: the rules of `application/vnd.kolm.bundle.v1`: what follows from what.

Each is one pure function: a compile calls it to write, verify calls it by this list to compare. The
next version is a class that inherits this one and names what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from kolm.format.adapter_config import derive as derive_adapter_config
from kolm.format.base import root_of
from kolm.format.card import render as render_card
from kolm.format.compute import modifier_test, recount
from kolm.format.examples import examples_follow
from kolm.format.globs import expand
from kolm.format.order import BatchOrder
from kolm.format.receipt import derive_receipt
from kolm.format.sameness import fingerprints
from kolm.format.schedule import Schedule, read_schedule
from kolm.format.seeds import derive_seeds, pack_root, training_root
from kolm.format.trace import trace_follows
from kolm.format.words import claimed_words
from kolm.score.cases import build_cases
from kolm.score.evaluation import evaluate, evaluate_stated, find_impossible, find_mismatches
from kolm.score.judge import Judge
from kolm.score.kscore import cost_usd_per_call, decide, kscore_v1

if TYPE_CHECKING:
    from kolm.errors import Refused
    from kolm.format.checkpoint import Learned
    from kolm.format.groups import Captures
    from kolm.format.outline import Outline
    from kolm.format.sights import Read
    from kolm.methods import Method
    from kolm.records.documents import Checkpoint, Lock, Snapshot, TraceRow
    from kolm.records.sides import Placed


class Rules:
    """What a compile writes and verify computes again."""

    # docs/format/lock.md, snapshot.md, bundle.md
    root_of = staticmethod(root_of)
    fingerprints = staticmethod(fingerprints)
    derive_seeds = staticmethod(derive_seeds)
    training_root = staticmethod(training_root)
    pack_root = staticmethod(pack_root)

    @staticmethod
    def assign(captures: Captures, header: Snapshot) -> list[Placed]:
        """The side of every capture by the rule of a snapshot's header."""
        from kolm.format.split import assign, rule_of  # most splits are official

        return assign(captures, rule_of(header))

    # examples.md, trace.md, randomness.md, checkpoint.md
    batch_order = BatchOrder
    read_schedule = staticmethod(read_schedule)
    examples_follow = staticmethod(examples_follow)
    trace_follows = staticmethod(trace_follows)

    @staticmethod
    def checkpoints_follow(
        read: Callable[[str], Checkpoint | None],
        trace: Iterable[TraceRow],
        schedule: Schedule,
        learned: Mapping[str, Learned],
    ) -> Iterator[Refused]:
        """What of published checkpoints does not follow from the rest."""
        from kolm.format.checkpoint import documents_follow  # few bundles publish any

        return documents_follow(read, trace, schedule, learned)

    # receipt.md, bundle.md
    derive_receipt = staticmethod(derive_receipt)
    render_card = staticmethod(render_card)
    derive_adapter_config = staticmethod(derive_adapter_config)
    expand = staticmethod(expand)

    # claims.md, compute.md
    claimed_words = staticmethod(claimed_words)
    recount = staticmethod(recount)
    modifier_test = staticmethod(modifier_test)

    @staticmethod
    def tower_operations(lock: Lock, base: Outline, method: Method, read: Read) -> int:
        """The operations of the tower on what a training showed it."""
        from kolm.format.sights import tower_operations  # asked where all captures are at hand

        return tower_operations(base, read.shown(lock), method)

    # evaluation.md
    build_cases = staticmethod(build_cases)
    judge = Judge
    evaluate = staticmethod(evaluate)
    evaluate_stated = staticmethod(evaluate_stated)
    find_mismatches = staticmethod(find_mismatches)
    find_impossible = staticmethod(find_impossible)

    # kscore.md
    kscore = staticmethod(kscore_v1)
    decide = staticmethod(decide)
    cost_usd_per_call = staticmethod(cost_usd_per_call)
