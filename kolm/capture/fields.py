"""Capture: reading the fields of a user's row, strictly and with the nearest name in the error.

Used by every importer, so that a field means the same in each of them.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from typing import Any

from kolm.capture.drafts import Defaults, Row
from kolm.errors import Refused
from kolm.records.capture import Correction, Source, Split

SPLITS = ("train", "validation", "eval")
COMMON = ("tags", "license", "split", "rejected", "corrections", "source")


def check_keys(row: Row, known: Collection[str], *, where: str) -> None:
    """Refuse an unknown key, naming the nearest known one."""
    for key in row:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, 1)
            ignore = f"if {str(key)[:60]!r} says nothing of the pair: --ignore-key {str(key)[:60]}"
            raise Refused(
                "E_ROW_UNKNOWN_KEY",
                f"the row has an unknown key {str(key)[:60]!r}",
                where=where,
                expected="" if nearest else f"one of {', '.join(sorted(known))}",
                hint=f"did you mean {nearest[0]!r}? {ignore}" if nearest else ignore,
            )


def text(row: Row, key: str, *, where: str, coerce: bool = False) -> str:
    """A required text; with `coerce` a number counts, as JSON writes it."""
    value = row.get(key)
    if value is None:
        raise Refused("E_ROW_MISSING_KEY", f"the row has no {key!r}", where=where)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if coerce:
            return json.dumps(value)
        error = wrong(key, "a text", value, where)
        raise Refused(
            error.code, error.message, where=where, found=error.found, hint="--coerce takes numbers"
        )
    return _string(value, key, where)


def optional_text(row: Row, key: str, *, where: str) -> str | None:
    """A text, or None where it is missing or null."""
    return None if row.get(key) is None else _string(row[key], key, where)


def common(row: Row, defaults: Defaults, *, where: str) -> dict[str, Any]:
    """The fields that every format shares, as arguments of a `Draft`."""
    return {
        "license": optional_text(row, "license", where=where) or defaults.license,
        "source": _source(row, defaults, where),
        "split": _split(row, defaults, where),
        "tags": _tags(row, defaults, where),
        "rejected": optional_text(row, "rejected", where=where),
        "corrections": _corrections(row, where),
    }


def wrong(key: str, expected: str, value: Any, where: str) -> Refused:
    """The error of a field of the wrong kind."""
    return Refused(
        "E_ROW_FIELD",
        f"{key!r} is not {expected}",
        where=where,
        found=repr(value)[:60],
    )


def _string(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(key, "a text", value, where)
    return value


def _tags(row: Row, defaults: Defaults, where: str) -> tuple[str, ...]:
    value = row.get("tags")
    if value is None:
        value = []
    if not isinstance(value, list | tuple) or not all(isinstance(tag, str) for tag in value):
        raise wrong("tags", "a list of texts", value, where)
    return tuple(sorted({*value, *defaults.tags}))


def _split(row: Row, defaults: Defaults, where: str) -> Split | None:
    value = row.get("split")
    if value is None:
        return defaults.split
    for side in SPLITS:
        if value == side:
            return side  # type: ignore[return-value]  # SPLITS are the literals of Split
    other = {"test": "eval", "val": "validation", "valid": "validation", "dev": "validation"}
    known = other.get(str(value).lower())
    hint = f" (a {value} split is called {known} here)" if known else ""
    raise wrong("split", f"train, validation or eval{hint}", value, where)


def _source(row: Row, defaults: Defaults, where: str) -> Source:
    value = row.get("source")
    if value is None:
        return defaults.source
    if not isinstance(value, dict) or set(value) != {"kind", "name"}:
        raise wrong("source", 'an object {"kind", "name"}', value, where)
    return Source(
        kind=_string(value["kind"], "source.kind", where),
        name=_string(value["name"], "source.name", where),
    )


def _corrections(row: Row, where: str) -> tuple[Correction, ...] | None:
    value = row.get("corrections")
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise wrong("corrections", "a list", value, where)
    edits = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"start", "end", "replacement"}:
            raise wrong("corrections", 'a list of {"start", "end", "replacement"}', item, where)
        start, end = item["start"], item["end"]
        if type(start) is not int or type(end) is not int:
            raise wrong("corrections", "a list with whole numbers as start and end", item, where)
        replacement = _string(item["replacement"], "corrections.replacement", where)
        edits.append(Correction(start=start, end=end, replacement=replacement))
    return tuple(edits)
