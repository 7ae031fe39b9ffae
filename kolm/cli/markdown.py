"""The command line: a page of the documentation as text for a terminal."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterable, Iterator

MOST_COLUMNS = 100  # longer lines are hard to read
_WIDE = 4  # cells in a row; so many become columns of a word each where they do not fit
_TABLE = re.compile(r"(?m)^\|.*\n\|[-:| ]+\|\n(?:\|.*\n?)+")
_CELL_ENDS = re.compile(r"(?<!\\)\|")


def render(markdown: str, *, colors: bool) -> str:
    """Markdown with its tables drawn and its lines filled.

    A table of many columns that is wider than the terminal becomes a list.

    Args:
        markdown: the page.
        colors: use the terminal's styles.
    """
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Markdown, TableElement
    from rich.table import Table

    class WholeWords(TableElement):
        """A table that breaks what does not fit into a cell, and never cuts it off."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for drawn in super().__rich_console__(console, options):
                if isinstance(drawn, Table):
                    for column in drawn.columns:
                        column.overflow = "fold"
                yield drawn

    class Page(Markdown):
        elements = {**Markdown.elements, "table_open": WholeWords}  # noqa: RUF012 - Rich's own form

    columns = min(MOST_COLUMNS, shutil.get_terminal_size((MOST_COLUMNS, 24)).columns)
    text = _TABLE.sub(lambda table: _fitting(table[0], columns), markdown)
    made = io.StringIO()
    console = Console(file=made, width=columns, force_terminal=colors, no_color=not colors)
    console.print(Page(text, hyperlinks=False))
    return "\n".join(line.rstrip() for line in made.getvalue().splitlines()).strip("\n")


def _fitting(table: str, columns: int) -> str:
    rows = [_cells(line) for line in table.splitlines()]
    width = sum(max(map(len, column)) + 2 for column in zip(*rows, strict=False))
    if len(rows[0]) < _WIDE or width <= columns:
        return table
    return "\n".join(_items(rows[0], rows[2:])) + "\n"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in _CELL_ENDS.split(line.strip().removesuffix("|"))[1:]]


def _items(heading: list[str], rows: Iterable[list[str]]) -> Iterator[str]:
    """Each row as an item: its first cell, then every other that says something, by its name."""
    for first, *others in rows:
        told = [f"{name}: {cell}" for name, cell in zip(heading[1:], others, strict=False) if cell]
        yield "- " + "\\\n  ".join([f"**{first}**", *told]).replace(r"\|", "|")
