"""Dossier: documents that are lists of points, in Markdown: what each asks, and what is stated.

A text from outside is escaped, so that it shows itself and does nothing else. A point that nobody
answered says so, and what to add to the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kolm.dossier.fields import Dossier, Field
from kolm.format.card import escape

_MOST_CHARACTERS = 6000  # longer than anything that a spec can declare


class Point(NamedTuple):
    """One thing that a document asks for; `note` is what is true of it beside the fields."""

    number: str
    asks: str
    note: str = ""


class Form(NamedTuple):
    """A document: `key` is its name in the table's places."""

    key: str
    title: str
    opening: str
    parts: tuple[tuple[str, tuple[Point, ...]], ...]


def render(form: Form, dossier: Dossier) -> bytes:
    """The document as Markdown. The same dossier gives the same bytes."""
    lines = [
        f"# {form.title}",
        form.opening,
        opening(dossier),
        *(_part(form, title, points, dossier) for title, points in form.parts),
    ]
    return ("\n\n".join(lines) + "\n").encode("utf-8")


def opening(dossier: Dossier) -> str:
    """Of which file a document speaks, and how its words are known."""
    return (
        f"Of {shown(dossier.text('name'))}, content id `{dossier.text('content_id')}`, compiled "
        f"{dossier.made_on}.\n\n"
        "*recomputed*: an audit computed it again from the bytes of the file. *signed "
        "measurement*: the named holder of a trusted key signed it. *declared*: the publisher says "
        f"so. {dossier.share[0].upper()}{dossier.share[1:]}."
    )


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table whose cells are Markdown already."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def shown(text: str) -> str:
    """A text from outside in one line."""
    return escape(" ".join(text.split()), _MOST_CHARACTERS)


def unanswered(form: Form, dossier: Dossier) -> list[Point]:
    """The points that nothing answers."""
    return [
        point
        for _, points in form.parts
        for point in points
        if not point.note and not any(dossier.at(form.key, point.number))
    ]


def to_state(field: Field) -> str:
    """What to do where a field is not stated."""
    if field.declare:
        return f"write `dossier.{field.id}` into the spec. {field.declare}"
    return "no part of a bundle states it"


def _part(form: Form, title: str, points: Iterable[Point], dossier: Dossier) -> str:
    rows = (row for point in points for row in _once(_rows(form, point, dossier)))
    return f"## {title}\n\n" + table(("point", "asks", "stated", "known"), rows)


def _once(rows: Iterable[tuple[str, str, str, str]]) -> Iterator[tuple[str, str, str, str]]:
    """The rows of one point, which is named in the first alone."""
    for number, (point, asks, stated, known) in enumerate(rows):
        yield (point, asks, stated, known) if number == 0 else ("", "", stated, known)


def _rows(form: Form, point: Point, dossier: Dossier) -> Iterator[tuple[str, str, str, str]]:
    named = (point.number, point.asks)
    if point.note:
        yield *named, point.note, "of this document"
    for stated in dossier.at(form.key, point.number):
        text = f"{stated.field.title}: {shown(stated.text)}"
        yield *named, text, shown(stated.known)
    for field in dossier.missing_at(form.key, point.number):
        if field.declare or not any(dossier.at(form.key, point.number)):
            yield *named, f"{field.title}: **not stated**", to_state(field)
