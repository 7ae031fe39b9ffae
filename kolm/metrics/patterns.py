"""Patterns: the regular expressions that a metric may use, matched in time linear in the text.

What matches is what Perl, Python and RE2 match: the leftmost, and of those the one that greedy or
lazy repeats and the order of alternatives prefer. The syntax is the part that these three share:
docs/format/evaluation.md. Sources: Thompson 1968 (doi:10.1145/363347.363387) for the program;
Frisch and Cardelli 2004 (doi:10.1007/978-3-540-27836-8_53, section 4) for the match: one pass from
the text's end marks from where the program can still end, one from its start follows what is
preferred among that.

Neither pass takes more than one step per instruction and character, so none can hang a verifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from kolm.metrics.pattern_syntax import (
    WORD_SET,
    Assert,
    Either,
    Kept,
    Node,
    Reader,
    Repeat,
    Row,
    Set,
)

MAX_INSTRUCTIONS: Final = 96  # of its program, which repeats {m,n} lengthen
LONGEST_TEXT: Final = 3072  # characters; in a longer one nothing is found


class Group(NamedTuple):
    """Where a match lies in a text: the group's span, or the whole one of a pattern without."""

    start: int
    end: int


@lru_cache(maxsize=16)
def compiled(pattern: str) -> Program:
    """The program of a pattern.

    Raises:
        Refused: ``E_METRIC_PATTERN``: what it uses is not among what a pattern may use.
    """
    reader = Reader(pattern)
    node = reader.alternatives(0)
    if reader.at < len(pattern):
        reader.refuse("a bracket closes that nothing opened")
    program = Program()
    program.add(_Save(0))
    program.build(node, reader)
    program.add(_Save(1))
    program.add(_Match())
    program.grouped = reader.groups > 0
    return program


class _Save(NamedTuple):
    slot: int  # 0, 1: the match; 2, 3: the group


class _Split(NamedTuple):
    first: int
    second: int


class _Jump(NamedTuple):
    to: int


class _Match(NamedTuple):
    pass


_Instruction: TypeAlias = "Set | Assert | _Save | _Split | _Jump | _Match"
_Ways: TypeAlias = "tuple[tuple[int, tuple[int, ...]], ...]"  # a place, and the slots on the way
_START, _END, _EDGE = 1, 2, 4  # what a place in a text is: its start, its end, a word's edge
_MOST_KNOWN: Final = 20_000


class Program:
    """Instructions; `find` runs them."""

    def __init__(self) -> None:
        self.grouped = False  # whether a group is taken
        self.placed = False  # whether it asks where in the text it is
        self.instructions: list[_Instruction] = []
        self._ways: dict[tuple[int, int], _Ways] = {}
        self._reach: dict[tuple[int, int], int] = {}
        self._takers: dict[str, tuple[int, ...]] = {}
        self._alive: dict[tuple[int, int, str], int] = {}

    def add(self, instruction: _Instruction) -> int:
        """Append one; gives its place."""
        self.placed |= isinstance(instruction, Assert)
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def build(self, node: Node, reader: Reader) -> None:
        """Append what a node means."""
        if len(self.instructions) > MAX_INSTRUCTIONS:
            reader.refuse(
                f"it needs more than {MAX_INSTRUCTIONS} instructions; shorten its repeats"
            )
        if isinstance(node, Set | Assert):
            self.add(node)
        elif isinstance(node, Row):
            for part in node.nodes:
                self.build(part, reader)
        elif isinstance(node, Kept):
            self.add(_Save(2))
            self.build(node.node, reader)
            self.add(_Save(3))
        elif isinstance(node, Either):
            self._either(node, reader)
        else:
            self._repeat(node, reader)

    def _either(self, node: Either, reader: Reader) -> None:
        ends = []
        for part in node.nodes[:-1]:
            split = self.add(_Jump(0))
            self.build(part, reader)
            ends.append(self.add(_Jump(0)))
            self.instructions[split] = _Split(split + 1, len(self.instructions))
        self.build(node.nodes[-1], reader)
        for end in ends:
            self.instructions[end] = _Jump(len(self.instructions))

    def _repeat(self, node: Repeat, reader: Reader) -> None:
        for _ in range(node.least):
            self.build(node.node, reader)
        splits = []
        for _ in range(1 if node.most is None else node.most - node.least):
            splits.append(self.add(_Jump(0)))
            self.build(node.node, reader)
        if node.most is None:
            self.add(_Jump(splits[0]))
        for split in splits:
            ways = split + 1, len(self.instructions)
            self.instructions[split] = _Split(*(reversed(ways) if node.lazy else ways))

    def find(self, text: str) -> Group | None:
        """The first match in a text, or the group in it; None without a match or a group there."""
        if len(text) > LONGEST_TEXT:
            return None
        places = range(len(text) + 1)
        kinds = [_kind(text, at) if self.placed else 0 for at in places]
        alive, start = self._survey(text, kinds)
        if start is None:
            return None
        slots = [-1] * 4
        place, at = 0, start
        while place < len(self.instructions):  # the last one is the match
            ways = self._ways_from(place, kinds[at])
            place, saved = next(way for way in ways if alive[at] >> way[0] & 1)
            for slot in saved:
                slots[slot] = at
            place, at = place + 1, at + 1
        first, last = slots[2:] if self.grouped else slots[:2]
        return Group(first, last) if last >= 0 else None

    def _survey(self, text: str, kinds: Sequence[int]) -> tuple[list[int], int | None]:
        """At each place of the text, from where in the program it can end; and the first start.

        A bit is set for an instruction that takes the character there and leads on to the end.
        """
        end = 1 << len(self.instructions) - 1  # the last instruction is the match
        alive, start = [end] * (len(text) + 1), None
        for at in range(len(text), -1, -1):
            if at < len(text):
                alive[at] |= self._before(alive[at + 1], kinds[at + 1], text[at])
            if self._reached(0, kinds[at]) & alive[at]:
                start = at
        return alive, start

    def _before(self, after: int, kind: int, character: str) -> int:
        """The instructions that take a character and lead to one that is alive after it."""
        key = (after, kind, character)
        known = self._alive.get(key)
        if known is None:
            if len(self._alive) == _MOST_KNOWN:
                self._alive.clear()
            known = 0
            for place in self._that_take(character):
                if self._reached(place + 1, kind) & after:
                    known |= 1 << place
            self._alive[key] = known
        return known

    def _that_take(self, character: str) -> tuple[int, ...]:
        places = self._takers.get(character)
        if places is None:
            if len(self._takers) == _MOST_KNOWN:
                self._takers.clear()
            numbered = enumerate(self.instructions)
            takes = [n for n, one in numbered if isinstance(one, Set) and one.holds(character)]
            places = self._takers[character] = tuple(takes)
        return places

    def _reached(self, place: int, kind: int) -> int:
        """The bits of what `_ways_from` gives."""
        key = (place, kind)
        bits = self._reach.get(key)
        if bits is None:
            bits = self._reach[key] = sum(1 << way for way, _ in self._ways_from(place, kind))
        return bits

    def _ways_from(self, place: int, kind: int) -> _Ways:
        """What can be reached without a character, in the order of preference."""
        ways = self._ways.get((place, kind))
        if ways is None:
            ways = self._ways[place, kind] = tuple(self._walk(place, kind))
        return ways

    def _walk(self, place: int, kind: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        waiting: list[tuple[int, tuple[int, ...]]] = [(place, ())]
        marked: set[int] = set()
        while waiting:
            place, saved = waiting.pop()
            if place in marked:
                continue
            marked.add(place)
            one = self.instructions[place]
            if isinstance(one, Set | _Match):
                yield place, saved
            elif isinstance(one, _Split):
                waiting += ((one.second, saved), (one.first, saved))
            elif isinstance(one, _Jump):
                waiting.append((one.to, saved))
            elif isinstance(one, _Save):
                waiting.append((place + 1, (*saved, one.slot)))
            elif _stands(one.kind, kind):
                waiting.append((place + 1, saved))


def _kind(text: str, at: int) -> int:
    before = at > 0 and WORD_SET.holds(text[at - 1])
    after = at < len(text) and WORD_SET.holds(text[at])
    edge = _EDGE if before is not after else 0
    return edge | (_START if at == 0 else 0) | (_END if at == len(text) else 0)


def _stands(place: str, kind: int) -> bool:
    if place == "^":
        return bool(kind & _START)
    if place == "$":
        return bool(kind & _END)
    return bool(kind & _EDGE) is (place == "b")
