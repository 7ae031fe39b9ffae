"""The command line: a line for people that is wider than its place, in several."""

from __future__ import annotations

import re

import click

# The label or labels that a line begins with, up to the last gap that ends in its first columns.
_LABELS = re.compile(r"(?:.{0,28}  (?=[^ ])| *)")
# Words, with the spaces before each. A command is one: after a colon to the end of the line, else
# as far as its form shows, so that it can be copied as it stands.
_WORDS = re.compile(
    r" *(?:(?<=: )kolm .+"
    r"|kolm(?: [a-z-]+){1,3}(?: (?:--[^ ]+(?: [^- ][^ ]*)?|[A-Z'\"][^ ]*|[^ ]*[/.=][^ ]*))*[^ ]*"
    r"|[^ ]+)"
)


def folded(line: str, width: int) -> list[str]:
    """The line broken between words; what follows begins below the text of the first line.

    A word, a digest and a ``kolm`` command stay whole: what is too long for its column begins
    further left, and what is longer than `width` goes beyond it.

    Args:
        line: one line, which may hold colours.
        width: columns that each line may have.
    """
    plain = click.unstyle(line)
    labels = _LABELS.match(plain)
    if len(plain) <= width or labels is None:
        return [line]
    indent = min(labels.end(), width // 2)
    lines = [""]
    for piece in _WORDS.findall(line):
        word = click.unstyle(piece).lstrip()
        so_far = click.unstyle(lines[-1])
        full = len(so_far) + len(click.unstyle(piece)) > width
        if so_far.strip() and full and (len(so_far) > indent or len(word) <= width):
            lines.append(" " * max(0, min(indent, width - len(word))) + piece.lstrip())
        else:
            lines[-1] += piece
    return lines
