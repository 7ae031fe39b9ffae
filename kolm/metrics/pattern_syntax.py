"""Pattern syntax: what a regular expression of a metric is read as.

The part of the syntax that Perl, Python and RE2 share, as docs/format/evaluation.md lists it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from kolm.errors import Refused

MAX_CHARACTERS: Final = 200  # of a pattern
MAX_REPEATS: Final = 32
MAX_DEPTH: Final = 8  # of groups in one another


class Set(NamedTuple):
    """One character of some, or of all others."""

    ranges: tuple[tuple[str, str], ...]
    others: bool = False

    def holds(self, character: str) -> bool:
        """Whether a character is one of them."""
        return any(low <= character <= high for low, high in self.ranges) is not self.others


class Assert(NamedTuple):
    """A place: the text's start or end, or where a word begins or ends, or neither."""

    kind: str  # ^ $ b B


class Repeat(NamedTuple):
    """Something several times; without `most` as often as it goes."""

    node: Node
    least: int
    most: int | None
    lazy: bool


class Row(NamedTuple):
    """One after the other."""

    nodes: tuple[Node, ...]


class Either(NamedTuple):
    """One of several, the first preferred."""

    nodes: tuple[Node, ...]


class Kept(NamedTuple):
    """The one group whose text is taken."""

    node: Node


Node: TypeAlias = "Set | Assert | Repeat | Row | Either | Kept"

_DIGIT, _SPACE = (("0", "9"),), ((" ", " "), ("\t", "\r"))
_WORD = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_CLASSES: Final = {"d": _DIGIT, "s": _SPACE, "w": _WORD}
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
WORD_SET: Final = Set(_WORD)


class Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at, self.groups = pattern, 0, 0
        if len(pattern) > MAX_CHARACTERS:
            self.refuse(f"it has more than {MAX_CHARACTERS} characters")

    def refuse(self, why: str) -> None:
        """Say what cannot be used, and where it stands."""
        raise Refused(
            "E_METRIC_PATTERN",
            f"the pattern of the metric cannot be used: {why}",
            where=f"character {self.at + 1} of the pattern",
            found=self.pattern[:MAX_CHARACTERS],
            hint="kolm help format/evaluation says what a pattern may hold",
        )

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.pattern[self.at : self.at + 1]

    def take(self) -> str:
        """The next character, which has to be there."""
        character = self.peek()
        if not character:
            self.refuse("it ends too early")
        self.at += 1
        return character

    def skip(self, text: str) -> bool:
        """Pass over a text where it stands next; says whether it did."""
        found = self.pattern.startswith(text, self.at)
        self.at += len(text) if found else 0
        return found

    def alternatives(self, depth: int) -> Node:
        """What stands up to the end, or up to the bracket that closes the group."""
        if depth > MAX_DEPTH:
            self.refuse(f"groups lie more than {MAX_DEPTH} deep in one another")
        rows = [self._row(depth)]
        while self.skip("|"):
            rows.append(self._row(depth))
        return rows[0] if len(rows) == 1 else Either(tuple(rows))

    def _row(self, depth: int) -> Node:
        nodes: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            nodes.append(self._repeated(self._atom(depth)))
        return Row(tuple(nodes))

    def _atom(self, depth: int) -> Node:
        character = self.take()
        if character in "*+?{}":
            self.refuse(f"{character} repeats nothing; a sign itself is written \\{character}")
        if character in "^$":
            return Assert(character)
        if character == ".":
            return Set((("\n", "\n"),), others=True)
        if character == "[":
            return self._set()
        if character == "\\":
            return self._escaped()
        if character == "(":
            return self._group(depth)
        return Set(((character, character),))

    def _group(self, depth: int) -> Node:
        kept = not self.skip("?:")
        if kept and self.peek() == "?":
            self.refuse("of groups with ? only (?:…) may be used")
        self.groups += kept
        if self.groups > 1:
            self.refuse("one group is taken; others are written (?:…)")
        node = self.alternatives(depth + 1)
        if not self.skip(")"):
            self.refuse("a group is not closed")
        return Kept(node) if kept else node

    def _escaped(self) -> Node:
        character = self.take()
        if character in "bB":
            return Assert(character)
        lower = character.lower()
        if lower in _CLASSES:
            return Set(_CLASSES[lower], others=character != lower)
        literal = self._literal(character)
        return Set(((literal, literal),))

    def _literal(self, character: str) -> str:
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character.isalnum():
            self.refuse(f"\\{character} is not among what may be used")
        return character

    def _set(self) -> Node:
        others, ranges, first = self.skip("^"), list[tuple[str, str]](), True
        while first or self.peek() != "]":
            first = False
            low = self._member()
            if isinstance(low, tuple):
                ranges += low
                continue
            high: str | tuple[tuple[str, str], ...] = low
            if self.peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("", "]"):
                self.take()
                high = self._member()
            if isinstance(high, tuple) or high < low:
                self.refuse("a range in [] runs backwards or ends in a class")
            else:
                ranges.append((low, high))
        self.take()
        return Set(tuple(ranges), others)

    def _member(self) -> str | tuple[tuple[str, str], ...]:
        character = self.take()
        if character == "[":
            self.refuse("a [ inside of [] is written \\[")
        if character != "\\":
            return character
        escaped = self.take()
        return _CLASSES[escaped] if escaped in _CLASSES else self._literal(escaped)

    def _repeated(self, node: Node) -> Node:
        sign = self.peek()
        if not sign or sign not in "*+?{":
            return node
        self.take()
        least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign) or self._counted()
        if isinstance(node, Assert):
            self.refuse("a place is not repeated")
        if (most is None or most > 1) and _may_be_empty(node):
            self.refuse("what may be empty is not repeated")
        if isinstance(node, Kept) and (least, most) != (0, 1):
            self.refuse("the group that is taken is not repeated: put the repeat inside")
        lazy = self.skip("?")
        if self.peek() and self.peek() in "*+?{":
            self.refuse("a repeat is not repeated; put it into (?:…)")
        return Repeat(node, least, most, lazy)

    def _counted(self) -> tuple[int, int | None]:
        least = self._count()
        most: int | None = least
        if self.skip(","):
            most = None if self.peek() == "}" else self._count()
        if not self.skip("}"):
            self.refuse("a repeat is written {m}, {m,} or {m,n}")
        if max(least, most or 0) > MAX_REPEATS or (most is not None and not least <= most > 0):
            self.refuse(f"a repeat is at most {MAX_REPEATS} times, and its numbers rise")
        return least, most

    def _count(self) -> int:
        digits = ""
        while self.peek() in tuple("0123456789") and len(digits) < 4:
            digits += self.take()
        if not digits:
            self.refuse("a repeat is written {m}, {m,} or {m,n}")
        return int(digits)


def _may_be_empty(node: Node) -> bool:
    if isinstance(node, Set):
        return False
    if isinstance(node, Assert):
        return True
    if isinstance(node, Repeat):
        return node.least == 0 or _may_be_empty(node.node)
    if isinstance(node, Kept):
        return _may_be_empty(node.node)
    parts = map(_may_be_empty, node.nodes)
    return all(parts) if isinstance(node, Row) else any(parts)
