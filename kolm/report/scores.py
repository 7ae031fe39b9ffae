"""Report: how well it answers, and beside what: K with its axes, intervals, controls, slices."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from kolm.counting import counted
from kolm.metrics.exact import normalise
from kolm.report.facts import Facts
from kolm.report.figures import Whisker, bars, intervals
from kolm.report.markup import element, said, section, table
from kolm.score import floors
from kolm.score.cases import reference_of

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationAccuracy, EvaluationMajority, EvaluationSlice

_SLICES = 16  # the worst; a page of a hundred bars shows nothing
_LABELS = 10  # rows and columns of the confusion
_AXES = {
    "A": "accuracy",
    "S": "size",
    "L": "latency",
    "C": "cost",
    "V": "coverage",
}
_CONTROLS = (
    ("adapter", "with the adapter"),
    ("base", "the base alone"),
    ("blind", "without the picture"),
    ("majority", "the most frequent answer"),
    ("swapped", "against another case’s reference"),
)


def percent(text: str) -> str:
    """A rate as people read it."""
    return f"{Decimal(text) * 100:.1f} %"


def scores(facts: Facts) -> Element:
    """Accuracy beside its controls, and the paired test."""
    found = facts.evaluation
    rows = [
        _whisker(told, found[name], main=name == "adapter")  # type: ignore[literal-required]
        for name, told in _CONTROLS
        if found.get(name) is not None
    ]
    adapter, paired = found["adapter"], found["paired"]
    return section(
        "Scores",
        element(
            "p",
            element("strong", percent(adapter["accuracy"])),
            f" on {counted(found['cases'], 'case')} with {counted(found['images'], 'picture')} "
            f"under the metric {found['metric']['kind']}; {_between(adapter)}.",
        ),
        intervals(rows, title="Accuracy with its 95 % interval, beside the controls"),
        element(
            "p",
            f"Case by case against the base: better on {paired['adapter_only']}, worse on "
            f"{paired['base_only']} (p = {paired['p']}, {paired['method']}). An answer counted as "
            f"covered in {found['covered']} of {found['cases']} cases.",
        ),
        _clustered(facts),
        _figures(facts),
        _floors(facts),
        id_="scores",
    )


def kscore(facts: Facts) -> Element:
    """K with its axes, as each signer states it."""
    shown = [
        element(
            "div",
            element(
                "h3",
                f"K {score['composite']} ",
                element("small", "by ", said(claim.whose)),
            ),
            bars(
                [
                    (f"{axis} {told}", float(value), value)
                    for axis, told in _AXES.items()
                    if (value := score["axes"][axis])  # type: ignore[literal-required]
                ],
                title=f"The axes of K {score['composite']}",
            ),
            element(
                "p",
                f"Median latency {score['inputs']['p50_latency_us'] / 1000:.1f} ms on ",
                said(score["machine"]["cpu"]),
                f", {score['inputs']['size_bytes']:,} bytes to load, "
                f"{score['inputs']['cost_usd_per_call']} USD a call; measured "
                f"{score['measured_on']}. Latency and cost are the signer’s measurements.",
            ),
        )
        for claim, score in facts.kscores
    ]
    return section(
        "K-score",
        shown or element("p", "No claim states one."),
        element(
            "p",
            "K ranks bundles that were measured alike. Floors decide, because a high K can hide a "
            "low accuracy.",
        ),
        id_="kscore",
    )


def slices(facts: Facts) -> Element | None:
    """Accuracy by group, the worst first."""
    found = sorted(
        facts.evaluation["slices"],
        key=lambda part: (Decimal(part["accuracy"]), part["kind"], part["value"]),
    )
    if not found:
        return None
    left = len(found) - _SLICES
    return section(
        "Slices",
        intervals(
            [_slice(part) for part in found[:_SLICES]],
            title="Accuracy with its 95 % interval by group of cases, the worst first",
        ),
        element("p", f"{counted(left, 'better slice')} not drawn.") if left > 0 else None,
        id_="slices",
    )


def confusion(facts: Facts) -> Element | None:
    """Answers against references, where the answers are few and published."""
    asked: Counter[tuple[str, str]] = Counter()
    for case in facts.cases():
        wanted = normalise(reference_of(case.capture, where="case"))
        asked[wanted, normalise(case.answers["adapter"]["output"])] += 1
    references = Counter[str]()
    for (wanted, _), number in asked.items():
        references[wanted] += number
    if len(references) < 2 or len(references) * 2 > references.total():
        return None
    labels = [
        label for label, _ in sorted(references.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    labels = labels[:_LABELS]
    grid: Counter[tuple[str | None, str | None]] = Counter()
    for (wanted, given), number in asked.items():
        grid[_among(wanted, labels), _among(given, labels)] += number
    shown: list[str | None] = [*labels, None]
    return section(
        "Confusion",
        element("p", "Rows are the references, columns the answers; case and spaces do not count."),
        table(
            ["", *(_label(label) for label in shown)],
            (
                [_label(wanted), *(_cell(grid, wanted, given, shown) for given in shown)]
                for wanted in shown
                if any(grid[wanted, given] for given in shown)
            ),
            class_="confusion",
        ),
        id_="confusion",
    )


def _clustered(facts: Facts) -> Element | None:
    """The interval that takes the cases of one picture for one another's like."""
    found = facts.evaluation["clustered"]
    if found["largest"] < 2:
        return None
    own = found["adapter"]
    return element(
        "p",
        f"Up to {counted(found['largest'], 'case')} share a picture. An interval that counts "
        f"{counted(found['clusters'], 'group')} of pictures: {percent(own['low'])} to "
        f"{percent(own['high'])}.",
    )


def _figures(facts: Facts) -> Element | None:
    """What the metric says of all cases together, such as precision and recall."""
    found = facts.evaluation["figures"]
    if not found:
        return None
    return table(
        ("Of all cases together", "Adapter", "Base", "Without the picture"),
        (
            (
                figure["name"].replace("_", " "),
                *(figure[run] or "–" for run in ("adapter", "base", "blind")),
            )
            for figure in found
        ),
    )


def _floors(facts: Facts) -> Element:
    return table(
        ("Floor of the publisher", "Demanded", "Observed", "Met"),
        (
            (
                floor["name"].replace("_", " "),
                floors.told(floor["name"], floor["demanded"]),
                floor["observed"] or f"not applicable: {floors.ABSENT[floor['name']]}",
                "yes"
                if floor["passed"]
                else "–"
                if floor["passed"] is None
                else element("strong", "no"),
            )
            for floor in facts.evaluation["floors"]
        ),
    )


def _whisker(
    name: str, part: EvaluationAccuracy | EvaluationMajority, *, main: bool = False
) -> Whisker:
    interval = part["interval"]
    return Whisker(
        name, float(part["accuracy"]), float(interval["low"]), float(interval["high"]), main
    )


def _slice(part: EvaluationSlice) -> Whisker:
    interval = part["interval"]
    name = f"{part['kind'].replace('_', ' ')} {part['value'] or 'none'} ({part['cases']})"
    return Whisker(name, float(part["accuracy"]), float(interval["low"]), float(interval["high"]))


def _between(part: EvaluationAccuracy) -> str:
    interval = part["interval"]
    return f"95 % interval {percent(interval['low'])} to {percent(interval['high'])}"


def _among(label: str, labels: list[str]) -> str | None:
    return label if label in labels else None


def _label(label: str | None) -> Element:
    return element("em", "other") if label is None else said(label or "(nothing)")


def _cell(
    grid: Counter[tuple[str | None, str | None]],
    wanted: str | None,
    given: str | None,
    shown: list[str | None],
) -> Element:
    number = grid[wanted, given]
    share = number / max(sum(grid[wanted, other] for other in shown), 1)
    tone = "right" if wanted == given and wanted is not None else "wrong"
    return element("span", str(number) if number else "·", class_=f"{tone} s{round(share * 4)}")
