"""The JSON metric: F1 of the fields of an object that a model reads off a picture.

Source: Kim et al. 2022 (arXiv:2111.15664), section 3.3, and the evaluator published with it: a
field is a path of keys with a text at its end, places in lists do not count, and a field is found
as often as both sides hold it. An answer that is no JSON has no fields and is not parsed. Numbers
and texts that are written alike are alike; ``null`` and empty texts are no fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from string import ascii_lowercase
from typing import Any, ClassVar, TypeAlias

from kolm import canonical
from kolm.errors import Refused
from kolm.metrics.metric import UNREAD, References, Score, Share, best_of

Fields: TypeAlias = "Counter[tuple[tuple[str, ...], str]]"
_FENCE = "```"


@lru_cache(maxsize=256)  # a reference is compared with four outputs
def read_fields(text: str) -> Fields | None:
    """The fields of an object or a list, also where a code fence surrounds it; None if it is none.

    Duplicate keys, more than 32 levels and numbers that no machine holds are no JSON here.
    """
    data = _inside_fence(text.strip()).encode("utf-8", "surrogatepass")
    try:
        value = canonical.loads(data, where="an answer", floats=True, integers=True)
    except Refused:
        return None
    return Counter(_fields_of(value, ())) if isinstance(value, dict | list) else None


def _inside_fence(bare: str) -> str:
    """What stands between a first line of a fence and letters, and a last one of a fence alone."""
    if not (bare.startswith(_FENCE) and bare.endswith(_FENCE)):
        return bare
    word, opened, rest = bare[len(_FENCE) : -len(_FENCE)].partition("\n")
    inside, closed, last = rest.rpartition("\n")
    fenced = opened and closed and not last.strip() and not word.strip(ascii_lowercase)
    return inside if fenced else bare


def _fields_of(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _fields_of(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from _fields_of(item, path)
    elif text := _written(value):
        yield path, text


def _written(value: object) -> str:
    """A leaf as text: 12 and "12" and 12.0 are the same."""
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return canonical.decimal(value, None)
    return str(value).strip()


@dataclass(frozen=True, slots=True)
class JsonF1:
    """2·(fields in both) / (fields of the answer + fields of the reference)."""

    kind: ClassVar[str] = "json_f1"
    least_credit: ClassVar[Fraction] = Fraction(1, 1_000_000)
    figure_names: ClassVar[tuple[str, ...]] = ("exact_records", "f1", "precision", "recall")

    def no_laxer_than(self, other: JsonF1) -> bool:
        """It has no options."""
        return True

    @best_of
    def score(self, output: str, reference: str) -> Score:
        """The F1 of one record; of two without fields it is 1."""
        answer = read_fields(output)
        if answer is None:
            return UNREAD
        return Score(value=_nearness(answer, read_fields(reference)), parsed=True)

    def shortest_right(self, reference: str) -> None:
        """Not known: one field earns something."""

    def figures(self, answered: Iterable[tuple[str | None, References]]) -> dict[str, Share]:
        """Micro-averages over the fields of all records, and the records without a fault.

        Args:
            answered: each case's answer, None where it does not count, with its references. The
                one that an answer comes nearest to counts.
        """
        records = exact = said = due = both = 0
        for output, references in answered:
            answer = (None if output is None else read_fields(output)) or Counter()
            wanted = [read_fields(reference) for reference in references]
            sought = max(wanted, key=lambda fields: _nearness(answer, fields)) or Counter()
            records, said, due = records + 1, said + answer.total(), due + sought.total()
            both += (answer & sought).total()
            exact += output is not None and answer == sought
        return {
            "exact_records": (exact, records),
            "f1": (2 * both, said + due),
            "precision": (both, said),
            "recall": (both, due),
        }


def _nearness(answer: Fields, sought: Fields | None) -> Fraction:
    """The F1 of an answer, which has no fields where it does not count, and a reference."""
    if sought is None:
        return Fraction(0)
    total = answer.total() + sought.total()
    return Fraction(2 * (answer & sought).total(), total) if total else Fraction(1)
