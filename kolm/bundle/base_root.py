"""The bundle: the identity of a base model's folder, measured without torch.

A base is pinned by a Merkle root over every tensor of its checkpoint and every file that changes
outputs, so that renaming a shard, swapping a chat template or touching one weight all show. Rules
B20 to B26 of docs/format/bundle.md; sealing and `kolm verify --base` both measure with this file.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from kolm import canonical, digest, file_digests, system
from kolm.bundle import limits
from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import TensorEntry, parse_header, tensor_digest
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.format.base import BaseFile, BaseTensor, root_of

WEIGHTS: Final = "*.safetensors"
INDEX: Final = "*.safetensors.index.json"

# Every file that transformers reads beside the weights, and whatever code it could run.
OUTPUT_FILES: Final = (
    "config.json",
    "generation_config.json",
    "tokenizer*.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.*",
    "additional_chat_templates/*",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "image_processor_config.json",
    "*.model",
    "*.tiktoken",
    "*.py",
)
_PICKLES: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")

# The names that torch gives to the dtypes of safetensors.
DTYPE_NAMES: Final = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class BaseFacts(NamedTuple):
    """What a base is.

    Attributes:
        root: Merkle root over tensors and files.
        tensors: sorted by file and key.
        files: sorted by name.
        parameters: elements of all tensors.
        model_type: family name in config.json.
        dtype: torch's name of the dtype that most elements have.
        remembered: weight files that were not read, because their digests were remembered.
    """

    root: Digest
    tensors: tuple[BaseTensor, ...]
    files: tuple[BaseFile, ...]
    parameters: int
    model_type: str
    dtype: str
    remembered: int = 0


class FileStamp(NamedTuple):
    """What the file system says of a file; it differs after any change of the file.

    Attributes:
        device: that it lies on.
        inode: its number there.
        size_bytes: of it.
        written_ns: when it was last written, which anybody may set.
        changed_ns: when it was last changed, which nobody but the system sets.
    """

    device: int
    inode: int
    size_bytes: int
    written_ns: int
    changed_ns: int

    @classmethod
    def of(cls, facts: os.stat_result) -> FileStamp:
        """The stamp in an answer of the system."""
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


class Memory(Protocol):
    """Digests of tensors that were hashed earlier, by the file that held them."""

    def recall(self, file: FileStamp) -> tuple[Digest, ...] | None:
        """The digests of a file's tensors, in the order of their bytes; None when not known."""

    def derived(self, file: FileStamp) -> Mapping[Digest, str]:
        """What else was computed of a file's tensors, by the digest of all that it follows from."""

    def remember(
        self,
        file: FileStamp,
        tensors: tuple[Digest, ...],
        derived: Mapping[Digest, str] = MappingProxyType({}),
    ) -> None:
        """Take the digests of a file's tensors, and what else was computed of them."""


def base_root(folder: Path, memory: Memory | None = None) -> BaseFacts:
    """Measure a model folder on all cores; reads every byte once.

    Args:
        folder: of the checkpoint.
        memory: weight files that it knows are not read; the others are told to it.

    Raises:
        Unreadable: ``E_CANNOT_READ``: not a folder, or one without weights.
        Refused: ``E_BASE_FORMAT``: a pickle, an adapter inside, a shard that does not fit its
            index, no ``model_type``; or a malformed safetensors file.
    """
    try:
        return _measure(folder, memory)
    except OSError as error:
        raise system.error_of(error, where=error.filename or folder) from None


def _measure(folder: Path, memory: Memory | None) -> BaseFacts:
    if not folder.is_dir():
        raise _no_base(folder, "this is neither a folder nor the name of a base on this machine")
    shards = _shards(folder)
    found, remembered = _tensors(shards, memory)
    tensors = sorted(found, key=lambda tensor: (tensor.file, tensor.key))
    _check_index(folder, tensors)
    names = output_files(folder)
    files = tuple(BaseFile(digest=file_digests.of_file(folder / name), name=name) for name in names)
    config = canonical.loads(
        (folder / "config.json").read_bytes(), where="config.json", floats=True
    )
    model_type = config.get("model_type") if type(config) is dict else None
    if not isinstance(model_type, str):
        raise _refused("config.json has no model_type", "config.json")
    return BaseFacts(
        root=root_of(tensors, files),
        tensors=tuple(tensors),
        files=files,
        parameters=sum(tensor.elements for tensor in tensors),
        model_type=model_type,
        dtype=_main_dtype(tensors),
        remembered=remembered,
    )


def _no_base(folder: Path, message: str) -> Unreadable:
    """The error of a place with no base: nothing was looked at, which speaks against no bundle."""
    return Unreadable("E_CANNOT_READ", message, where=str(folder)[:400])


def stamp(folder: Path) -> Digest:
    """The digest of what the file system says of every file that `base_root` reads.

    Equal before a base is measured and after it was loaded, it shows that what was loaded is what
    was measured: nobody but the system sets the time of a file's last change. A folder that is not
    there holds no file.
    """
    found = []
    for path in _all_files(folder):
        read = path.match(WEIGHTS) or path.match(INDEX)
        name = path.relative_to(folder).as_posix()
        if read or any(fnmatch.fnmatchcase(name, pattern) for pattern in OUTPUT_FILES):
            found.append([name, *map(str, FileStamp.of(path.stat()))])
    return digest.of_value(sorted(found))


@contextlib.contextmanager
def staying(folder: Path, measured: Digest | None = None) -> Iterator[Digest]:
    """Demand that a base is the same when the block ends: what it measured is what it loaded.

    A base is too large for a private copy, so the file system is asked instead.

    Args:
        folder: of the base.
        measured: its `stamp` when it was measured; without it the present one.

    Yields:
        The stamp.

    Raises:
        Unreadable: ``E_BASE_CHANGED``: a file was written, replaced, added or taken away.
    """
    before = measured or stamp(folder)
    demand_stamp(folder, before)  # rather than after an hour
    try:
        yield before
    except Exception:  # of a base that changed, whatever failed says something else
        demand_stamp(folder, before)
        raise
    demand_stamp(folder, before)


def demand_stamp(folder: Path, measured: Digest) -> None:
    """Demand that a base is as it was when its stamp was taken.

    Raises:
        Unreadable: ``E_BASE_CHANGED``.
    """
    if stamp(folder) != measured:
        raise base_changed(str(folder))


def base_changed(where: str) -> Unreadable:
    """The error of a base that is no longer what was measured."""
    return Unreadable(
        "E_BASE_CHANGED",
        "the base changed while it was used",
        where=where,
        hint="run the command again when nothing writes to its folder",
    )


def _all_files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "additional_chat_templates"):
        if place.is_dir():
            yield from (path for path in place.iterdir() if path.is_file())


def output_files(folder: Path) -> list[str]:
    """The sorted names of the files that change outputs.

    Raises:
        Refused: ``E_BASE_FORMAT`` for an adapter, which would be loaded on top unasked.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in _all_files(folder))
    if "adapter_config.json" in names:
        raise _refused("the base folder holds an adapter", "adapter_config.json", "merge it first")
    return [name for name in names if any(fnmatch.fnmatchcase(name, p) for p in OUTPUT_FILES)]


def _shards(folder: Path) -> list[Path]:
    shards = sorted(folder.glob(WEIGHTS))
    if shards:
        return shards
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise _refused(
            "the base comes as a pickle, which runs code when it is loaded",
            pickles[0],
            "convert it once with safetensors.torch.save_file and use the result",
        )
    raise _no_base(folder, "there is no model in this folder, which has no *.safetensors file")


class _Shard(NamedTuple):
    """An open file of weights: its tensors in the order of their bytes."""

    name: str
    data: Ranges
    entries: tuple[TensorEntry, ...]
    stamp: FileStamp


def _tensors(shards: list[Path], memory: Memory | None) -> tuple[list[BaseTensor], int]:
    """The tensors of all shards, and how many shards were remembered.

    Tensors are hashed side by side: a base has few files, of one size or of very different ones.
    """
    with contextlib.ExitStack() as holding:
        opened = [_opened(path, holding) for path in shards]
        known: dict[str, tuple[Digest, ...]] = {}
        for shard in opened:
            found = None if memory is None else memory.recall(shard.stamp)
            if found is not None and len(found) == len(shard.entries):
                known[shard.name] = found
        remembered = len(known)
        fresh = [shard for shard in opened if shard.name not in known]
        parts = [(shard.data, entry) for shard in fresh for entry in shard.entries]
        hashed = iter(file_digests.each(_hashed, parts))
        for shard in fresh:
            known[shard.name] = tuple(next(hashed) for _ in shard.entries)
            if memory is not None and FileStamp.of(shard.data.facts) == shard.stamp:
                memory.remember(shard.stamp, known[shard.name])
    tensors = [
        BaseTensor(
            digest=own,
            dtype=entry.dtype,
            file=shard.name,
            key=entry.name,
            shape=entry.shape,
            elements=entry.elements,
        )
        for shard in opened
        for entry, own in zip(shard.entries, known[shard.name], strict=True)
    ]
    return tensors, remembered


def _opened(path: Path, holding: contextlib.ExitStack) -> _Shard:
    data = holding.enter_context(Ranges(path))
    stamp_now = FileStamp.of(data.facts)
    if not len(data):
        raise _refused("the file is empty", path.name)
    entries = parse_header(data, where=path.name, canonical_form=False)
    return _Shard(path.name, data, entries, stamp_now)


def _hashed(part: tuple[Ranges, TensorEntry]) -> Digest:
    data, entry = part
    return tensor_digest(entry.dtype, entry.shape, data.pieces(entry.start, entry.end))


def _check_index(folder: Path, tensors: list[BaseTensor]) -> None:
    """One key, one file; and the index, where there is one, says the same."""
    twice = [key for key, count in Counter(t.key for t in tensors).items() if count > 1]
    if twice:
        raise _refused("two files hold a tensor of the same name", min(twice))
    for index in sorted(folder.glob(INDEX)):
        value = canonical.loads(
            index.read_bytes(),
            where=index.name,
            floats=True,
            max_bytes=limits.TENSOR_HEADER_BYTES.value,
        )
        stated = value.get("weight_map") if type(value) is dict else None
        if stated != {tensor.key: tensor.file for tensor in tensors}:
            raise _refused("the index does not say where the tensors are", index.name)


def _main_dtype(tensors: list[BaseTensor]) -> str:
    elements: Counter[str] = Counter()
    for tensor in tensors:
        elements[tensor.dtype] += tensor.elements
    if not elements:
        raise _refused("the base has no tensors", "*.safetensors")
    main = max(sorted(elements), key=lambda dtype: elements[dtype])
    return DTYPE_NAMES.get(main, main)


def _refused(message: str, where: str, hint: str = "") -> Refused:
    return Refused("E_BASE_FORMAT", message, where=where, hint=hint)
