"""The bundle: published checkpoints hold what trace, modules and adapter make of them: V08.

That they are there and hash to the trace's states is in `references`. Rules C2, C3, C6 and C9 to
C11 of docs/format/checkpoint.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal

from kolm.bundle import tensors
from kolm.bundle.documents import Documents
from kolm.digest import Digest
from kolm.errors import KolmError, Refused
from kolm.format import checkpoint
from kolm.format.names import LOCK, MODULES, TRACE, Name
from kolm.format.optimizer import Form, moment_forms

if TYPE_CHECKING:
    from kolm.records.documents import Checkpoint, ModulesRowAdapter


End = Literal["before", "after"]
ENDS: Final[tuple[End, End]] = ("before", "after")  # of the training


def checkpoints_follow(documents: Documents) -> Iterator[KolmError]:
    """Every published state is one that this run can have gone through, as far as that follows."""
    lock = documents.document(LOCK)
    trace = list(documents.rows(TRACE))
    modules = [row for row in documents.rows(MODULES) if row["adapter"]]
    adapter = {part["tensor"]: part for row in modules for part in row["adapter"]}
    rows = [row for row in modules if row["role"] == "projector"]
    projector = {part["tensor"] for row in rows for part in row["adapter"]}
    wrong = list(
        documents.rules.checkpoints_follow(
            lambda name: _read(documents, name),
            trace,
            documents.rules.read_schedule(lock),
            {
                name: checkpoint.Learned(name in projector, part["gradient_steps"])
                for name, part in adapter.items()
            },
        )
    )
    yield from wrong
    steps = [row["step"] for row in trace if row["kind"] == "checkpoint"]
    for step in () if wrong else steps:
        place = checkpoint.document_name(step)
        document, name = _read(documents, place), place.removesuffix(".json") + ".safetensors"
        if document is not None and name in documents:
            known = [end for end, at in zip(ENDS, (steps[0], steps[-1]), strict=True) if at == step]
            shapes = {n: (part["dtype"], tuple(part["shape"])) for n, part in adapter.items()}
            expected = forms(document["updates"], shapes, lock["train"]["optimizer"])
            data = documents.raw(name)
            yield from _tensors_follow(name, data, expected, adapter, known)


def _read(documents: Documents, name: str) -> Checkpoint | None:
    try:
        return documents.document(Name(name))
    except KolmError:
        return None  # V04, V06 or V07 tells of it


def _tensors_follow(
    name: str,
    data: memoryview,
    expected: Mapping[str, Form],
    adapter: Mapping[str, ModulesRowAdapter],
    known: list[End],
) -> Iterator[KolmError]:
    """The file holds weights, moments and generator, and at both ends the weights that are known.

    Args:
        name: of the file.
        data: its bytes.
        expected: dtype and shape of every tensor but the generator's.
        adapter: the tensors of the adapter, as modules.jsonl tells of them.
        known: which of ``before`` and ``after`` the weights are.
    """
    try:
        entries = tensors.parse_header(data, where=name)
    except KolmError:
        return  # V06 and V07 say what is wrong with it
    found = {e.name: (e.dtype, e.shape) for e in entries if e.name != "random"}
    for missing in sorted(expected.items() ^ found.items())[:1]:
        message = "the tensors are not those of a state of this adapter (C2)"
        yield _refused(
            f"{name}: {missing[0]}", message, expected.get(missing[0]), found.get(missing[0])
        )
        return
    for entry in entries:
        kind, _, tensor = entry.name.partition(".")
        for end in known if kind == "weights" else ():
            digest = tensors.tensor_digest(entry.dtype, entry.shape, data[entry.start : entry.end])
            stated = Digest(adapter[tensor][end])
            if digest != stated:
                message = f"the weights are not those {end} training (C6)"
                yield _refused(f"{name}: {entry.name}", message, stated, digest)


def forms(
    updates: Mapping[str, int], adapter: Mapping[str, Form], optimizer: str
) -> dict[str, Form]:
    """Dtype and shape of every tensor of a state but the generator's (C2).

    Args:
        updates: how often each tensor has been updated.
        adapter: dtype and shape of its tensors.
        optimizer: of the lock.
    """
    found: dict[str, Form] = {}
    for tensor, form in adapter.items():
        found[f"weights.{tensor}"] = form
        if updates.get(tensor, 0) > 0:
            for kind, own in moment_forms(optimizer, form[1]).items():
                found[f"{kind}.{tensor}"] = own
    return found


def _refused(where: str, message: str, expected: object, found: object) -> Refused:
    told = [str(value or "no such tensor")[:200] for value in (expected, found)]
    return Refused("E_BUNDLE_REFERENCE", message, where=where, expected=told[0], found=told[1])
