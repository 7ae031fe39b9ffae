"""Report: two bundles side by side: what differs, and the cases that got worse or better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from kolm.counting import counted
from kolm.report.cases import Album, cut
from kolm.report.facts import Pictures
from kolm.report.figures import Whisker, intervals
from kolm.report.markup import element, pairs, said, section, table
from kolm.report.page import whole

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.records.answers import Diff, DiffCapture, DiffCase, DiffModule, DiffMoved
    from kolm.records.documents import Capture

SHOWN_CASES = 24  # of those that got worse, and of those that got better
_NAMES = 40


def render(found: Diff, texts: Mapping[Digest, Capture], pictures: Pictures) -> bytes:
    """The page as one HTML file.

    Args:
        found: what differs.
        texts: published cases of either bundle, by id.
        pictures: those that may be shown.
    """
    album = Album(pictures)
    left, right = found["left"]["name"], found["right"]["name"]
    worse, better = split_cases(found["cases"])
    return whole(
        f"{left} and {right}: what differs",
        [
            element("h1", said(left), " → ", said(right)),
            pairs((side, element("code", found[side]["cid"])) for side in ("left", "right")),
            element(
                "p", "Read from both files; whether what they say is so, `kolm verify` answers."
            ),
        ],
        [
            _scores(found),
            _cases("Cases that got worse", worse, texts, album, "worse"),
            _cases("Cases that got better", better, texts, album, "better"),
            _settings(found),
            _captures(found),
            _modules(found["modules"]),
            _tensors(found),
        ],
    )


def count_captures(groups: Iterable[DiffCapture | DiffMoved]) -> int:
    """How many captures the groups hold together."""
    return sum(len(group["captures"]) for group in groups)


def split_cases(cases: Sequence[DiffCase]) -> tuple[list[DiffCase], list[DiffCase]]:
    """Those that got worse, the worst first, and those that got better, the best first."""
    changes = [(Decimal(c["right"]["score"]) - Decimal(c["left"]["score"]), c) for c in cases]
    return (
        [case for change, case in changes if change < 0],
        [case for change, case in reversed(changes) if change > 0],
    )


def _scores(found: Diff) -> Element:
    rows = [
        Whisker(
            side,
            float(part["accuracy"]),
            float(part["low"]),
            float(part["high"]),
            main=side == "right",
        )
        for side, part in (
            ("left", found["accuracy"]["left"]),
            ("right", found["accuracy"]["right"]),
        )
    ]
    paired = found["paired"]
    told = (
        f"Not compared case by case: {found['not_paired']}."
        if paired is None
        else f"On {counted(paired['cases'], 'case')} that both answered, the left one scores "
        f"higher on {paired['left_only']}, the right one on {paired['right_only']} "
        f"(p = {paired['p']}, {paired['method']})."
    )
    return section(
        "Scores",
        intervals(rows, title="Accuracy of both with its 95 % interval"),
        element("p", told),
        id_="scores",
    )


def _cases(
    title: str,
    cases: Sequence[DiffCase],
    texts: Mapping[Digest, Capture],
    album: Album,
    id_: str,
) -> Element | None:
    if not cases:
        return None
    left, shown = len(cases) - SHOWN_CASES, f", {SHOWN_CASES} shown"
    return section(
        title,
        element("p", f"{counted(len(cases), 'case')}{shown if left > 0 else ''}."),
        element("div", [_card(case, texts, album) for case in cases[:SHOWN_CASES]], class_="cards"),
        id_=id_,
    )


def _card(case: DiffCase, texts: Mapping[Digest, Capture], album: Album) -> Element:
    capture = texts.get(case["case"])
    return element(
        "article",
        [album.show(image) for image in capture["images"][:2]] if capture else (),
        element("p", cut(case["prompt"]), class_="prompt") if case["prompt"] is not None else None,
        pairs(
            (
                ("case", element("code", case["case"][:19])),
                ("reference", "withheld" if case["reference"] is None else cut(case["reference"])),
                (f"left, {case['left']['score']}", cut(case["left"]["output"])),
                (f"right, {case['right']['score']}", cut(case["right"]["output"])),
            )
        ),
        class_="card",
    )


def _settings(found: Diff) -> Element:
    return section(
        "Settings",
        table(
            ("Key of the lock", "Left", "Right"),
            (
                (said(row["path"]), _value(row["left"]), _value(row["right"]))
                for row in found["spec"]
            ),
        ),
        id_="settings",
    )


def _captures(found: Diff) -> Element:
    captures = found["captures"]
    return section(
        "Captures",
        pairs(
            (
                ("right alone", str(count_captures(captures["added"]))),
                ("left alone", str(count_captures(captures["removed"]))),
                ("on another side", str(count_captures(captures["moved"]))),
            )
        ),
        id_="captures",
    )


def _modules(rows: Sequence[DiffModule]) -> Element | None:
    if not rows:
        return None
    return section(
        "Modules",
        table(
            ("Module", "Left", "Right"),
            (
                (element("code", row["module"]), _value(row["left"]), _value(row["right"]))
                for row in rows[:_NAMES]
            ),
        ),
        _more(len(rows)),
        id_="modules",
    )


def _tensors(found: Diff) -> Element:
    tensors = found["tensors"]
    return section(
        "Trained tensors",
        pairs(
            (
                ("the same in both", str(tensors["same"])),
                ("changed", _names(tensors["changed"])),
                ("right alone", _names(tensors["added"])),
                ("left alone", _names(tensors["removed"])),
            )
        ),
        id_="tensors",
    )


def _names(names: Sequence[str]) -> Element | str:
    if not names:
        return "none"
    return element(
        "details",
        element("summary", str(len(names))),
        element("ul", [element("li", element("code", name)) for name in _first(names)]),
        _more(len(names)),
    )


def _first(names: Sequence[str]) -> Iterable[str]:
    return names[:_NAMES]


def _more(number: int) -> Element | None:
    return element("p", f"and {number - _NAMES} more") if number > _NAMES else None


def _value(text: str | None) -> Element:
    return element("em", "not there") if text is None else cut(text)
