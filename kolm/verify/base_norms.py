"""Norms of weights and of changes to them, from the checkpoint in the auditor's hands.

Everything is read some kilobytes at a time, and summed in float64.
"""

from __future__ import annotations

import contextlib
import math
import operator
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm import digest
from kolm.bundle.ranges import Ranges
from kolm.bundle.tensors import TensorEntry, parse_header
from kolm.digest import Digest
from kolm.elements import NEGLIGIBLE, widened_bfloat16
from kolm.methods.method import StoredTensor
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRowParameter

# Loading in bfloat16 rounds each stored element by at most this share, and so their norm.
LOADING_ERROR: Final = 2.0**-8
# What float64 makes of the sums here is off by far less than this share.
_SUMMING_ERROR: Final = 2.0**-30
_WIDTHS: Final = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_UNPACKED: Final = {"F64": ("d", 8), "F32": ("f", 4), "F16": ("e", 2)}
_ELEMENTS_AT_ONCE: Final = 16 * 1024
_LITTLE_BYTES: Final = 64 * 1024  # unpacked numbers take eight times their bytes


class BaseNorms:
    """The tensors of the auditor's base, found by the parameters that were loaded from them.

    Raises:
        KolmError: the base cannot be read, or is no base.
    """

    def __init__(self, subject: Subject) -> None:
        folder, tensors = subject.auditor.base_folder(), subject.base_facts.tensors
        self._derived = subject.derived
        self._digests = {tensor.key: tensor.digest for tensor in tensors}
        self._fresh: dict[str, dict[Digest, str]] = {}  # by file: norms that were computed here
        self._entries: dict[str, tuple[TensorEntry, ...]] = {}  # by file
        self._stored: dict[str, tuple[Path, TensorEntry]] = {}
        for file in sorted({tensor.file for tensor in tensors}):
            with Ranges(folder / file) as data:
                self._entries[file] = parse_header(data, where=file, canonical_form=False)
            for entry in self._entries[file]:
                self._stored[entry.name] = folder / file, entry

    def other(self, stated: str, parameter: ModulesRowParameter) -> float | None:
        """The Frobenius norm of the stored tensor, where it is not the one that is stated.

        What the checkpoint does not hold as floats has no norm; V42 tells of it.
        """
        found = self._find(parameter)
        norm = None if found is None else self._norm(*found)
        if norm is None:
            return None
        near = norm < math.inf and abs(float(stated) - norm) <= norm * LOADING_ERROR
        return None if near else norm

    def keep(self) -> None:
        """Remember the norms that were computed."""
        for file, norms in self._fresh.items():
            self._derived.remember(file, norms)

    def _norm(self, path: Path, entry: TensorEntry) -> float | None:
        """The Frobenius norm of a stored tensor; None of what is no float."""
        name = digest.of_value(["norm", self._digests.get(entry.name)])
        remembered = self._derived.recall(path.name, name)
        if remembered is not None:
            with contextlib.suppress(ValueError):  # else it is computed, as if it were not there
                return float.fromhex(remembered)
        with Ranges(path) as data:
            sums = [square_sum(entry.dtype, piece) for piece in data.pieces(entry.start, entry.end)]
            same = self._derived.is_as_measured(path.name, data, self._entries[path.name])
        known = [part for part in sums if part is not None]
        if len(known) < len(sums):
            return None
        norm = math.sqrt(_sum(known))
        if same:
            self._fresh.setdefault(path.name, {})[name] = norm.hex()
        return norm

    def changed(self, whole: StoredTensor, parameter: ModulesRowParameter) -> bool:
        """Whether a whole tensor differs from the parameter as it was loaded by more than rounding.

        By the rule for deltas: the norm of the difference is surely at least 2^-24 of the weight's.
        What the checkpoint does not hold as floats of this shape is taken to differ; V42 and V43
        tell of it.
        """
        found = self._find(parameter)
        if found is None or found[1].shape != whole.shape:
            return True
        path, entry = found
        if not {entry.dtype, whole.dtype} <= _WIDTHS.keys():
            return True
        narrowed = parameter["dtype"] == "BF16" != entry.dtype
        ours, theirs = _WIDTHS[whole.dtype], _WIDTHS[entry.dtype]
        view, distances, norms = memoryview(whole.raw), [0.0], [0.0]
        norm = self._norm(path, entry)
        # Twice what is asked for is enough however sums are rounded, and soon reached by most.
        enough = 2 * norm * float(NEGLIGIBLE) if norm else math.inf
        with Ranges(path) as data:
            for start in range(0, entry.elements, _ELEMENTS_AT_ONCE):
                end = min(start + _ELEMENTS_AT_ONCE, entry.elements)
                now = as_floats(whole.dtype, view[start * ours : end * ours]) or ()
                place = entry.start + start * theirs, entry.start + end * theirs
                before = as_floats(entry.dtype, b"".join(data.pieces(*place))) or ()
                before = rounded_to_bfloat16(before) if narrowed else before
                distances.append(math.dist(now, before))
                norms.append(math.hypot(*before))
                if math.hypot(*distances) > enough:
                    return True
        surely = math.hypot(*distances) * (1 - _SUMMING_ERROR)
        return surely > 0 and surely >= math.hypot(*norms) * float(NEGLIGIBLE)

    def _find(self, parameter: ModulesRowParameter) -> tuple[Path, TensorEntry] | None:
        keys: list[str] = parameter["checkpoint"]
        return self._stored.get(keys[0]) if len(keys) == 1 else None


def square_sum(dtype: str, raw: bytes | memoryview) -> float | None:
    """The sum of the squares of all elements in float64, or None for a dtype that is no float."""
    sums = []
    for start in range(0, len(raw), _LITTLE_BYTES):
        numbers = as_floats(dtype, raw[start : start + _LITTLE_BYTES])
        if numbers is None:
            return None
        sums.append(sum(map(operator.mul, numbers, numbers)))
    return _sum(sums)


def _sum(parts: list[float]) -> float:
    try:
        return math.fsum(parts)
    except OverflowError:  # of float64: no norm that anybody states
        return math.inf


def as_floats(dtype: str, raw: bytes | memoryview) -> tuple[float, ...] | None:
    """A few elements as float64, which holds each without loss; None for a dtype that is no float.

    Args:
        dtype: of safetensors.
        raw: little-endian bytes; unpacked numbers take eight times their bytes.
    """
    if dtype == "BF16":
        dtype, raw = "F32", widened_bfloat16(raw)
    if dtype not in _UNPACKED:
        return None
    code, width = _UNPACKED[dtype]
    return struct.unpack(f"<{len(raw) // width}{code}", raw)


def rounded_to_bfloat16(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """Numbers as bfloat16 holds them: the nearest, of two equally near the even one."""
    packed = struct.pack(f"<{len(numbers)}f", *numbers)
    words = struct.unpack(f"<{len(numbers)}I", packed)
    upper = [(word + 0x7FFF + (word >> 16 & 1)) & 0xFFFF0000 for word in words]
    return struct.unpack(f"<{len(numbers)}f", struct.pack(f"<{len(numbers)}I", *upper))
