"""Report: what was trained, on what settings, and how the loss went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from kolm.format import names
from kolm.format.receipt import ROLES
from kolm.report.facts import Facts
from kolm.report.figures import bars, curve
from kolm.report.markup import element, pairs, said, section, table

# Parts of the receipt that have a section of their own, or are lists of names.
_ELSEWHERE = frozenset({"frozen_modules", "trainable_modules", "papers"})


def training(facts: Facts) -> Element:
    """The loss over the steps, and every setting that the receipt states."""
    points: list[tuple[int, float]] = []
    marks: list[tuple[int, float]] = []
    for row in facts.bundle.rows(names.TRACE):
        if row["kind"] == "step":
            points.append((row["step"], float(row["loss"])))
        elif row["kind"] == "validation":
            marks.append((row["step"], float(row["loss"])))
    trained = facts.receipt["vlm_train"]
    told = {name: value for name, value in trained.items() if name not in _ELSEWHERE}
    return section(
        "Training",
        curve(points, marks, title="The loss by step; points are losses on the validation side")
        if points
        else element("p", "The trace has no step."),
        element(
            "p",
            "The line is the training loss by step",
            "; points are validation losses." if marks else ".",
        ),
        element(
            "details",
            element("summary", "Every setting, as the receipt states it"),
            pairs((name, said(value)) for name, value in flat(told)),
        ),
        id_="training",
    )


def modules(facts: Facts) -> Element:
    """Which parts of the model were frozen, and which were trained, by role."""
    counts = facts.receipt["counts"]
    total = max(sum(counts[role]["parameters"] for role in ROLES), 1)
    present = [role for role in ROLES if counts[role]["modules"]]
    trained = facts.receipt["vlm_train"]
    return section(
        "Modules",
        bars(
            [
                (role, counts[role]["parameters"] / total, f"{counts[role]['parameters']:,}")
                for role in present
            ],
            title="Parameters of the base by role",
        ),
        table(
            ("Role", "Modules", "Parameters of the base", "Frozen", "Trained"),
            (
                (
                    role,
                    str(counts[role]["modules"]),
                    f"{counts[role]['parameters']:,}",
                    f"{counts[role]['frozen']:,}",
                    f"{counts[role]['trained']:,}",
                )
                for role in present
            ),
        ),
        element("p", "Trained counts the adapter’s own parameters and those trained in full."),
        _names("Trained modules", trained["trainable_modules"]),
        _names("Frozen modules", trained["frozen_modules"]),
        id_="modules",
    )


def _names(title: str, listed: Sequence[str]) -> Element:
    return element(
        "details",
        element("summary", f"{title}: {len(listed)} patterns"),
        element("ul", [element("li", element("code", name)) for name in listed]),
    )


def flat(document: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a document; those of inner documents stand after their own names."""
    if isinstance(document, Mapping):
        for name, value in document.items():
            yield from flat(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(document, list) and any(isinstance(item, Mapping) for item in document):
        for number, item in enumerate(document):
            yield from flat(item, f"{prefix}[{number}]")
    elif isinstance(document, list):
        yield prefix, ", ".join(map(str, document)) or "none"
    else:
        words = {None: "none", True: "yes", False: "no"}
        yield (
            prefix,
            words[document] if document is None or isinstance(document, bool) else str(document),
        )
