"""Train: the state at a segment's boundary, on disk and as a digest.

A checkpoint is two files: a canonical safetensors with weights, moments and the random
generator, and a canonical JSON document with the counters and the digest of the first. The
digest of the document is the state. Both are replaced whole, the document last, so a checkpoint
is complete exactly when its document is there and names the bytes of the tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm import canonical, digest, file_digests, paths
from kolm.bundle import tensor_writer
from kolm.bundle import tensors as safetensors
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.train.survey import dtype_name, raw_bytes

if TYPE_CHECKING:
    import torch

    from kolm.records.documents import Checkpoint as CheckpointDocument
    from kolm.records.documents import CheckpointPatience

SCHEMA: Final = "urn:kolm:checkpoint:v1"
_BOUNDARY, _INTERIM = "checkpoint", "interim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The whole state after a step.

    Attributes:
        step: steps done.
        tensors: as `Trainer.tensors` gives them.
        updates: optimizer updates of each tensor.
        gradient_steps: steps with a gradient of each tensor.
        patience: the state of early stopping, or None where it is off.
    """

    step: int
    tensors: Mapping[str, torch.Tensor]
    updates: Mapping[str, int]
    gradient_steps: Mapping[str, int]
    patience: CheckpointPatience | None


def encode_tensors(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Canonical safetensors bytes of live tensors."""
    return tensor_writer.encode(
        {
            name: (dtype_name(tensor), tuple(tensor.shape), raw_bytes(tensor))
            for name, tensor in tensors.items()
        }
    )


def state_files(checkpoint: Checkpoint) -> tuple[bytes, bytes]:
    """The bytes of a checkpoint's tensors and document; the digest of the second is the state."""
    data = encode_tensors(checkpoint.tensors)
    document: CheckpointDocument = {
        "schema": SCHEMA,
        "step": checkpoint.step,
        "tensors": digest.of_bytes(data),
        "updates": dict(checkpoint.updates),
        "gradient_steps": dict(checkpoint.gradient_steps),
        "patience": checkpoint.patience,
    }
    return data, canonical.dumps(document)


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: where they are.
        writes: whether this process is the one that writes them; another one reads and compares.
    """

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self._folder = folder
        self._writes = writes

    def save(
        self, checkpoint: Checkpoint, *, agreed: Callable[[Digest], None] | None = None
    ) -> Digest:
        """Write a boundary's checkpoint and give its state digest.

        Args:
            checkpoint: of the boundary.
            agreed: is told the state digest and raises where nothing shall be written.
        """
        return self._write(self._base(checkpoint.step), checkpoint, agreed)

    def save_interim(self, checkpoint: Checkpoint) -> None:
        """Write a state between two boundaries, to resume from; the last one alone is kept.

        When it is written depends on the clock, so it is in no trace and in no bundle.
        """
        if self._writes:
            self._write(self._base(checkpoint.step, _INTERIM), checkpoint)
            self.remove_interim(before=checkpoint.step)

    def remove_interim(self, *, before: int | None = None) -> None:
        """Remove the states between boundaries, or those before a step."""
        for path in self._folder.glob(f"{_INTERIM}-*.*") if self._writes else ():
            if before is None or _step_of(path) < before:
                path.unlink()

    def is_interim(self, step: int) -> bool:
        """Whether the state after a step is one between two boundaries."""
        return not self._base(step).with_suffix(".json").is_file()

    def _write(
        self, base: Path, checkpoint: Checkpoint, agreed: Callable[[Digest], None] | None = None
    ) -> Digest:
        data, document = state_files(checkpoint)
        if agreed:
            agreed(digest.of_bytes(document))
        if self._writes:
            paths.atomic_write(base.with_suffix(".safetensors"), data)
            paths.atomic_write(base.with_suffix(".json"), document)
        return digest.of_bytes(document)

    def complete_steps(self) -> list[int]:
        """The steps of all complete checkpoints, ascending; damaged ones are not complete."""
        steps = set()
        for path in self._folder.glob("*-*.json"):
            tensors = path.with_suffix(".safetensors")
            document: CheckpointDocument = canonical.loads_canonical(
                path.read_bytes(), where=path.name
            )
            if tensors.is_file() and file_digests.of_file(tensors) == document["tensors"]:
                steps.add(document["step"])
        return sorted(steps)

    def load(self, step: int) -> tuple[Checkpoint, Digest]:
        """Read a checkpoint and its state digest.

        Raises:
            Refused: the tensors are not the ones that the document names, or no training's.
        """
        import torch

        base = self._base(step, _INTERIM if self.is_interim(step) else _BOUNDARY)
        stored = base.with_suffix(".json").read_bytes()
        document: CheckpointDocument = canonical.loads_canonical(stored, where=base.name)
        data = bytearray(base.with_suffix(".safetensors").read_bytes())
        if digest.of_bytes(memoryview(data)) != document["tensors"]:
            message = "a checkpoint's tensors are not the ones that its document names"
            raise _damaged(message, base.name)
        tensors = {}
        for entry in safetensors.parse_header(memoryview(data), where=base.name):
            if entry.dtype not in _TORCH_DTYPES or not entry.elements:
                raise _damaged("a checkpoint holds a tensor that no training makes", base.name)
            dtype = getattr(torch, _TORCH_DTYPES[entry.dtype])
            flat = torch.frombuffer(data, dtype=dtype, offset=entry.start, count=entry.elements)
            tensors[entry.name] = flat.reshape(entry.shape)
        checkpoint = Checkpoint(
            step=document["step"],
            tensors=tensors,
            updates=document["updates"],
            gradient_steps=document["gradient_steps"],
            patience=document["patience"],
        )
        return checkpoint, digest.of_bytes(stored)

    def remove_after(self, step: int) -> None:
        """Remove what lies after a step: leavings of a run that was cut short."""
        for path in self._folder.glob(".*"):
            path.unlink()  # a kill cut the writing of a state; it never had its name
        for path in self._folder.glob("[!.]*-*.*"):
            if _step_of(path) > step:
                path.unlink()

    def _base(self, step: int, kind: str = _BOUNDARY) -> Path:
        return self._folder / f"{kind}-{step:08d}"


def _damaged(message: str, where: str) -> Refused:
    return Refused("E_TRAIN_CHECKPOINT_DAMAGED", message, where=where)


def _step_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


_TORCH_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "U8": "uint8"}
