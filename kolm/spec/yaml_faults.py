"""Spec: what is wrong with a text that is no YAML, in words about its lines.

A parser tells which token it missed. Whoever wrote the file wants to know which line does not fit
the lines above it, and what would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kolm.counting import counted


class Fault(NamedTuple):
    """What is wrong, in which line (from 1), and what to do; no hint where nothing is known."""

    message: str
    line: int
    hint: str = ""


class _Told(NamedTuple):
    """What the parser told.

    Attributes:
        problem: its words.
        match: of the words that are known.
        lines: of the file.
        line: where it stopped, from 0.
        column: where in the line.
        began: the line in which began what it was reading, from 0.
    """

    problem: str
    match: re.Match[str]
    lines: Sequence[str]
    line: int
    column: int
    began: int


def explain(problem: str, text: str, *, line: int, column: int, began: int) -> Fault:
    """The parser's words in words about lines; those that nobody knows stay as they are.

    Args:
        problem: the parser's words.
        text: of the file.
        line: where it stopped, from 0.
        column: where in the line, from 0.
        began: the line in which began what it was reading, from 0.
    """
    lines = text.splitlines() or [""]
    for pattern, words in _KNOWN:
        if (match := re.match(pattern, problem)) and line < len(lines) + 1:
            told = _Told(problem, match, [*lines, ""], line, column, began)
            if fault := words(told):
                return fault
    return Fault(f"not YAML: {problem}", line + 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _open_indents(lines: Sequence[str]) -> list[int]:
    """The indents at which a line after these may go on."""
    indents: list[int] = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        own = _indent(line)
        indents = [indent for indent in indents if indent < own] + [own]
        if re.match(r"- .*:(\s|$)", line[own:]):  # its keys stand below the first of them
            indents.append(own + len(line[own:]) - len(line[own + 1 :].lstrip()))
    return indents


def _indented(told: _Told) -> Fault | None:
    """A line that is deeper than the block it should go on, or between two."""
    line = told.lines[told.line]
    fitting = _open_indents(told.lines[: told.line])
    if _indent(line) in fitting or not fitting:
        return None
    spaces, wanted = counted(_indent(line), "space"), " or ".join(map(str, fitting))
    return Fault(
        f"the indent of line {told.line + 1} does not fit the lines above",
        told.line + 1,
        f"the line begins with {spaces}; after the lines above it may be {wanted}",
    )


def _misplaced(told: _Told) -> Fault | None:
    line = told.lines[told.line]
    if told.column > _indent(line):
        return Fault(
            f"something follows the value that line {told.line + 1} holds already",
            told.line + 1,
            "put quotes around the whole value, or take away what follows it",
        )
    if fault := _indented(told):
        return fault
    return Fault(
        f"line {told.line + 1} mixes list items (- …) and keys in one block",
        told.line + 1,
        "a block is either keys or list items; indent what belongs to the key above",
    )


def _second_colon(told: _Told) -> Fault | None:
    line = told.lines[told.line]
    if re.search(r":\s", line[: told.column]):
        return Fault(
            f'line {told.line + 1} has a second ":" in its value',
            told.line + 1,
            "put quotes around the value, or begin a new line for what is below the key",
        )
    return _indented(told) or _no_colon(told._replace(began=max(told.line - 1, 0)))


def _no_colon(told: _Told) -> Fault:
    return Fault(
        f'line {told.began + 1} has no ":" after its key',
        told.began + 1,
        "write key: value, with a space after the colon",
    )


def _cannot_begin(told: _Told) -> Fault:
    sign = told.match["sign"]
    if sign == r"\t":
        return Fault(
            f"line {told.line + 1} has a tab where its indent is", told.line + 1, "use spaces"
        )
    return Fault(
        f"a value cannot begin with {sign} unless it is in quotes",
        told.line + 1,
        "put quotes around the value",
    )


def _not_closed(told: _Told) -> Fault:
    opening = {"}": "{", "]": "["}[told.match["sign"]]
    return Fault(
        f"the {opening} of line {told.began + 1} is not closed, or a comma is missing in it",
        told.line + 1,
        f"close it with {told.match['sign']}, or write one key or item in a line instead",
    )


def _quotes(told: _Told) -> Fault:
    return Fault(
        f"the quotes that line {told.began + 1} opens are never closed",
        told.began + 1,
        "close them in the same line",
    )


def _escape(told: _Told) -> Fault:
    return Fault(
        f"in double quotes a backslash before {told.match['sign']} means nothing",
        told.line + 1,
        "put single quotes around the value, in which a backslash is one",
    )


_KNOWN: tuple[tuple[str, Callable[[_Told], Fault | None]], ...] = (
    (r"expected (<block end>|'<document start>')", _misplaced),
    (r"mapping values are not allowed", _second_colon),
    (r"could not find expected ':'", _no_colon),
    (r"found character '(?P<sign>.+)' that cannot start", _cannot_begin),
    (r"expected ',' or '(?P<sign>[\]}])'", _not_closed),
    (r"found unexpected end of stream", _quotes),
    (r"found unknown escape character '(?P<sign>.)'", _escape),
)
