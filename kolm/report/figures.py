"""Report: drawings, as SVG inside the page. Each says in words what it shows, for those who
cannot see it, and takes its colours from the page's style."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from kolm.report.markup import element

WIDTH = 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 30
_BUCKETS = 300  # points of a curve: more than a screen has room for say nothing more
_ROW = 26


class Whisker(NamedTuple):
    """A rate between 0 and 1 with its interval."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    main: bool = False


def intervals(rows: Sequence[Whisker], *, title: str) -> Element:
    """Rates from 0 to 1 as points, their intervals as lines: one row each."""
    left, height = 210, _ROW * len(rows) + 34
    drawing = _drawing(height, title)
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = _along(share, left)
        drawing.append(_line(x, 6, x, height - 24, "grid"))
        drawing.append(_text(x, height - 8, f"{share:.0%}", "middle"))
    for number, row in enumerate(rows):
        y = _ROW * number + 20
        drawing.append(_text(left - 10, y + 4, row.name, "end"))
        if row.low is not None and row.high is not None:
            drawing.append(_line(_along(row.low, left), y, _along(row.high, left), y, "whisker"))
        drawing.append(
            element(
                "circle",
                cx=_number(_along(row.value, left)),
                cy=_number(y),
                r="5" if row.main else "4",
                class_="main" if row.main else "point",
            )
        )
    return drawing


def bars(rows: Sequence[tuple[str, float, str]], *, title: str) -> Element:
    """Shares from 0 to 1 as bars, each with its label on the left and its figure on the right."""
    left, right, height = 210, 110, _ROW * len(rows) + 8
    drawing = _drawing(height, title)
    room = WIDTH - left - right
    for number, (name, share, told) in enumerate(rows):
        y = _ROW * number + 4
        drawing.append(_text(left - 10, y + 15, name, "end"))
        drawing.append(_box(left, y + 3, room, "track"))
        drawing.append(_box(left, y + 3, room * min(max(share, 0.0), 1.0), "bar"))
        drawing.append(_text(left + room + 8, y + 15, told, "start"))
    return drawing


def curve(
    points: Sequence[tuple[int, float]], marks: Sequence[tuple[int, float]], *, title: str
) -> Element:
    """A value over steps as a line, with single measurements beside it as points.

    Args:
        points: (step, value), in order of the steps; at least one.
        marks: (step, value) of another measurement on the same scale.
        title: what it shows, in words.
    """
    height = 240
    drawing = _drawing(height, title)
    last = max(step for step, _ in (*points, *marks))
    top = _ceiling(max(value for _, value in (*points, *marks)))

    def place(step: float, value: float) -> tuple[float, float]:
        across = step / max(last, 1) * (WIDTH - _LEFT - _RIGHT)
        return _LEFT + across, height - _BOTTOM - value / top * (height - _TOP - _BOTTOM)

    for part in range(5):
        value = top * part / 4
        _, y = place(0, value)
        drawing.append(_line(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        drawing.append(_text(_LEFT - 8, y + 4, f"{value:.3g}", "end"))
    for step in sorted({0, last // 2, last}):
        drawing.append(_text(place(step, 0)[0], height - 8, str(step), "middle"))
    path = " ".join(
        f"{_number(x)},{_number(y)}" for x, y in (place(*point) for point in _thinned(points))
    )
    drawing.append(element("polyline", points=path, class_="curve"))
    for step, value in marks:
        x, y = place(step, value)
        drawing.append(element("circle", cx=_number(x), cy=_number(y), r="4", class_="main"))
    return drawing


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[float, float]]:
    """Means of neighbours, where there are more points than a screen shows."""
    size = math.ceil(len(points) / _BUCKETS)
    groups = (points[start : start + size] for start in range(0, len(points), size))
    return [
        (
            sum(step for step, _ in group) / len(group),
            sum(value for _, value in group) / len(group),
        )
        for group in groups
    ]


def _ceiling(value: float) -> float:
    """The next round number above a value, for the end of an axis."""
    if not 0 < value < math.inf:
        return 1.0
    power = math.pow(10, math.floor(math.log10(value)))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if value <= step * power)


def _drawing(height: int, title: str) -> Element:
    return element(
        "svg",
        element("title", title),
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=title,
        class_="figure",
    )


def _along(share: float, left: int) -> float:
    return left + share * (WIDTH - left - 24)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Element:
    return element(
        "line",
        x1=_number(x1),
        y1=_number(y1),
        x2=_number(x2),
        y2=_number(y2),
        class_=class_,
    )


def _box(x: float, y: float, width: float, class_: str) -> Element:
    return element(
        "rect", x=_number(x), y=_number(y), width=_number(width), height="15", class_=class_
    )


def _text(x: float, y: float, text: str, anchor: str) -> Element:
    cut = text if len(text) <= 30 else f"{text[:29]}…"
    return element("text", cut, x=_number(x), y=_number(y), text_anchor=anchor)


def _number(value: float) -> str:
    return f"{value:.1f}"
