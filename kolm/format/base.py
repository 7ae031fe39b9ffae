"""Format: the root that pins a base: over every tensor of its checkpoint and every file that
changes outputs.

`kolm/bundle/base_root.py` measures them; rules B20 to B26 of docs/format/bundle.md.
"""

from typing import Any, NamedTuple

from kolm import canonical, digest
from kolm.digest import Digest


class BaseTensor(NamedTuple):
    """One tensor of the checkpoint."""

    digest: Digest
    dtype: str
    file: str
    key: str
    shape: tuple[int, ...]
    elements: int


class BaseFile(NamedTuple):
    """One file that changes outputs."""

    digest: Digest
    name: str


def root_of(
    tensors: list[BaseTensor] | tuple[BaseTensor, ...], files: tuple[BaseFile, ...]
) -> Digest:
    """The Merkle root over the canonical lines of tensors, then of files, each in their order."""
    lines: list[dict[str, Any]] = [
        {
            "digest": tensor.digest,
            "dtype": tensor.dtype,
            "file": tensor.file,
            "key": tensor.key,
            "shape": list(tensor.shape),
        }
        for tensor in sorted(tensors, key=lambda tensor: (tensor.file, tensor.key))
    ]
    lines += [
        {"digest": file.digest, "name": file.name}
        for file in sorted(files, key=lambda file: file.name)
    ]
    return digest.merkle_root(canonical.dumps(line) for line in lines)
