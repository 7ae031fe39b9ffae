"""V56: does the count of operations in a compute claim follow from what the bundle states?

Seconds, energy and memory are measurements, and the tower's part follows from pictures that are not
in the bundle (V57): here they are taken as the signer states them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from kolm.format import outline
from kolm.format.names import EXAMPLES, LOCK, MODULES, TRACE
from kolm.objectives import objective_of
from kolm.records.sides import LEARNED
from kolm.records.verification import Finding
from kolm.sign.predicates import COMPUTE
from kolm.verify.check import check
from kolm.verify.findings import failed, passed, unless_equal
from kolm.verify.subject import Subject

if TYPE_CHECKING:
    from kolm.records.documents import PredicateCompute

_DETAIL: Final = "the claim states another count than follows from the bundle"


@check(
    "V56",
    "Does the compute claim count the operations that lock, examples and trace give?",
    needs=("V08", "V20", "V28"),
    reads=(EXAMPLES, LOCK, MODULES, TRACE),
    about=(COMPUTE,),
)
def operations_follow(subject: Subject) -> Iterator[Finding]:
    """Every term but the tower's, their total, and the test that is made of it."""
    base = outline.of_modules(subject.modules, subject.known_family())
    paired = objective_of(subject.lock["train"]["objective"]).PAIRED
    known: dict[bool, dict[str, str]] = {}
    claims = subject.claims.said(COMPUTE)
    for name, said in claims:
        shared = said["shared_prompts"]
        if shared and not (paired and subject.known_family().branches):
            yield failed(
                "two answers cannot have stood behind one prompt",
                rule="O4",
                where=f"compute claim by {name}#/shared_prompts",
            )
            continue
        if shared not in known:
            terms = subject.rules.recount(
                lock=subject.lock,
                reading=subject.documents.reading,
                trace=subject.documents.rows(TRACE),
                base=base,
                method=subject.method,
                shared=shared,
            )
            known[shared] = {term: str(count) for term, count in terms.items()}
        yield from _follows(subject, name, said, known[shared])
        yield from _tower_is_possible(subject, name, said)
        yield from _processes_are_possible(subject, name, said)
        yield from _measurements_are_possible(subject, name, said)
    told = ", ".join(sorted({said["flops"]["total"] for _, said in claims}))
    yield passed(
        f"{told} operations, the tower's part as its maker counted it",
        by=(name for name, _ in claims),
    )


def _tower_is_possible(subject: Subject, name: str, said: PredicateCompute) -> Iterator[Finding]:
    """It computes exactly where pictures are read: a frozen one is shown each, an adapted one those
    of the batches that were read."""
    train = subject.lock["train"]
    sides = {"train"} if train["validation"] is None else set(LEARNED)
    rows = subject.documents.rows(EXAMPLES)
    shown = any("image_tokens" in row and row["side"] in sides for row in rows)
    counted = said["flops"]["tower"] != "0"
    if counted > shown or (shown > counted and train["freeze"]["vision"] is not False):
        yield failed(
            "the tower computes where captures that were read show pictures, and nowhere else",
            rule="O6",
            where=f"compute claim by {name}#/flops/tower",
            expected="more than 0" if shown else "0",
            found=said["flops"]["tower"],
        )


def _measurements_are_possible(
    subject: Subject, name: str, said: PredicateCompute
) -> Iterator[Finding]:
    """A run goes on after a step that it has, and the device that computes has its meter."""
    measured, steps = said["measured"], subject.receipt["trace"]["steps"]
    place, energy = f"compute claim by {name}#/measured", measured["energy"]
    if measured["from_step"] > steps:
        yield failed(
            "the training went on after a step that it does not have",
            rule="O7",
            where=f"{place}/from_step",
            expected=f"at most {steps}",
            found=measured["from_step"],
        )
    device = subject.lock["environment"]["device"]
    meter = {"cpu": "rapl", "cuda": "nvml"}.get(device, "none")
    if "meters" in energy and (
        meter not in energy["meters"] or (device == "cpu" and "nvml" in energy["meters"])
    ):
        yield failed(
            "the energy is not by the meter of the device that computed",
            rule="O7",
            where=f"{place}/energy/meters",
            expected=meter,
            found=", ".join(energy["meters"]),
        )


def _processes_are_possible(
    subject: Subject, name: str, said: PredicateCompute
) -> Iterator[Finding]:
    """They share a step's batches evenly; on an accelerator the lock says how many they are."""
    lock, processes = subject.lock, said["measured"].get("processes", 1)
    batches, environment = lock["train"]["accumulation"], lock["environment"]
    due = environment["device"] == "cpu" or processes == environment["world_size"]
    if batches % processes or not due:
        yield failed(
            "so many processes cannot have trained together there",
            rule="O7",
            where=f"compute claim by {name}#/measured/processes",
        )


def _follows(
    subject: Subject, name: str, said: PredicateCompute, terms: dict[str, str]
) -> Iterator[Finding]:
    where, stated = f"compute claim by {name}#", dict(said["flops"])
    for term, count in terms.items():
        place = f"{where}/flops/{term}"
        yield from unless_equal(count, stated[term], _DETAIL, rule="O1", where=place)
    total = sum(int(str(count)) for term, count in stated.items() if term != "total")
    place = f"{where}/flops/total"
    yield from unless_equal(str(total), stated["total"], _DETAIL, rule="O6", where=place)
    test: dict[str, object] = dict(subject.rules.modifier_test(total, subject.lock))
    for field, found in said["modifier_test"].items():
        place = f"{where}/modifier_test/{field}"
        yield from unless_equal(test[field], found, _DETAIL, rule="O8", where=place)
