"""V23, V25–V27: is the delta of the declared form, finite, and more than nothing?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kolm import elements
from kolm.bundle.tensors import TensorEntry, tensor_digest
from kolm.errors import KolmError
from kolm.format.names import CONFIG, LOCK, MODULES, WEIGHTS
from kolm.methods import DeltaTensor, StoredTensor, WholeTensor, delta_shapes
from kolm.records.verification import Finding
from kolm.verify.check import check
from kolm.verify.findings import failed, passed, unless_equal
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRow, ModulesRowParameter
    from kolm.verify.base_norms import BaseNorms

# Some seconds of summing; of a larger base only what decides is read again.
EVERY_NORM_ELEMENTS = 2**27
FLOATS = ("BF16", "F16", "F32")  # what training writes; integers would be finite whatever they say


@check(
    "V23",
    "Are ranks and shapes as declared?",
    needs=("V20",),
    reads=(MODULES, LOCK, WEIGHTS),
)
def shapes_are_declared(subject: Subject) -> Iterator[Finding]:
    """The shapes of the method's parts; a whole tensor has its parameter's shape."""
    rows = subject.modules_by_name
    listed = {t["tensor"]: t for row in rows.values() for t in row["adapter"]}
    for entry, name in subject.adapter_names:
        if isinstance(name, DeltaTensor):
            expected = _delta_shapes(subject, rows[name.module]).get(name.part)
        elif isinstance(name, WholeTensor):
            held = _listed(rows[name.module], name.parameter)
            expected = tuple(held["shape"]) if held else None
        else:
            expected = None
        yield from _compare(entry, expected, "the shape does not fit the module")
        row = listed.get(entry.name)
        if row is not None:
            yield from _compare(entry, tuple(row["shape"]), f"{MODULES} lists another shape")
            another, place = f"{MODULES} lists another dtype", _tensor(entry.name)
            yield from unless_equal(row["dtype"], entry.dtype, another, where=place, rule="N7")
        if entry.dtype not in FLOATS:
            yield failed(
                "the tensor does not hold floating-point numbers",
                where=_tensor(entry.name),
                expected=" or ".join(FLOATS),
                found=entry.dtype,
                rule="N8",
            )
    yield from _factors_are_whole(subject)
    yield passed(f"{subject.method.kind}, {len(subject.adapter)} shapes")


def _factors_are_whole(subject: Subject) -> Iterator[Finding]:
    """Every delta has all parts of its method, and no other."""
    rows = subject.modules_by_name
    stored = {name: set[str]() for name, row in rows.items() if row["state"] == "adapted"}
    for _, name in subject.adapter_names:
        if isinstance(name, DeltaTensor):
            stored.setdefault(name.module, set()).add(name.part)
    for module, parts in sorted(stored.items()):
        wanted = _delta_shapes(subject, rows[module]).keys()
        if parts != wanted:
            yield failed(
                "the delta of a module does not have the parts of its method",
                where=f"{MODULES}: {module}",
                expected=", ".join(sorted(wanted)) or "a linear layer",
                found=", ".join(sorted(parts)) or "none",
                rule="N8",
            )


def _delta_shapes(subject: Subject, row: ModulesRow) -> dict[str, tuple[int, ...]]:
    parameters = {own["name"]: own["shape"] for own in row["parameters"]}
    return delta_shapes(subject.method, row["module"], parameters)


def _compare(
    entry: TensorEntry, expected: tuple[int, ...] | None, detail: str
) -> Iterator[Finding]:
    if entry.shape != expected:
        yield failed(
            detail,
            where=_tensor(entry.name),
            expected="×".join(map(str, expected)) if expected else "a linear layer's weight",
            found="×".join(map(str, entry.shape)),
            rule="N8",
        )


@check(
    "V25",
    "Is adapter_config.json the one derived from lock and modules?",
    reads=(CONFIG, LOCK, MODULES),
)
def config_is_derived(subject: Subject) -> Iterator[Finding]:
    """Derived again from a closed list of keys and compared byte for byte."""
    derived = subject.rules.derive_adapter_config(subject.lock, subject.modules)
    if subject.documents.raw(CONFIG) != derived:
        yield failed(
            "the config differs from the one derived from lock and modules",
            where=_differing_key(subject, derived),
            rule="B16",
        )
    yield passed("derived again, byte for byte")


def _differing_key(subject: Subject, derived: bytes) -> str:
    from kolm import canonical

    stored = subject.documents.value(CONFIG)
    expected = canonical.loads(derived, where=CONFIG, floats=True)
    if not isinstance(stored, dict):
        return CONFIG
    keys = sorted(
        key
        for key in stored.keys() | expected.keys()
        if key not in stored or key not in expected or stored[key] != expected[key]
    )
    return f"{CONFIG}#/{', '.join(keys[:6])}" if keys else CONFIG


@check("V26", "Is every adapter number finite?", reads=(WEIGHTS,))
def numbers_are_finite(subject: Subject) -> Iterator[Finding]:
    """Every element of every tensor is looked at."""
    count = 0
    for entry in subject.adapter:
        count += entry.elements
        numbers = subject.tensor_bytes(entry)
        if elements.all_moderate(entry.dtype, numbers):
            continue
        if not elements.all_finite(entry.dtype, numbers):
            yield failed("the tensor holds a NaN or an infinity", where=_tensor(entry.name))
        else:
            yield failed(
                "the tensor holds a number so large that products overflow",
                where=_tensor(entry.name),
                expected="below 2^33",
            )
    yield passed(f"{count:,} numbers")


@check(
    "V27",
    "Does the adapter change anything?",
    needs=("V23", "V26"),
    reads=(WEIGHTS, MODULES, LOCK),
)
def adapter_does_something(subject: Subject) -> Iterator[Finding]:
    """One delta that is not negligible beside its weight, or one whole tensor that differs.

    With the auditor's base a whole tensor has to differ by as much, and the norms that deltas are
    held against are those of the stored weights.
    """
    rows = subject.modules_by_name
    factors: dict[str, dict[str, StoredTensor]] = {}
    whole: list[tuple[StoredTensor, ModulesRowParameter]] = []
    for entry, name in subject.adapter_names:
        if isinstance(name, DeltaTensor):
            factors.setdefault(name.module, {})[name.part] = subject.stored(entry)
        elif isinstance(name, WholeTensor):
            before = _listed(rows[name.module], name.parameter)
            if before is not None and _differs(subject, entry, before):
                whole.append((subject.stored(entry), before))
    counts = subject.method.counts
    active = next((rows[m] for m, f in factors.items() if counts(f, rows[m]["weight_norm"])), None)
    norms, stated = _norms(subject), [rows[module] for module in factors]
    every = _elements(stated) + sum(math.prod(now.shape) for now, _ in whole) <= EVERY_NORM_ELEMENTS
    if norms is not None and (every or active is None):
        whole = [(now, before) for now, before in whole if norms.changed(now, before)]
    if active is None and not whole:
        yield failed(
            "every delta is negligible next to its weight, and no fully trained tensor differs"
            f"{' by more' if norms else ''}",
            where=WEIGHTS,
            expected=subject.method.LEAST,
            rule="N12",
        )
    told = "norms of weights are as stated; how far fully trained tensors moved needs --base"
    if norms is not None:
        looked = stated if every else [active] if active else []
        yield from _norms_are_the_bases(looked, norms)
        told = f"{len(looked)} of {len(stated)} norms of weights are those of the base"
    delta = f"the delta at {active['module']} counts" if active else "no delta counts"
    yield passed(f"{delta}, {len(whole)} fully trained tensors differ; {told}")


def _elements(rows: Iterable[ModulesRow]) -> int:
    return sum(parameter["elements"] for row in rows for parameter in row["parameters"])


def _norms(subject: Subject) -> BaseNorms | None:
    if subject.auditor.base is None:
        return None
    from kolm.verify.base_norms import BaseNorms  # most audits bring no base

    try:
        return BaseNorms(subject)
    except KolmError:
        return None  # V41 tells what is wrong with the base


def _norms_are_the_bases(rows: Iterable[ModulesRow], norms: BaseNorms) -> Iterator[Finding]:
    for row in rows:
        weight, stated = _listed(row, "weight"), row["weight_norm"] or "0"
        found = None if weight is None else norms.other(stated, weight)
        if found is not None:
            yield failed(
                "the weight in the base has another norm than is stated",
                where=f"{MODULES}: {row['module']}",
                expected=f"{found:.6g}",
                found=stated,
                rule="N12",
            )
    norms.keep()


def _differs(subject: Subject, entry: TensorEntry, before: ModulesRowParameter) -> bool:
    """Whether the values differ from the base's: another dtype alone is no difference."""
    raw: bytes | memoryview = subject.tensor_bytes(entry)
    dtype = entry.dtype
    if elements.WIDENED.get(dtype) == before["dtype"]:
        dtype, raw = "F32", elements.widened(dtype, raw)
    elif (dtype, before["dtype"]) == ("F32", "BF16"):
        narrow = bytearray(len(raw) // 2)
        narrow[0::2], narrow[1::2] = raw[2::4], raw[3::4]
        if elements.widened("BF16", narrow) != raw:
            return True  # more digits than the base has
        dtype, raw = "BF16", bytes(narrow)
    return bool(tensor_digest(dtype, entry.shape, raw) != before["before"])


def _listed(row: ModulesRow, parameter: str) -> ModulesRowParameter | None:
    return next((p for p in row["parameters"] if p["name"] == parameter), None)


def _tensor(name: str) -> str:
    return f"{WEIGHTS}: {name}"
