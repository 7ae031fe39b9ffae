"""The toy bundle as one of a family that reads text alone: honest on a base that is such a one, or
hiding the tower of the base that it was really made on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kolm import canonical, methods
from kolm.bundle import tensor_writer
from kolm.bundle.base_root import base_root
from kolm.roles import FAMILIES
from kolm.spec.options import resolve_method
from tests.support import toy_base, toy_documents
from tests.support.audits import World
from tests.support.bundles import BundleParts

FAMILY = FAMILIES["qwen2"]
_BEFORE, _AFTER = "model.language_model", "model"
_NEITHER = ("model.visual.",)


def make_text_world(folder: Path, **parts: Any) -> World:
    """An honest bundle on a base of text alone."""
    world = World.make(folder, **parts)
    base = write_text_base(folder / "text")
    text_alone(world.parts)
    facts = base_root(base)
    world.parts.base = base
    world.parts.lock["base"] |= {
        "files": [{"digest": file.digest, "name": file.name} for file in facts.files],
        "parameters": facts.parameters,
        "root": facts.root,
        "tensors": len(facts.tensors),
    }
    return world


def write_text_base(folder: Path, model_type: str = "qwen2", *, tower: bool = False) -> Path:
    """The toy base without its tower; or with it, under a name of a family that has none."""
    toy_base.write_base(folder)
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    stored = {n: t for n, t in toy_base.checkpoint().items() if tower or not n.startswith("visual")}
    (folder / "model.safetensors").write_bytes(tensor_writer.encode(stored))
    (folder / "preprocessor_config.json").unlink()
    config = {"model_type": model_type, "tie_word_embeddings": True}
    (folder / "config.json").write_bytes(canonical.dumps(config))
    return folder


def text_alone(parts: BundleParts) -> None:
    """Every document as if the base had neither tower nor projector; the lock's base but for its
    family and the counts stays."""
    lock = parts.lock
    lock["base"] |= {"family": FAMILY.model_type, "papers": list(FAMILY.papers)}
    train = lock["train"]
    train["freeze"]["vision"] = train["projector"] = None
    train["projector_learning_rate"] = "0"
    stated = {k: v for k, v in train["method"].items() if not k.endswith("expression")}
    train["method"] = resolve_method(stated, FAMILY, vision=False, projector=None)
    lock["evaluation"]["floors"]["above_blind"] = None
    parts.tensors = {
        _renamed(name): tensor for name, tensor in parts.tensors.items() if _is_language(name)
    }
    parts.modules = [_row(row) for row in parts.modules if _is_language(row["module"])]
    parts.modules.sort(key=lambda row: row["module"])
    own = [p for row in parts.modules for p in row["parameters"] if "alias_of" not in p]
    lock["base"]["parameters"] = sum(p["elements"] for p in own)
    lock["base"]["tensors"] = len(own)
    for row in parts.snapshot_rows:
        row["images"] = []
    parts.declare([_blindfolded(case, n) for n, case in enumerate(parts.cases)])
    for row in parts.predictions:
        row["blind"] = None
    parts.rescore()
    parts.follow()


def _is_language(name: str) -> bool:
    return not name.removeprefix(methods.PREFIX).startswith(_NEITHER)


def _renamed(name: str) -> str:
    return name.replace(_BEFORE, _AFTER)


def _row(row: toy_documents.Row) -> toy_documents.Row:
    for parameter in row["parameters"]:
        if "alias_of" in parameter:
            parameter["alias_of"] = _renamed(parameter["alias_of"])
    for tensor in row["adapter"]:
        tensor["tensor"] = _renamed(tensor["tensor"])
    return {**row, "module": _renamed(row["module"])}


def _blindfolded(case: toy_documents.Row, number: int) -> toy_documents.Row:
    """A case that asks without a picture what no other asks."""
    turns = [dict(turn) for turn in case["messages"]]
    text = f"{turns[0]['content'][-1]['text']} ({number})"
    turns[0] = {"role": "user", "content": [{"text": text, "type": "text"}]}
    return {**case, "images": [], "messages": turns}
