"""Report: the data that it was trained and scored on, where it was made, and the files."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

from kolm.format import names
from kolm.report.facts import Facts
from kolm.report.markup import element, pairs, said, section, table
from kolm.report.training import flat
from kolm.sign.predicates import PROVENANCE


def data(facts: Facts) -> Element:
    """Captures by side, near duplicates, and sources and licences where they are published."""
    snapshot = facts.bundle.document(names.SNAPSHOT)
    stated: Counter[tuple[str, str, str]] = Counter(
        (
            case.capture["source"]["kind"],
            case.capture["source"]["name"],
            case.capture["license"] or "not stated",
        )
        for case in facts.cases()
    )
    near = snapshot["near_duplicates"]
    return section(
        "Data",
        table(
            ("Side", "Captures", "Pictures"),
            (
                (side, str(counts["captures"]), str(counts["images"]))
                for side, counts in snapshot["splits"].items()
                if isinstance(counts, dict)
            ),
        ),
        pairs(
            (name, said(value))
            for name, value in flat({"rule": snapshot["rule"], "near duplicates": near})
        ),
        [
            element("h3", "Sources and licences of the eval cases"),
            table(
                ("Importer", "Name", "Licence", "Cases"),
                (
                    (said(kind), said(name), said(licence), str(number))
                    for (kind, name, licence), number in sorted(stated.items())
                ),
            ),
        ]
        if stated
        else (),
        element(
            "p",
            "The captures trained on are in the bundle as digests alone. Their sources and "
            "licences are known to whoever holds the captures.",
        ),
        id_="data",
    )


def environment(facts: Facts) -> Element:
    """Where it was compiled: the class that decides its bits, and what the maker measured."""
    measured = [
        (claim.whose, claim.statement.predicate)
        for claim in facts.provenances
        if claim.statement.of(PROVENANCE)
    ]
    return section(
        "Environment",
        element("p", "The same lock gives the same bits on machines of the same class."),
        pairs((name, said(value)) for name, value in flat(facts.lock["environment"])),
        [
            element(
                "details",
                element("summary", "What the maker measured, as signed by ", said(by)),
                pairs((name, said(value)) for name, value in flat(predicate.get("runDetails", {}))),
            )
            for by, predicate in measured
        ],
        id_="environment",
    )


def files(facts: Facts) -> Element:
    """Every member of the bundle with its size and digest."""
    return section(
        "Files",
        table(
            ("File", "Bytes", "SHA-256"),
            (
                (
                    member.name,
                    f"{member.size:,}",
                    element("code", member.digest.removeprefix("sha256:")),
                )
                for member in facts.bundle.members
            ),
        ),
        id_="files",
    )
