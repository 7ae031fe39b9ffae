"""Format: the receipt, derived from the other members.

The sealer writes it and the verifier recomputes it with the same function. Rules R1 to R8 of
docs/format/receipt.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from kolm.digest import Digest
from kolm.format import globs, optimizer
from kolm.format.examples import Losses, losses
from kolm.format.names import CARD, LOCK, RECEIPT, WEIGHTS
from kolm.methods import method_of
from kolm.objectives import objective_of

if TYPE_CHECKING:
    from kolm.records.documents import (
        ExamplesRow,
        Lock,
        ModulesRow,
        ModulesRowRole,
        Receipt,
        ReceiptCounts,
        ReceiptRoleCount,
        ReceiptTrace,
        ReceiptVlmTrain,
        Snapshot,
        TraceRow,
        TraceRowStep,
    )


SCHEMA: Final = "urn:kolm:receipt:v1"
ROLES: Final[tuple[ModulesRowRole, ...]] = (
    "audio",
    "head",
    "language",
    "other",
    "projector",
    "vision",
)


def derive_receipt(
    *,
    lock: Lock,
    snapshot: Snapshot,
    modules: Iterable[ModulesRow],
    examples: Iterable[ExamplesRow],
    trace: Iterable[TraceRow],
    members: Mapping[str, tuple[Digest, int]],
) -> Receipt:
    """The receipt document of a bundle.

    Args:
        lock: spec.lock.json.
        snapshot: snapshot.json.
        modules: the rows of modules.jsonl.
        examples: the rows of examples.jsonl.
        trace: the rows of trace.jsonl.
        members: digest and size in bytes of every layer; README.md and the receipt are skipped.
    """
    module_rows = list(modules)
    walked, label_tokens, last = _walk_trace(trace)
    base = lock["base"]
    return {
        "base": {"family": base["family"], "id": base["id"], "root": base["root"]},
        "counts": count_roles(module_rows),
        "environment_class": lock["environment"]["class"],
        "kolm": lock["environment"]["kolm"],
        "lock": members[LOCK][0],
        "members": [
            {"digest": content, "name": name}
            for name, (content, _) in sorted(members.items())
            if name not in (CARD, RECEIPT)
        ],
        "name": lock["name"],
        "schema": SCHEMA,
        "snapshot_root": snapshot["root"],
        "trace": walked,
        "vlm_train": _training(
            lock,
            snapshot,
            module_rows,
            losses(examples),
            adapter_bytes=members[WEIGHTS][1],
            label_tokens=label_tokens,
            steps=walked["steps"],
            last=last,
        ),
    }


def _training(
    lock: Lock,
    snapshot: Snapshot,
    modules: list[ModulesRow],
    lost: Losses,
    *,
    adapter_bytes: int,
    label_tokens: int,
    steps: int,
    last: list[TraceRowStep],
) -> ReceiptVlmTrain:
    train, base = lock["train"], lock["base"]
    names = [row["module"] for row in modules]
    frozen = [row["module"] for row in modules if row["state"] == "frozen"]
    trainable = [row["module"] for row in modules if row["state"] != "frozen"]
    return {
        "adapter_bytes": adapter_bytes,
        "base_parameters": base["parameters"],
        "cut_prompts": lost.cut,
        "dropped_examples": lost.dropped,
        "freeze_vision": train["freeze"]["vision"],
        "frozen_modules": globs.summarise(frozen, names),
        "label_tokens": label_tokens,
        "learning_rate": train["learning_rate"],
        "max_seq_length": train["max_seq_length"],
        "method": method_of(train["method"]).receipt(),
        "model_id": base["id"],
        "objective": objective_of(train["objective"]).receipt(last),
        "optimizer": optimizer.stated(lock, modules),
        "papers": list(base["papers"]),
        "precision": train["precision"],
        "projector": train["projector"],
        "projector_learning_rate": train["projector_learning_rate"],
        "quantisation": train["quantisation"],
        "steps": steps,
        "template": base["template"],
        "train_examples": snapshot["splits"]["train"]["captures"],
        "trainable_modules": globs.summarise(trainable, names),
        "trained_parameters": sum(_trained_elements(row) for row in modules),
    }


def _trained_elements(row: ModulesRow) -> int:
    return sum(tensor["elements"] for tensor in row["adapter"])


def count_roles(modules: Iterable[ModulesRow]) -> ReceiptCounts:
    """Modules and parameters by role, each role once, empty ones included.

    `parameters` counts elements of the base, an alias once at its own module; `frozen` those that
    the bundle leaves as they are (a delta leaves them, a trained module replaces them); `trained`
    the elements of the adapter's tensors.
    """
    counts: ReceiptCounts = {
        "audio": _no_modules(),
        "head": _no_modules(),
        "language": _no_modules(),
        "other": _no_modules(),
        "projector": _no_modules(),
        "vision": _no_modules(),
    }
    for row in modules:
        count = counts[row["role"]]
        own = sum(p["elements"] for p in row["parameters"] if "alias_of" not in p)
        count["modules"] += 1
        count["parameters"] += own
        count["frozen"] += own if row["state"] != "trained" else 0
        count["trained"] += _trained_elements(row)
    return counts


def _no_modules() -> ReceiptRoleCount:
    return {"frozen": 0, "modules": 0, "parameters": 0, "trained": 0}


def _walk_trace(trace: Iterable[TraceRow]) -> tuple[ReceiptTrace, int, list[TraceRowStep]]:
    """What the receipt says of the trace, the tokens that were learned, and the last segment."""
    steps = label_tokens = 0
    checkpoints = []
    segment: list[TraceRowStep] = []
    last: list[TraceRowStep] = []
    for row in trace:
        if row["kind"] == "step":
            steps += 1
            label_tokens += row["label_tokens"]
            segment.append(row)
        elif row["kind"] == "checkpoint":
            checkpoints.append(row)
            segment, last = [], segment or last
    ends: ReceiptTrace = {
        "chain": checkpoints[-1]["chain"],
        "segments": len(checkpoints) - 1,
        "state_first": checkpoints[0]["state"],
        "state_last": checkpoints[-1]["state"],
        "steps": steps,
    }
    return ends, label_tokens, last
