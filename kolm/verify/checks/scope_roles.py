"""V20–V22, V24: may the parts that are shipped change what they sit in?

Roles come from kolm's own tables by the family's name, never from the bundle. What may change
follows from the freeze rules in the lock: the PEFT method in the language role (and in the vision
role where the spec says so), whole weights in the projector.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kolm.format.names import LOCK, MODULES, RECEIPT, WEIGHTS
from kolm.methods import DeltaTensor, UnknownTensor, WholeTensor
from kolm.records.verification import Finding
from kolm.roles import Role
from kolm.verify.check import check
from kolm.verify.findings import could_not_look, failed, passed, unless_equal
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRow, ModulesRowParameter


@check("V20", "Is the base of a family whose roles kolm knows?", reads=(LOCK, RECEIPT))
def family_is_known(subject: Subject) -> Iterator[Finding]:
    """An unknown family is never a pass: without a table nothing can be said of roles."""
    stated, summed = subject.lock["base"]["family"], subject.receipt["base"]["family"]
    yield from unless_equal(stated, summed, "lock and receipt name different families", rule="R1")
    if subject.family is None:
        yield could_not_look(
            f"roles not checked: this kolm has no role table for the family {stated}",
            where=f"{LOCK}#/base/family",
            code="E_ROLES_UNKNOWN_FAMILY",
        )
        return
    alone = "" if subject.family.takes_pictures else " (text alone: no vision role, no projector)"
    yield passed(f"{stated}{alone}: roles are recomputed from kolm's own table")


@check(
    "V21",
    "Is every module's role the one recomputed from its name, with nothing left over?",
    needs=("V20",),
    reads=(MODULES,),
)
def roles_are_recomputed(subject: Subject) -> Iterator[Finding]:
    """Partition total, names unique and sorted, no role taken from the bundle."""
    previous = ""
    claimed: dict[str, str] = {}
    for row in subject.modules:
        name, role = row["module"], subject.role_of(row)
        if name <= previous and previous:
            yield failed(
                "the module is listed twice, or out of order", where=_module(name), rule="N1"
            )
        previous = name
        if role is Role.OTHER:
            yield failed(
                "the family's table does not have exactly one role for it",
                where=_module(name),
                rule="N2",
            )
        elif role.value != row["role"]:
            yield failed(
                "the module is listed under another role",
                where=_module(name),
                expected=role.value,
                found=row["role"],
                rule="N2",
            )
        yield from _lists_have_one_order(row)
        for parameter in row["parameters"]:
            full = f"{name}.{parameter['name']}" if name else parameter["name"]
            if not _key_is_the_familys(subject, full, parameter):
                yield failed(
                    "the family stores this parameter under another key",
                    where=_module(full),
                    expected=" or ".join(subject.known_family().checkpoint_keys(full)),
                    found=", ".join(parameter["checkpoint"]) or "no key",
                    rule="N5",
                )
            for key in parameter["checkpoint"]:
                if claimed.setdefault(key, full) != full:
                    yield failed(
                        "two parameters are stored under one key",
                        where=_module(full),
                        expected=f"{key} for {claimed[key]} alone",
                        found=key,
                        rule="N5",
                    )
            alias = parameter.get("alias_of")
            if alias is not None and subject.known_family().aliases.get(full) != alias:
                yield failed("the family knows no such alias", where=_module(full), rule="N6")
    if not subject.modules:
        yield failed("no module is listed", where=MODULES, rule="N1")
    yield passed(f"{len(subject.modules)} modules, roles recomputed")


def _lists_have_one_order(row: ModulesRow) -> Iterator[Finding]:
    """Each list by name, and no name twice, also not as a parameter and as a buffer."""
    place = _module(row["module"])
    names = [owned["name"] for owned in (*row["parameters"], *row["buffers"])]
    if len(set(names)) != len(names):
        yield failed("a tensor of the module is listed twice", where=place, rule="N4")
    for field, listed in (
        ("parameters", [parameter["name"] for parameter in row["parameters"]]),
        ("buffers", [buffer["name"] for buffer in row["buffers"]]),
        ("adapter", [tensor["tensor"] for tensor in row["adapter"]]),
    ):
        if listed != sorted(listed):
            yield failed(
                f"the module's {field} are not in the order of their names",
                where=place,
                expected=", ".join(sorted(listed)),
                found=", ".join(listed),
                rule=("N7" if field == "adapter" else "N4"),
            )


def _key_is_the_familys(subject: Subject, name: str, parameter: ModulesRowParameter) -> bool:
    """The keys of a parameter of its own, so that V42 can compare it; none for an alias."""
    keys, family = parameter["checkpoint"], subject.known_family()
    if "alias_of" in parameter:
        return keys == []
    if len(keys) == 1 and keys[0] in family.checkpoint_keys(name):
        return True
    count = parameter["shape"][0] if parameter["shape"] else 0  # a stranger's number
    return 0 < count <= len(keys) and tuple(keys) == family.part_keys(name, count)


@check(
    "V22",
    "Does every adapter tensor sit in a module that is declared trainable and may change?",
    needs=("V20",),
    reads=(MODULES, LOCK, WEIGHTS),
)
def tensors_stay_in_scope(subject: Subject) -> Iterator[Finding]:
    """Both ways: no tensor outside the declared modules, no declared module without its own."""
    rows = subject.modules_by_name
    found: dict[str, set[str]] = {}
    for entry, name in subject.adapter_names:
        if isinstance(name, UnknownTensor):
            yield failed(
                "the tensor's name is outside the grammar or in no listed module",
                where=_tensor(entry.name),
                rule="N8",
            )
        elif isinstance(name, DeltaTensor):
            found.setdefault(name.module, set()).add(entry.name)
            yield from _delta_may_stand(subject, name)
        elif isinstance(name, WholeTensor):
            found.setdefault(name.module, set()).add(entry.name)
    yield from _declared_tensors_are_there(subject, found)
    yield from _targets_are_the_adapted(subject)
    adapted = sum(row["state"] == "adapted" for row in rows.values())
    roles = sorted({subject.role_of(r).value for r in rows.values() if r["state"] != "frozen"})
    yield passed(
        f"{len(subject.adapter)} tensors in {adapted} adapted modules; changed roles: "
        + (", ".join(roles) or "none")
    )


def _delta_may_stand(subject: Subject, name: DeltaTensor) -> Iterator[Finding]:
    row = subject.modules_by_name[name.module]
    role = subject.role_of(row)
    if row["state"] != "adapted":
        yield failed(
            f"the tensor changes a module that is declared {row['state']}",
            where=_tensor(name.tensor),
            rule="N3",
        )
    if role not in subject.adaptable_roles:
        yield failed(
            f"the tensor changes the {role.value} role, which is frozen",
            where=_tensor(name.tensor),
            expected=" or ".join(sorted(subject.adaptable_roles)),
            found=role.value,
            rule="N3",
        )


def _declared_tensors_are_there(subject: Subject, found: dict[str, set[str]]) -> Iterator[Finding]:
    for name, row in subject.modules_by_name.items():
        listed = {tensor["tensor"] for tensor in row["adapter"]}
        stored = found.get(name, set())
        if row["state"] != "frozen" and not stored:
            yield failed(
                f"declared {row['state']}, but no tensor is shipped for it",
                where=_module(name),
                rule="N3",
            )
        if row["state"] == "frozen" and listed:
            yield failed(
                "declared frozen, but lists adapter tensors", where=_module(name), rule="N3"
            )
        for tensor in sorted(listed ^ stored):
            place = "shipped but not listed" if tensor in stored else "listed but not shipped"
            yield failed(f"the tensor is {place} in {MODULES}", where=_tensor(tensor), rule="N7")


def _targets_are_the_adapted(subject: Subject) -> Iterator[Finding]:
    """The adapted modules are exactly those that lock and family select."""
    rows = subject.modules_by_name
    wanted = {name for name, row in rows.items() if subject.is_target(row)}
    adapted = {name for name, row in rows.items() if row["state"] == "adapted"}
    for name in sorted(wanted ^ adapted):
        why = "is a target but not adapted" if name in wanted else "is adapted but is not a target"
        yield failed(f"the module {why}", where=_module(name), rule="L5")


@check(
    "V24",
    "Is no tensor of the base replaced without being declared?",
    needs=("V20",),
    reads=(MODULES, LOCK, WEIGHTS),
)
def whole_tensors_are_declared(subject: Subject) -> Iterator[Finding]:
    """Whole weights stand in a projector that is declared trained, all of it, and nowhere else."""
    rows = subject.modules_by_name
    whole: dict[str, set[str]] = {}
    for entry, name in subject.adapter_names:
        if isinstance(name, UnknownTensor):
            yield failed(
                "the tensor belongs to no listed module", where=_tensor(entry.name), rule="N8"
            )
        elif isinstance(name, WholeTensor):
            whole.setdefault(name.module, set()).add(name.parameter)
            yield from _whole_may_stand(subject, name)
    full = subject.lock["train"]["projector"] == "full"
    for module, row in rows.items():
        if (
            full
            and row["parameters"]
            and subject.in_projector(module)
            and row["state"] != "trained"
        ):
            detail = "the lock trains the projector in full, and this module of it was left alone"
            yield failed(detail, where=_module(module), found=row["state"], rule="L6")
        if row["state"] == "trained":
            missing = {p["name"] for p in row["parameters"]} - whole.get(module, set())
            for parameter in sorted(missing):
                yield failed(
                    "declared trained, but its weights are not shipped",
                    where=_module(f"{module}.{parameter}"),
                    rule="N3",
                )
    count = sum(len(parameters) for parameters in whole.values())
    yield passed(
        f"{count} tensors trained in full, all in the declared projector"
        if count
        else "no tensors trained in full"
    )


def _whole_may_stand(subject: Subject, name: WholeTensor) -> Iterator[Finding]:
    row = subject.modules_by_name[name.module]
    role = subject.role_of(row)
    if row["state"] != "trained":
        yield failed(
            f"the tensor replaces weights of a module that is declared {row['state']}",
            where=_tensor(name.tensor),
            rule="N3",
        )
    if role not in subject.replaceable_roles or not subject.in_projector(name.module):
        yield failed(
            f"the tensor replaces weights in the {role.value} role, which may not be replaced",
            where=_tensor(name.tensor),
            expected=" or ".join(sorted(subject.replaceable_roles)) or "no tensors trained in full",
            found=role.value,
            rule="N3",
        )


def _module(name: str) -> str:
    return f"{MODULES}: {name}"


def _tensor(name: str) -> str:
    return f"{WEIGHTS}: {name}"
