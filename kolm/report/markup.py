"""Report: elements of a page, built as a tree, so that no text can become markup.

The tree is the standard library's; its serialiser escapes every text and attribute. What it does
not know of is put right here: characters that HTML does not have, and those that turn the order of
what follows.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

Child = Element | str | None

# They reorder the text behind them for the eye alone, or let nothing be seen of what is there.
_UNSEEN = frozenset("\u061c\u200b\u200e\u200f\u2028\u2029\u2060\ufeff") | frozenset(
    map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
_KEPT = frozenset("\n\t")


def visible(text: str) -> str:
    """A text in which nothing is hidden: characters without a shape are written as U+XXXX."""
    if text.isprintable() and not _UNSEEN & set(text):
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character in _KEPT:
        return character
    hidden = character in _UNSEEN or unicodedata.category(character) in ("Cc", "Cs", "Cn", "Co")
    return f"⟨U+{ord(character):04X}⟩" if hidden else character


def element(tag: str, *children: Child | Iterable[Child], **attributes: str) -> Element:
    """An element with its children in order; texts are made visible.

    Args:
        tag: its name.
        children: elements, texts, None for nothing, or an iterable of these.
        attributes: by name; ``class_`` is ``class``, and an underscore is a hyphen.
    """
    made = Element(
        tag,
        {name.rstrip("_").replace("_", "-"): visible(value) for name, value in attributes.items()},
    )
    for child in children:
        if child is None:
            continue
        for part in [child] if isinstance(child, str | Element) else child:
            _append(made, part)
    return made


def _append(parent: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + visible(child)
    else:
        parent.text = (parent.text or "") + visible(child)


def said(text: str) -> Element:
    """A text from outside, kept apart from its surroundings whichever way it is written."""
    return element("bdi", text, class_="said")


def table(head: Iterable[Child], rows: Iterable[Iterable[Child]], *, class_: str = "") -> Element:
    """A table in a frame that scrolls by itself where a screen is narrow."""
    made = element("table", class_=class_) if class_ else element("table")
    titles = list(head)
    if titles:
        made.append(
            element("thead", element("tr", [element("th", title, scope="col") for title in titles]))
        )
    body = SubElement(made, "tbody")
    for row in rows:
        body.append(element("tr", [element("td", cell) for cell in row]))
    return element("div", made, class_="wide")


def pairs(rows: Iterable[tuple[str, Child]]) -> Element:
    """Names and what they are, in two columns."""
    return table((), ((element("span", name, class_="name"), value) for name, value in rows))


def section(title: str, *children: Child | Iterable[Child], id_: str) -> Element:
    """A part of the page under its heading."""
    return element("section", element("h2", title), *children, id_=id_)


def serialise(root: Element) -> bytes:
    """The bytes of a page."""
    written: bytes = tostring(root, encoding="utf-8", method="html")
    return b"<!DOCTYPE html>\n" + written + b"\n"
