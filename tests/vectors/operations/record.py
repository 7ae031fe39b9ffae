"""Operations of trainings, by family and setting, for implementations of docs/format/compute.md.

    python -m tests.vectors.operations.record    # writes operations.json again; needs torch

Shapes are those of a tiny base of each family. `tests/unit/format/test_operation_vectors.py` holds
kolm to the numbers, `verifier/test/vectors.test.mjs` the second verifier.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolm import digest, roles
from kolm.errors import KolmError
from kolm.format.compute import modifier_test, recount
from kolm.format.order import reading_of
from kolm.format.outline import of_modules
from kolm.format.schedule import read_schedule
from kolm.methods import method_of, resolved_again
from kolm.spec.options import resolve_method, resolve_objective

FILE = Path(__file__).with_name("operations.json")
MODIFIER_FILE = Path(__file__).with_name("modifier_test.json")
# Totals, what is declared of the base, and whether the training goes on from another: shares that
# lie between two of three digits, and very small and large ones.
MODIFIED = (
    (0, None, False),
    (999, None, True),
    (1000, "3e3 FLOP, a card", False),
    (1001, "3e3 FLOP, a card", False),
    (10**23 // 3, None, False),
    (10**23, None, False),
    (12250, "3e5 FLOP, a card", False),
    (12350, "3e5 FLOP, a card", False),
    (9995, "3e4 FLOP, FLOP, twice", False),
    (99949, "3e5 FLOP, a card", True),
    (999500, "3e5 FLOP, a card", False),
    (123456789, "6e24 FLOP, a card", False),
    (5, "1e0 FLOP, none", False),
    (1234, "3.75e3 FLOP, a card", False),
)
# side, tokens, labels, image tokens; of the rejected answer tokens and labels
LENGTHS = (
    ("train", 20, 3, 4, 22, 5), ("train", 30, 6, 0, 27, 3), ("train", 17, 2, 4, 18, 3),
    ("train", 41, 9, 8, 35, 3), ("train", 12, 1, 0, 13, 2), ("validation", 25, 4, 4, 24, 3),
    ("validation", 19, 5, 0, 21, 7), ("validation", 33, 2, 4, 33, 2),
)  # fmt: skip
SCHEDULE = {
    "accumulation": 2, "batch_size": 2, "continues": None, "early_stopping": None,
    "learning_rate": "0.001", "projector_learning_rate": "0.001", "schedule": "constant",
    "segments": 2, "steps": 5, "validation": {"answers": None, "every_steps": 2},
    "warmup_steps": 0,
}  # fmt: skip
TRACE = [
    {"kind": kind} for kind in ("step", "step", "validation", "step", "step", "validation", "step")
]
CONTINUED = {"chain": digest.of_bytes(b"chain"), "state": digest.of_bytes(b"state")}
# name, method, objective, projector, whether the tower is adapted, other settings
SETTINGS: tuple[tuple[str, Any, str, str, bool, dict[str, Any]], ...] = (
    ("lora", {"kind": "lora", "dora": True}, "sft", "full", False, {"projector_after_steps": 3}),
    ("lora, tower and projector", {"kind": "lora"}, "sft", "lora", True, {}),
    ("lora, one target", {"kind": "lora"}, "orpo", "frozen", False, {"one": True}),
    ("bottleneck", {"kind": "bottleneck"}, "dpo", "frozen", False, {}),
    ("prefix", {"kind": "prefix"}, "ipo", "full", False, {"continues": CONTINUED}),
    ("ia3", {"kind": "ia3"}, "kto", "lora", False, {}),
    ("prompt", {"kind": "prompt"}, "sft", "frozen", False, {}),
    ("p_tuning", {"kind": "p_tuning"}, "kto", "full", False, {"continues": CONTINUED}),
    ("one prompt", {"kind": "lora"}, "dpo", "full", False, {"shared": True}),
)


def modules_of(shapes: list[Any]) -> list[Any]:
    """Rows of modules.jsonl, as far as the count reads them."""
    owned: dict[str, list[Any]] = {}
    for name, blocks, shape in shapes:
        for block in blocks or [0]:
            module, _, leaf = name.replace("*", str(block)).rpartition(".")
            owned.setdefault(module, []).append({"name": leaf, "shape": shape})
    return [{"module": name, "parameters": own} for name, own in sorted(owned.items())]


def examples_of(objective: str) -> list[Any]:
    """Rows of examples.jsonl, one capture among them that cannot be used."""
    rows: list[Any] = [{"dropped": "over_budget", "side": "train"}]
    for side, tokens, labels, pictures, other, own in LENGTHS:
        row: Any = {"cut": 0, "labels": labels, "side": side, "tokens": tokens}
        row |= {"image_tokens": pictures} if pictures else {}
        row |= {"rejected": {"labels": own, "tokens": other}} if objective != "sft" else {}
        rows.append(row)
    return rows


def count(family: roles.Family, shapes: list[Any], case: Any) -> dict[str, str]:
    """What the page's formulas give, by kolm."""
    train = case["train"]
    method = resolved_again(
        method_of(train["method"]),
        family,
        vision=train["freeze"]["vision"] is False,
        projector=train["projector"],
    )
    lock: Any = {"seeds": {"order": digest.of_bytes(b"order")}, "train": train}
    examples = examples_of(train["objective"]["kind"])
    terms = recount(
        lock=lock,
        reading=reading_of(read_schedule(lock), examples),
        trace=TRACE,  # type: ignore[arg-type]
        base=of_modules(modules_of(shapes), family),
        method=method,
        shared=case["shared"],
    )
    return {term: str(number) for term, number in terms.items()}


def cases_of(family: roles.Family) -> Iterator[dict[str, Any]]:
    """The settings that a family allows."""
    sees = family.takes_pictures
    for name, options, objective, projector, vision, more in SETTINGS:
        if (vision and not sees) or (more.get("shared") and not family.branches):
            continue
        try:
            one = {"targets": [min(family.lora_leaf_names)]} if more.get("one") else {}
            method = resolve_method(
                {**options, **one}, family, vision=vision, projector=projector if sees else None
            )
        except KolmError:  # not of this family
            continue
        after = more.get("projector_after_steps")
        yield {
            "name": name,
            "shared": more.get("shared", False),
            "train": {
                **SCHEDULE,
                "continues": more.get("continues"),
                "freeze": {
                    "projector_after_steps": after if sees else None,
                    "vision": (not vision) if sees else None,
                },
                "method": method,
                "objective": resolve_objective({"kind": objective}),
                "projector": projector if sees else None,
            },
        }


def modifier_cases() -> Iterator[dict[str, Any]]:
    """The test of the base's compute, with its words."""
    for total, declared, goes_on in MODIFIED:
        dossier = {} if declared is None else {"base_compute": declared}
        lock: Any = {"dossier": dossier, "train": {"continues": CONTINUED if goes_on else None}}
        yield {
            "total": str(total),
            "base_compute": declared,
            "continues": goes_on,
            "due": modifier_test(total, lock),
        }


def main() -> None:
    """Write the file."""
    from tests.contract.test_family_forward import make_world

    made: dict[str, Any] = {}
    for name, family in sorted(roles.FAMILIES.items()):
        shapes: dict[tuple[str, tuple[int, ...]], list[int]] = {}
        for parameter, value in make_world(name).model.named_parameters():
            number = re.search(r"(?<=\.)\d+(?=\.)", parameter)
            folded = re.sub(r"(?<=\.)\d+(?=\.)", "*", parameter, count=1)
            blocks = shapes.setdefault((folded, tuple(value.shape)), [])
            blocks += [int(number[0])] if number else []
        rows = [[name, blocks, list(shape)] for (name, shape), blocks in sorted(shapes.items())]
        cases = [{**case, "flops": count(family, rows, case)} for case in cases_of(family)]
        made[name] = {"shapes": rows, "cases": cases}
    lines = [
        f'"order": {json.dumps(digest.of_bytes(b"order"))}',
        f'"trace": {json.dumps(TRACE)}',
        f'"one": {json.dumps(examples_of("sft"))}',
        f'"pairs": {json.dumps(examples_of("dpo"))}',
    ]
    families = []
    for name, own in made.items():
        parts = (
            f'"{key}": [\n   ' + ",\n   ".join(map(json.dumps, own[key])) + "]"
            for key in ("shapes", "cases")
        )
        families.append(f'"{name}": {{\n  ' + ",\n  ".join(parts) + "}")
    lines.append('"families": {\n ' + ",\n ".join(families) + "}")
    FILE.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")
    MODIFIER_FILE.write_text(json.dumps([*modifier_cases()], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
