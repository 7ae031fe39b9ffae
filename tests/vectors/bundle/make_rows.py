"""Write the vectors of receipt, checkpoints, modules and trace rows: good ones, and each bad way.

    python -m tests.vectors.bundle.make_rows

Each bad document is a good one with a single change; its file is named after the defect.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kolm import canonical
from kolm.run.example_rows import dropped_row
from tests.support.bundles import make_parts
from tests.support.toy_documents import make_checkpoint

FOLDER = Path(__file__).parent.parent
Row = dict[str, Any]
Change = Callable[[Row], Any]


def _set(*path: Any, to: Any) -> Change:
    def change(document: Row) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def _drop(*path: Any) -> Change:
    def change(document: Row) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


RECEIPT: dict[str, Change] = {
    "unknown_key": _set("note", to="x"),
    "missing_lock": _drop("lock"),
    "other_schema": _set("schema", to="urn:kolm:receipt:v2"),
    "short_digest": _set("lock", to="sha256:00"),
    "upper_case_digest": _set("lock", to="sha256:" + "A" * 64),
    "number_as_text": _set("trace", "steps", to="4"),
    "negative_count": _set("counts", "vision", "frozen", to=-1),
    "role_missing": _drop("counts", "head"),
    "fraction_with_trailing_zero": _set("vlm_train", "learning_rate", to="0.10"),
    "fraction_with_exponent": _set("vlm_train", "learning_rate", to="1e-3"),
    "member_with_path": _set("members", 0, "name", to="../x"),
}
MODULES: dict[str, Change] = {
    "unknown_role": _set("role", to="eyes"),
    "unknown_state": _set("state", to="thawed"),
    "star_in_name": _set("module", to="model.layers.*.mlp"),
    "empty_component_in_name": _set("module", to="model..mlp"),
    "unknown_dtype": _set("adapter", 0, "dtype", to="F31"),
    "negative_shape": _set("adapter", 0, "shape", to=[-1, 8]),
    "negative_norm": _set("weight_norm", to="-1"),
    "norm_as_number": _set("weight_norm", to=1),
    "missing_norm": _drop("weight_norm"),
    "missing_digest": _drop("adapter", 0, "after"),
    "unknown_key": _set("parameters", 0, "note", to=1),
    "boolean_as_number": _set("parameters", 0, "requires_grad", to=0),
}
TRACE: dict[str, Change] = {
    "unknown_kind": _set("kind", to="pause"),
    "step_zero": _set("step", to=0),
    "no_positions": _set("positions", to=[]),
    "no_label": _set("label_tokens", to=0),
    "negative_position": _set("positions", to=[-1]),
    "loss_as_text_of_nan": _set("loss", to="NaN"),
    "negative_loss": _set("loss", to="-0.5"),
    "state_in_a_step": _set("state", to="sha256:" + "0" * 64),
    "missing_loss": _drop("loss"),
}


EXAMPLES: dict[str, Change] = {
    "unknown_side": _set("side", to="eval"),
    "no_label": _set("labels", to=0),
    "no_token": _set("tokens", to=0),
    "negative_cut": _set("cut", to=-1),
    "kept_and_dropped": _set("dropped", to="over_budget"),
    "missing_tokens": _drop("tokens"),
    "tokens_as_text": _set("tokens", to="20"),
}
CHECKPOINT: dict[str, Change] = {
    "unknown_key": _set("note", to="x"),
    "other_schema": _set("schema", to="urn:kolm:checkpoint:v2"),
    "negative_step": _set("step", to=-1),
    "short_digest": _set("tensors", to="sha256:00"),
    "missing_updates": _drop("updates"),
    "updates_as_text": _set("updates", "some.weight", to="4"),
    "patience_without_best": _set("patience", to={"since": 1}),
}


def _write(name: str, good: dict[str, Row], base: str, changes: dict[str, Change]) -> None:
    documents = {("valid", key): document for key, document in good.items()}
    for defect, change in changes.items():
        forged = copy.deepcopy(good[base])
        change(forged)
        assert canonical.dumps(forged) != canonical.dumps(good[base]), defect
        documents["invalid", defect] = forged
    for (kind, key), document in documents.items():
        path = FOLDER / name / kind / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(canonical.dumps(document))


def main() -> None:
    """Write every file again."""
    with tempfile.TemporaryDirectory() as folder:
        parts = make_parts(Path(folder), cases=2, train=2)
        receipt = canonical.loads(parts.receipt(), where="receipt.json")
    states = {row["state"]: row for row in parts.modules if row["parameters"]}
    states["alias"] = next(r for r in parts.modules if r["module"] == "lm_head")
    states["buffer"] = next(r for r in parts.modules if r["buffers"])
    validation = {"kind": "validation", "label_tokens": 12, "loss": "0.5", "step": 2}
    trace = {"checkpoint": parts.trace[0], "step": parts.trace[1], "validation": validation}
    checkpoint = make_checkpoint(4, parts.trace[0]["state"])
    patient = {**checkpoint, "patience": {"best": "0.5", "since": 1}}
    fresh = {**checkpoint, "patience": {"best": None, "since": 0}}
    checkpoints = {"plain": checkpoint, "patient": patient, "fresh": fresh}
    _write("checkpoint", checkpoints, "plain", CHECKPOINT)
    kept = parts.examples[0]
    dropped = dropped_row("validation", "over_budget")
    _write("examples_row", {"kept": kept, "dropped": dropped}, "kept", EXAMPLES)
    _write("receipt", {"toy": receipt}, "toy", RECEIPT)
    _write("modules_row", states, "adapted", MODULES)
    _write("trace_row", trace, "step", TRACE)


if __name__ == "__main__":
    main()
