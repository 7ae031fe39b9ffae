"""Capture: what the capture's schema says of somebody's row, in words about that row.

A schema speaks of items and patterns. Whoever wrote a row wants to know which of its fields it is,
what may stand there, and what does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kolm.errors import Refused

if TYPE_CHECKING:
    from kolm.records.documents import Capture

# What each field of a row may be; a test holds the figures equal to the schema's.
WANTED = {
    "corrections": "a list of 1 to 256 edits with start, end and replacement",
    "license": "an SPDX id: up to 64 letters, digits, dots, plus signs and hyphens",
    "messages": "a list of up to 256 turns, none of them empty",
    "references": "a list of 1 to 63 answers, none of them empty",
    "rejected": "a text that says something",
    "source": "a kind of up to 32 small letters, digits and hyphens, and a name of up to 128 "
    "characters without slashes",
    "tags": "a list of up to 32 texts, each of 1 to 64 characters without line breaks or tabs",
}


def of_row(document: Capture, pointer: str, message: str, *, where: str) -> Refused:
    """The error of a row whose capture does not fit the schema.

    Args:
        document: the capture.
        pointer: the JSON pointer of the problem.
        message: the schema's words, for a field that nobody writes by hand.
        where: of the row.
    """
    field, *steps = pointer.removeprefix("/").split("/")
    if field not in WANTED:
        return Refused("E_SCHEMA", f"does not fit schema capture: {message}", where=where)
    value: Any = document
    for step in (field, *steps):
        value = value[int(step)] if isinstance(value, list) else value[step]
    found = f"{len(value):,} of them" if isinstance(value, list) else repr(value)[:60]
    return Refused("E_ROW_FIELD", f"{field!r} is not {WANTED[field]}", where=where, found=found)
