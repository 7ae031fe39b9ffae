"""Report: what the training took: operations by term, time, energy, memory, and a third of the
base's."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from kolm.format.compute import energy_text, short
from kolm.report.facts import Facts
from kolm.report.markup import element, pairs, said, section
from kolm.sign.predicates import COMPUTE

if TYPE_CHECKING:
    from kolm.records.documents import PredicateCompute

_GIB = 1 << 30


def cost(facts: Facts) -> Element | None:
    """One part for each claim; nothing where nobody counted."""
    made = [
        part
        for claim in facts.claims
        if (compute := claim.statement.of(COMPUTE))
        for part in _claim(claim.whose, compute)
    ]
    return section("Compute", made, id_="compute") if made else None


def _claim(by: str, compute: PredicateCompute) -> list[Element]:
    flops, spent = compute["flops"], compute["measured"]
    terms = ", ".join(
        f"{term} {short(int(str(count)))}"
        for term, count in flops.items()
        if term != "total" and count != "0"
    )
    observed, predicted = (
        f"{size / _GIB:.2f} GiB"
        for size in (spent["observed_peak_bytes"], compute["predicted_peak_bytes"])
    )
    rows = (
        ("Operations", f"{short(int(flops['total']))}: {terms}"),
        ("Seconds", spent["seconds"]),
        ("Processes", str(spent.get("processes", 1))),
        ("Energy", energy_text(spent)),
        ("Memory at most", f"{observed}; predicted {predicted}"),
    )
    return [
        element("p", "As signed by ", said(by), "."),
        pairs((name, said(value)) for name, value in rows),
        element("p", said(compute["modifier_test"]["words"])),
        element(
            "p",
            "The audit counts the operations again (V56); those of the vision tower where every "
            "capture was encoded again (V57). Time, energy and memory are the signer’s "
            "measurements.",
        ),
    ]
