"""The compositions: the training losses of several runs as one picture, an SVG written by hand.

The same losses give the same bytes. Colours are those that most people tell apart (Okabe and Ito,
2008); what is drawn is said in words too, for whoever does not see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

WIDTH: Final = 860
HIGH: Final = 420
_LEFT, _TOP, _PLOT_WIDE, _PLOT_HIGH = 64, 56, 500, 300
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_GREY: Final = "#c8cfd6"
_MOST_NAMED: Final = 14  # lines that the legend has room for
_LABEL_CHARACTERS: Final = 40
_STEPS_OF_AN_AXIS: Final = (Decimal(1), Decimal(2), Decimal(5), Decimal(10))


_HEAD: Final = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HIGH}" width="{WIDTH}" role="img" \
aria-labelledby="t d" font-size="12" font-family="system-ui, 'Segoe UI', sans-serif">\
"""


class Curve(NamedTuple):
    """One run.

    Attributes:
        label: in words.
        points: (step, loss), by step.
        best: drawn thicker, and named first.
    """

    label: str
    points: Sequence[tuple[int, str]]
    best: bool


def draw(curves: Sequence[Curve], title: str) -> str:
    """The picture as SVG; the best curve first in the legend, and those beyond its room in grey.

    Args:
        curves: at least one, each with a point.
        title: over the picture.
    """
    ordered = sorted(curves, key=lambda curve: not curve.best)
    losses = [Decimal(loss) for curve in curves for _, loss in curve.points]
    ticks = _ticks(min(losses), max(losses))
    last = max(step for curve in curves for step, _ in curve.points)
    plot = _Plot(last, ticks[0], ticks[-1])
    parts = [
        _HEAD,
        f'  <title id="t">{escape(title)}</title>',
        f'  <desc id="d">{escape(_in_words(ordered))}</desc>',
        f'  <rect width="{WIDTH}" height="{HIGH}" rx="10" fill="#ffffff"/>',
        _text(_LEFT, 32, title, bold=True),
        *_axes(plot, ticks, last),
    ]
    # The best is drawn last, over the others.
    for number, curve in reversed(list(enumerate(ordered))):
        parts.append(_line(curve, plot, _colour(number)))
    parts += _legend(ordered)
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Plot(NamedTuple):
    """Where a step and a loss lie in the picture."""

    last: int
    low: Decimal
    high: Decimal

    def x(self, step: int) -> str:
        return _number(_LEFT + Decimal(_PLOT_WIDE * step) / self.last)

    def y(self, loss: Decimal) -> str:
        share = (loss - self.low) / (self.high - self.low)
        return _number(_TOP + _PLOT_HIGH * (1 - share))


def _ticks(low: Decimal, high: Decimal) -> list[Decimal]:
    """Round numbers from below the least to above the most, four to nine of them."""
    span = max(high - low, abs(high) / 100, Decimal("0.0001"))
    rough = span / 5
    power = Decimal(1).scaleb(rough.adjusted())
    step = next(power * part for part in _STEPS_OF_AN_AXIS if power * part >= rough)
    first = (low // step) * step
    if first > low:  # decimal division cuts towards 0
        first -= step
    ticks = [first]
    while ticks[-1] < high or len(ticks) < 2:
        ticks.append(ticks[-1] + step)
    return ticks


def _axes(plot: _Plot, ticks: Sequence[Decimal], last: int) -> Iterator[str]:
    right, bottom = _LEFT + _PLOT_WIDE, _TOP + _PLOT_HIGH
    for tick in ticks:
        y = plot.y(tick)
        yield f'  <path d="M{_LEFT} {y}H{right}" stroke="#eaeef2"/>'
        yield _text(_LEFT - 8, Decimal(y) + 4, f"{tick.normalize():f}", end=True)
    for quarter in range(5):
        step = last * quarter // 4
        yield _text(Decimal(plot.x(step)), bottom + 20, f"{step}", middle=True)
    yield f'  <path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#8c959f"/>'
    yield _text(_LEFT + _PLOT_WIDE // 2, bottom + 42, "step", middle=True)
    yield _text(_LEFT, _TOP - 8, "training loss")


def _line(curve: Curve, plot: _Plot, colour: str) -> str:
    places = " ".join(f"{plot.x(step)},{plot.y(Decimal(loss))}" for step, loss in curve.points)
    width = "2.5" if curve.best else "1.25"
    return (
        f'  <polyline fill="none" stroke="{colour}" stroke-width="{width}" '
        f'stroke-linejoin="round" points="{places}"/>'
    )


def _legend(curves: Sequence[Curve]) -> Iterator[str]:
    x = _LEFT + _PLOT_WIDE + 20
    for number, curve in enumerate(curves[:_MOST_NAMED]):
        y = _TOP + 10 + number * 20
        width = "3" if curve.best else "1.5"
        yield (f'  <path d="M{x} {y - 4}h18" stroke="{_colour(number)}" stroke-width="{width}"/>')
        yield _text(x + 26, y, _cut(curve.label), bold=curve.best)
    if len(curves) > _MOST_NAMED:
        y = _TOP + 10 + _MOST_NAMED * 20
        yield _text(x + 26, y, f"and {len(curves) - _MOST_NAMED} more")


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)] if number < _MOST_NAMED else _GREY


def _in_words(curves: Sequence[Curve]) -> str:
    return "; ".join(
        f"{curve.label}: from {curve.points[0][1]} to {curve.points[-1][1]}" for curve in curves
    )


def _cut(label: str) -> str:
    return label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"


def _text(
    x: int | Decimal,
    y: int | Decimal,
    words: str,
    *,
    bold: bool = False,
    end: bool = False,
    middle: bool = False,
) -> str:
    style = 'font-weight="600" fill="#24292f"' if bold else 'fill="#57606a"'
    anchor = ' text-anchor="end"' if end else ' text-anchor="middle"' if middle else ""
    place = f'x="{_number(x)}" y="{_number(y)}"'
    return f"  <text {place} {style}{anchor}>{escape(words)}</text>"


def _number(value: int | Decimal) -> str:
    return f"{Decimal(value):.1f}".removesuffix(".0")
