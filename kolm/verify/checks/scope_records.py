"""V28–V29: do the receipt's lists, settings and counts follow from lock and modules?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kolm import digest, elements
from kolm.bundle.tensors import TensorEntry, tensor_digest
from kolm.format.names import EXAMPLES, LOCK, MODULES, RECEIPT, SNAPSHOT, TRACE, WEIGHTS
from kolm.format.optimizer import moment_forms
from kolm.methods import DeltaTensor, TensorName, WholeTensor
from kolm.methods.quantisation import quantised_modules
from kolm.records.codec import to_document
from kolm.records.verification import Finding
from kolm.verify import base_table
from kolm.verify.check import check
from kolm.verify.checks.container import receipt_follows
from kolm.verify.findings import failed, passed, unless_equal
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import ModulesRow, ModulesRowAdapter


@check(
    "V28",
    "Do the receipt's module lists and its vlm_train block follow from lock and modules?",
    needs=("V20",),
    reads=(RECEIPT, LOCK, MODULES, SNAPSHOT, EXAMPLES, TRACE),
)
def training_block_follows(subject: Subject) -> Iterator[Finding]:
    """The block is derived again; globs expand to exactly the lists; targets are the family's."""
    yield from receipt_follows(subject, ("vlm_train",))
    yield from _globs_expand(subject)
    yield from _papers_are_the_familys(subject)
    yield from _quantised_as_the_lock_says(subject)
    yield from _template_is_the_familys(subject)
    yield from _method_is_the_familys(subject)
    yield from _only_what_the_family_has(subject)
    block = subject.receipt["vlm_train"]
    quantised = _quantised(subject)
    yield passed(
        f"{len(block['trainable_modules'])} trainable and {len(block['frozen_modules'])} frozen "
        "globs expand to exactly the listed modules"
        + (f"; {quantised} weights of the language role are in 4 bits" if quantised else "")
    )


def _globs_expand(subject: Subject) -> Iterator[Finding]:
    names = [row["module"] for row in subject.modules]
    block = subject.receipt["vlm_train"]
    for field, stated, frozen in (
        ("frozen_modules", block["frozen_modules"], True),
        ("trainable_modules", block["trainable_modules"], False),
    ):
        meant = sorted(
            row["module"] for row in subject.modules if (row["state"] == "frozen") == frozen
        )
        covered = subject.rules.expand(stated, names)
        for name in sorted(set(meant) ^ set(covered)):
            why = "is covered but should not be" if name in covered else "is not covered"
            yield failed(f"a module {why} in {field}", where=f"{MODULES}: {name}", rule="R6")


def _method_is_the_familys(subject: Subject) -> Iterator[Finding]:
    stored: Mapping[str, object] = subject.lock["train"]["method"]
    computed = to_document(subject.method)
    for key in sorted(computed.keys() | stored.keys()):
        yield from unless_equal(
            computed.get(key, "nothing"),
            stored.get(key, "nothing"),
            "the method's settings do not follow from its options and the family's table",
            where=f"{LOCK}#/train/method/{key}",
            rule="L5",
        )


def _only_what_the_family_has(subject: Subject) -> Iterator[Finding]:
    """What became of vision role and projector is said where the family has them, and only there.

    Nothing is frozen that is not there.
    """
    train, sees = subject.lock["train"], subject.known_family().takes_pictures
    for key, stated, role in (
        ("freeze/vision", train["freeze"]["vision"], "vision role"),
        ("projector", train["projector"], "projector"),
    ):
        if (stated is not None) != sees:
            yield failed(
                f"the family has {'a' if sees else 'no'} {role}, and the lock says otherwise",
                where=f"{LOCK}#/train/{key}",
                expected="not null" if sees else "null",
                found="null" if stated is None else str(stated).lower(),
                rule="L14",
            )
    if train["projector"] in (None, "frozen"):
        yield from unless_equal(
            "0",
            train["projector_learning_rate"],
            "a projector that does not train has a learning rate",
            where=f"{LOCK}#/train/projector_learning_rate",
            rule="L6",
        )
    sides = subject.snapshot["splits"]
    shown = {side: sides[side]["images"] for side in ("train", "validation", "eval")}
    if not sees and any(shown.values()):
        yield failed(
            "the family reads text alone, and captures show pictures",
            where=f"{SNAPSHOT}#/splits",
            expected="no images",
            found=", ".join(f"{count} in {side}" for side, count in shown.items() if count),
            rule="L14",
        )


def _papers_are_the_familys(subject: Subject) -> Iterator[Finding]:
    papers, known = subject.lock["base"]["papers"], subject.known_family().papers
    if not set(known) <= set(papers):
        yield failed(
            "the lock does not name the family's papers",
            where=f"{LOCK}#/base/papers",
            expected=", ".join(known),
            found=", ".join(papers),
            rule="L1",
        )


def _quantised(subject: Subject) -> int:
    return sum("quantised" in p for row in subject.modules for p in row["parameters"])


def _quantised_as_the_lock_says(subject: Subject) -> Iterator[Finding]:
    """Exactly the linear layers of the language blocks, each with the lock's settings (N14)."""
    stated = subject.lock["train"]["quantisation"]
    settings, expression = None, quantised_modules(subject.known_family())
    if stated is not None:
        yield from unless_equal(
            expression,
            stated["target_expression"],
            "what is quantised does not follow from the family's table",
            where=f"{LOCK}#/train/quantisation/target_expression",
            rule="L12",
        )
        settings = (stated["kind"], stated["double"], stated["block_size"])
    for row in subject.modules:
        layer = re.fullmatch(expression, row["module"]) is not None
        for parameter in row["parameters"]:
            held = parameter.get("quantised")
            found = held and (held["kind"], held["double"], held["block_size"])
            expected = settings if layer and parameter["name"] == "weight" else None
            if found != expected:
                yield failed(
                    "a parameter is not quantised as lock and family say",
                    where=f"{MODULES}: {row['module']}.{parameter['name']}",
                    expected=_in_words(expected),
                    found=_in_words(found),
                    rule="N14",
                )


def _in_words(settings: tuple[str, bool, int] | None) -> str:
    if settings is None:
        return "not quantised"
    kind, double, block_size = settings
    return f"{kind}{', double' if double else ''}, blocks of {block_size}"


def _template_is_the_familys(subject: Subject) -> Iterator[Finding]:
    stated, texts = subject.lock["base"]["template"], subject.known_family().training_templates
    ours = [digest.of_bytes(text.encode()) for text in texts]
    if stated["source"] == "family" and stated["digest"] not in ours:
        yield failed(
            "the chat template is not the one that kolm has for this family",
            where=f"{LOCK}#/base/template",
            expected=" or ".join(ours) or "the base's own",
            found=stated["digest"],
            rule="L13",
        )


@check(
    "V29",
    "Do the counts and digests of modules, adapter and base add up?",
    reads=(MODULES, LOCK, RECEIPT, SNAPSHOT, EXAMPLES, TRACE, WEIGHTS),
)
def counts_add_up(subject: Subject) -> Iterator[Finding]:
    """Per role, per base and per tensor; frozen is unchanged, trained has seen a gradient."""
    yield from receipt_follows(subject, ("counts",))
    shipped = {entry.name: (entry, name) for entry, name in subject.adapter_names}
    for row in subject.modules:
        yield from _base_is_unchanged(row)
        yield from _norm_is_stated(row)
        yield from _training_left_traces(row, subject.receipt["trace"]["steps"])
        yield from _moments_are_the_optimizers(row, subject.lock["train"]["optimizer"])
        if subject.lock["train"]["continues"] is None:
            yield from _training_began_where_it_does(subject, row, shipped)
    yield from _aliases_share_their_tensor(subject)
    yield from _adapter_digests_match(subject)
    yield from _base_totals_match(subject)
    trained = subject.receipt["vlm_train"]["trained_parameters"]
    total = subject.lock["base"]["parameters"]
    yield passed(
        f"{trained:,} trained beside {total:,} base parameters; " + base_table.completeness(subject)
    )


def _base_is_unchanged(row: ModulesRow) -> Iterator[Finding]:
    for owned in (*row["parameters"], *row["buffers"]):
        place = f"{MODULES}: {row['module']}.{owned['name']}"
        changed = "a tensor of the base changed during training"
        yield from unless_equal(owned["before"], owned["after"], changed, where=place, rule="N4")
    for owned in row["parameters"]:
        place = f"{MODULES}: {row['module']}.{owned['name']}"
        held = owned.get("quantised")
        if held is not None and held["before"] != held["after"]:
            yield failed(
                "a quantised weight changed during training",
                where=place,
                expected=held["before"],
                found=held["after"],
                rule="N14",
            )
        if owned["elements"] != math.prod(owned["shape"]):
            yield failed(
                "the number of elements is not the product of the shape", where=place, rule="N11"
            )
        if owned["requires_grad"] or owned["gradient_steps"]:
            yield failed("a weight of the base was open to training", where=place, rule="N10")


def _norm_is_stated(row: ModulesRow) -> Iterator[Finding]:
    """Of the weight that a delta stands beside; experts have none of that name."""
    weight = any(owned["name"] == "weight" for owned in row["parameters"])
    adapted = row["state"] == "adapted" and weight
    if adapted != (row["weight_norm"] is not None):
        yield failed(
            "the norm of the weight is stated for adapted linear layers, and for nothing else",
            where=f"{MODULES}: {row['module']}",
            expected="a norm" if adapted else "null",
            found=row["weight_norm"],
            rule="N12",
        )


def _aliases_share_their_tensor(subject: Subject) -> Iterator[Finding]:
    known = {f"{r['module']}.{p['name']}": p for r in subject.modules for p in r["parameters"]}
    for name, parameter in known.items():
        if "alias_of" not in parameter:
            continue
        target = known.get(parameter["alias_of"])
        if target is None or "alias_of" in target or target["before"] != parameter["before"]:
            yield failed(
                "an alias differs from the tensor that it names",
                where=f"{MODULES}: {name}",
                expected=target["before"] if target else parameter["alias_of"],
                found=parameter["before"],
                rule="N6",
            )


def _training_left_traces(row: ModulesRow, steps: int) -> Iterator[Finding]:
    for tensor in row["adapter"]:
        place = f"{MODULES}: {tensor['tensor']}"
        if not 0 < tensor["gradient_steps"] <= steps:
            yield failed(
                "declared trained, but its number of steps with a gradient is impossible",
                where=place,
                expected=f"1 to {steps}",
                found=tensor["gradient_steps"],
                rule="N9",
            )
        if tensor["before"] == tensor["after"]:
            yield failed("declared trained, but it is what it was before", where=place, rule="N9")
        if tensor["elements"] != math.prod(tensor["shape"]):
            yield failed(
                "the number of elements is not the product of the shape", where=place, rule="N11"
            )


def _moments_are_the_optimizers(row: ModulesRow, optimizer: str) -> Iterator[Finding]:
    for tensor in row["adapter"]:
        expected, _ = moment_forms(optimizer, tensor["shape"])["exp_avg"]
        found = tensor.get("moments", "F32")
        if found != expected:
            yield failed(
                f"{optimizer} does not hold the moments of such a tensor so",
                rule="N15",
                where=f"{MODULES}: {tensor['tensor']}",
                expected=expected,
                found=found,
            )


def _training_began_where_it_does(
    subject: Subject, row: ModulesRow, shipped: Mapping[str, tuple[TensorEntry, TensorName]]
) -> Iterator[Finding]:
    """The initial values that are known: the method's, and the base's in the projector.

    A whole tensor of another dtype than the base's is the base's widened, whose digest cannot be
    told from the base's digest alone.
    """
    base = {owned["name"]: owned for owned in row["parameters"]}
    for tensor in row["adapter"]:
        entry, name = shipped.get(tensor["tensor"], (None, None))
        if entry is None or list(entry.shape) != tensor["shape"] or entry.dtype != tensor["dtype"]:
            continue  # told elsewhere, and a stated size alone is not worth hashing
        expected = None
        if isinstance(name, DeltaTensor) and name.part in subject.method_type.STARTS:
            start = elements.repeated(
                entry.dtype, subject.method_type.STARTS[name.part], entry.elements
            )
            expected = tensor_digest(entry.dtype, entry.shape, start) if start else None
        elif isinstance(name, WholeTensor) and base[name.parameter]["dtype"] == tensor["dtype"]:
            expected = base[name.parameter]["before"]
        if expected is not None:
            yield from unless_equal(
                expected,
                tensor["before"],
                "the tensor did not start with the initial value of its method",
                where=f"{MODULES}: {tensor['tensor']}",
                rule="N9",
            )


def _adapter_digests_match(subject: Subject) -> Iterator[Finding]:
    listed: dict[str, ModulesRowAdapter] = {}
    for row in subject.modules:
        for tensor in row["adapter"]:
            if tensor["tensor"] in listed:
                yield failed(
                    "an adapter tensor is listed twice",
                    where=f"{MODULES}: {tensor['tensor']}",
                    rule="N7",
                )
            listed[tensor["tensor"]] = tensor
    for entry in subject.adapter:
        stated = listed.get(entry.name)
        yield from unless_equal(
            stated["after"] if stated else "a row in modules.jsonl",
            tensor_digest(entry.dtype, entry.shape, subject.tensor_bytes(entry)),
            "the shipped tensor is not the one that training ended with",
            where=f"{WEIGHTS}: {entry.name}",
            rule="N9",
        )


def _base_totals_match(subject: Subject) -> Iterator[Finding]:
    own = [p for row in subject.modules for p in row["parameters"] if "alias_of" not in p]
    base = subject.lock["base"]
    # What a family leaves out of its checkpoints is in no module; V42 tells it by name.
    more = subject.family is not None and bool(subject.family.left_out)
    for field, stated, found in (
        ("parameters", base["parameters"], sum(p["elements"] for p in own)),
        ("tensors", base["tensors"], len({key for p in own for key in p["checkpoint"]})),
    ):
        if stated != found and not (more and stated > found):
            yield failed(
                f"the modules do not hold the base's number of {field}",
                where=f"{LOCK}#/base/{field}",
                expected=f"{found:,}",
                found=f"{stated:,}",
                rule="B25",
            )
