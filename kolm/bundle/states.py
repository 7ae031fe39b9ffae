"""The bundle: a state of a training that somebody hands over, beside a bundle or in one.

It is believed to be what the trace names once its digests are those of the trace, and read by a
training only once its tensors are those that a state of this adapter has. Nothing here opens a
file. Rules C2 to C4 of docs/format/checkpoint.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import canonical, digest, schema
from kolm.bundle import checkpoint_rules, limits, tensors
from kolm.bundle.documents import Documents
from kolm.bundle.tensors import ELEMENT_BITS
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.format.names import LOCK, TRACE, WEIGHTS
from kolm.format.optimizer import Form
from kolm.records import kinds

if TYPE_CHECKING:
    from kolm.records.documents import Checkpoint

# Of the generators of one processor and one accelerator; torch's own take 5 KiB and 16 bytes.
RANDOM_BYTES: Final = 64 * 1024
WEIGHTS_KIND: Final = "weights"


class State(NamedTuple):
    """A state whose digests are right: the bytes of its two files."""

    document: bytes
    tensors: memoryview


class StateForm(NamedTuple):
    """What the states of a bundle's training look like, by its lock and its adapter's header.

    Attributes:
        optimizer: of the lock.
        adapter: dtype and shape of each tensor.
    """

    optimizer: str
    adapter: Mapping[str, Form]

    @classmethod
    def of(cls, documents: Documents) -> StateForm:
        """That of a bundle."""
        entries = tensors.parse_header(documents.raw(WEIGHTS), where=WEIGHTS)
        adapter = {entry.name: (entry.dtype, entry.shape) for entry in entries}
        return cls(documents.document(LOCK)["train"]["optimizer"], adapter)

    @property
    def most_bytes(self) -> int:
        """No tensors file of a state is larger."""
        forms = checkpoint_rules.forms(dict.fromkeys(self.adapter, 1), self.adapter, self.optimizer)
        size = sum(
            math.prod(shape) * ELEMENT_BITS.get(dtype, 64) // 8 for dtype, shape in forms.values()
        )
        return size + RANDOM_BYTES + limits.TENSOR_HEADER_BYTES.value + 8


def read_document(state: Digest, data: bytes, *, where: str) -> Checkpoint:
    """The document of a state.

    Raises:
        Unreadable: ``E_STATE_ANOTHER``, another document.
        Refused: it breaks its schema.
    """
    demand(state, digest.of_bytes(data), where)
    return schema.check(kinds.CHECKPOINT, canonical.loads_canonical(data, where=where), where=where)


def demand_tensors(
    document: Checkpoint, data: memoryview, found: Digest, form: StateForm, *, where: str
) -> None:
    """Demand that a file holds the tensors of a state, by its digest and by its header.

    Args:
        document: of the state.
        data: the file.
        found: its digest.
        form: of the states of this training.
        where: the file, for errors.

    Raises:
        Unreadable: ``E_STATE_ANOTHER``, another file.
        Refused: ``E_STATE_FORM``, tensors that no state of this adapter has; or no canonical
            safetensors file.
    """
    demand(Digest(document["tensors"]), found, where)
    if not document["updates"].keys() == document["gradient_steps"].keys() == form.adapter.keys():
        raise _form(where, "the counts are not those of the adapter's tensors (C10)")
    entries = tensors.parse_header(data, where=where)
    expected = checkpoint_rules.forms(document["updates"], form.adapter, form.optimizer)
    here = {entry.name: (entry.dtype, entry.shape) for entry in entries}
    dtype, shape = here.pop("random", ("", ()))
    if dtype != "U8" or len(shape) != 1 or not 0 < shape[0] <= RANDOM_BYTES:
        raise _form(where, "the generator's state is missing or is none (C2)")
    for name, _ in sorted(expected.items() ^ here.items(), key=str)[:1]:
        told = [str(forms.get(name, "no such tensor")) for forms in (expected, here)]
        raise _form(f"{where}: {name}", "a tensor that no state of this adapter has (C2)", *told)


def named_in(documents: Documents) -> Iterator[tuple[int, Digest]]:
    """Step and digest of every state that a bundle's trace names."""
    for row in documents.rows(TRACE):
        if row["kind"] == "checkpoint":
            yield row["step"], Digest(row["state"])


def other_weights(state: State, documents: Documents) -> Iterator[str]:
    """The tensors that a state has otherwise than the bundle's adapter (C6)."""
    data = documents.raw(WEIGHTS)
    shipped = {
        entry.name: data[entry.start : entry.end]
        for entry in tensors.parse_header(data, where=WEIGHTS)
    }
    for entry in tensors.parse_header(state.tensors, where="last state"):
        kind, _, name = entry.name.partition(".")
        if kind == WEIGHTS_KIND and shipped.get(name) != state.tensors[entry.start : entry.end]:
            yield name


def demand(expected: Digest, found: Digest, where: str) -> None:
    """Demand that a file is the one that the trace, or a state's document, names.

    Raises:
        Unreadable: ``E_STATE_ANOTHER``.
    """
    if expected != found:
        raise Unreadable(
            "E_STATE_ANOTHER",
            "this is another state than the one that the trace names",
            where=where,
            expected=expected,
            found=found,
        )


def _form(where: str, message: str, expected: str = "", found: str = "") -> Refused:
    return Refused(
        "E_STATE_FORM", message, where=where[:400], expected=expected[:200], found=found[:200]
    )
