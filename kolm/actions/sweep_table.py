"""The compositions: the table of a sweep: one row a point, the best of them, and its forms as text.

The best has the highest mean score; among equals the one with the fewest trained numbers, then the
first. Every other point is held against it on the same cases (`kolm.score.paired`), so that a table
says which differences the validation side can tell at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from kolm.actions.sweep_results import PointResult
from kolm.counting import counted
from kolm.score.paired import compare

TOLD_APART = Decimal("0.05")  # a p below it: this point is worse than the best one


class TableRow(NamedTuple):
    """A point's line.

    Attributes:
        result: of the point.
        p: of the paired test against the best; empty for the best and for a failure.
    """

    result: PointResult
    p: str

    @property
    def as_good(self) -> bool:
        """Whether the cases do not tell it from the best."""
        return not self.result.failure and (not self.p or Decimal(self.p) >= TOLD_APART)


class Ranked(NamedTuple):
    """A sweep's table.

    Attributes:
        rows: in the order of the grid.
        best: the number of the chosen point.
    """

    rows: tuple[TableRow, ...]
    best: int

    @property
    def cases(self) -> int:
        """How many captures the points were judged on."""
        return len(self.best_result.scores.millionths)

    @property
    def best_result(self) -> PointResult:
        """The chosen point's."""
        return self.rows[self.best - 1].result

    def note(self) -> str:
        """What a reader of the table should know of the best score."""
        others = [str(row.result.number) for row in self.rows if row.as_good and row.p]
        alike = ""
        if others:
            these = "point" if len(others) == 1 else "points"
            alike = f" Not told apart from it at p < {TOLD_APART}: {these} {', '.join(others)}."
        return (
            f"Point {self.best} is the best of {len(self.rows)} on "
            f"{counted(self.cases, 'validation case')}.{alike} The best of several scores is an "
            "overestimate; its compile judges it on the eval side, which no point has seen."
        )


def rank(results: Sequence[PointResult]) -> Ranked | None:
    """The table of results in the order of their numbers; None where every point failed."""
    scored = [result for result in results if not result.failure]
    if not scored:
        return None
    best = min(
        scored, key=lambda one: (-sum(one.scores.millionths), one.trained_numbers, one.number)
    )
    return Ranked(tuple(TableRow(one, _p(best, one)) for one in results), best.number)


def _p(best: PointResult, other: PointResult) -> str:
    if other.failure or other.number == best.number:
        return ""
    first, second = list(best.scores.millionths), list(other.scores.millionths)
    return compare(first, second, binary=True)["p"]


COLUMNS = ("point", "accuracy", "low", "high", "p", "loss", "steps", "trained_numbers")


def cells(row: TableRow) -> dict[str, str]:
    """What a row says, by `COLUMNS` and then the settings of its point."""
    result = row.result
    if result.failure:
        return {"point": str(result.number), "accuracy": result.failure, **dict(result.settings)}
    summary = result.scores.summary()
    interval = summary["interval"]
    return {
        "point": str(result.number),
        "accuracy": summary["accuracy"],
        "low": interval["low"],
        "high": interval["high"],
        "p": row.p or "best",
        "loss": result.loss,
        "steps": str(result.steps),
        "trained_numbers": str(result.trained_numbers),
        **dict(result.settings),
    }


def keys_of(table: Ranked) -> list[str]:
    """Every key that a point sets, in the order of the grid."""
    return list(dict.fromkeys(key for row in table.rows for key, _ in row.result.settings))


def as_csv(table: Ranked) -> str:
    """The table as comma-separated values (RFC 4180)."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*COLUMNS, *keys_of(table)], restval="")
    writer.writeheader()
    writer.writerows(map(cells, table.rows))
    return stream.getvalue()


def as_markdown(table: Ranked, title: str) -> str:
    """The table as Markdown, the best row in bold."""
    rows = [*_lines(table)]
    head = rows[0]
    ruler = ["---"] * len(head)
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    lines.insert(1, f"|{'|'.join(ruler)}|")
    figure = "![training loss](loss.svg)"
    return "\n".join([f"# {title}", "", *lines, "", table.note(), "", figure, ""])


def as_text(table: Ranked) -> list[str]:
    """The table in columns for a terminal."""
    rows = [*_lines(table, bold="*")]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _lines(table: Ranked, bold: str = "**") -> Iterator[list[str]]:
    keys = keys_of(table)
    shown = ["point", *(key.rpartition(".")[2] for key in keys)]
    yield [*shown, "accuracy", "95 %", "p", "loss", "steps run", "trained"]
    for row in table.rows:
        said = cells(row)
        own = [said.get(key, "") for key in keys]
        mark = bold if row.result.number == table.best else ""
        end = mark if bold == "**" else ""
        first = f"{mark}{said['point']}{end}"
        if row.result.failure:
            yield [first, *own, row.result.failure, "", "", "", "", ""]
            continue
        span = f"{_short(said['low'])} to {_short(said['high'])}"
        p = said["p"] if row.p else ""
        yield [
            first, *own, _short(said["accuracy"]), span, _short(p) if p else "best",
            _short(said["loss"]), said["steps"], f"{row.result.trained_numbers:,}",
        ]  # fmt: skip


def _short(number: str) -> str:
    """A fraction with four places."""
    return f"{Decimal(number):.4f}"
