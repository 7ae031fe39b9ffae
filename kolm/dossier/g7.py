"""Dossier: the G7's minimum elements of a software bill of materials for AI.

Clusters and elements are those of "Software Bill of Materials for AI: Minimum Elements", G7
Cybersecurity Working Group, published by BSI on 12 May 2026; the questions are in kolm's words.
"""

from __future__ import annotations

from typing import Final

from kolm.dossier.forms import Form, Point
from kolm.version import VERSION

_FORMATS: Final = "CycloneDX 1.7 in bom.cdx.json, SPDX 3.0.1 in bom.spdx.json"


def _cluster(code: str, *elements: str | tuple[str, str]) -> tuple[Point, ...]:
    return tuple(
        Point(f"{code}.{number}", *((element, "") if isinstance(element, str) else element))
        for number, element in enumerate(elements, 1)
    )


FORM: Final = Form(
    "g7",
    "SBOM for AI: minimum elements",
    "The elements of the G7 Cybersecurity Working Group's *SBOM for AI: Minimum Elements* (BSI, "
    "12 May 2026), by cluster.",
    (
        (
            "Metadata",
            _cluster(
                "MD",
                "author",
                ("version of this bill", "1; it follows from the bundle and never changes"),
                ("name of the data format", _FORMATS),
                ("version of the data format", _FORMATS),
                "signature",
                ("name of the tool", "kolm"),
                ("version of the tool", VERSION),
                ("context of the generation", "after the build, from the verified file"),
                "time",
                "dependencies",
            ),
        ),
        (
            "System level properties",
            _cluster(
                "SLP",
                "name",
                "components",
                "producer",
                "version",
                "time",
                "data flow",
                "use of data",
                "inputs and outputs",
                "intended area of application",
            ),
        ),
        (
            "Models",
            _cluster(
                "MDL",
                "name",
                "identifier",
                "version",
                "time",
                "producer",
                "description",
                "hash value",
                "hash algorithm",
                "properties",
                "inputs and outputs",
                "training",
                "licence",
                "external references",
            ),
        ),
        (
            "Dataset properties",
            _cluster(
                "DP",
                "name",
                "description",
                "content",
                "identifier",
                "hash",
                "provenance",
                "statistical properties",
                "sensitivity",
                "dependencies",
                "licence",
            ),
        ),
        ("Infrastructure", _cluster("INF", "software", "hardware")),
        (
            "Security properties",
            _cluster("SP", "controls", "compliance", "policy and contact", "vulnerabilities"),
        ),
        (
            "Key performance indicators",
            _cluster("KPI", "security metrics", "operational performance"),
        ),
    ),
)
