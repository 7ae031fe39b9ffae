"""Capture: reading the fields of a user's row, strictly and with the nearest name in the error.

Used by every importer, so that a field means the same in each of them.
"""

from __future__ import annotations

import difflib
import json
import shlex
from collections.abc import Mapping, Set
from functools import lru_cache
from typing import Any

from kolm import canonical
from kolm.capture.drafts import Defaults, Row
from kolm.errors import Refused
from kolm.records.capture import Correction, Source
from kolm.records.sides import Split

# What sides are called here, and elsewhere.
SIDES: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "eval": "eval",
    "test": "eval",
}
# What data sets say of a correction and a capture has no place for: the error's code, what that is,
# under which names, and why it is refused.
_BESIDE_TEXT = (
    (
        "E_ROW_REGION",
        "names a region of the image",
        {"area", "bbox", "box", "boxes", "image_region", "mask", "polygon", "region", "regions"},
        "no objective reads regions",
    ),
    (
        "E_ROW_REWARD",
        "has a reward of its own",
        {"reward", "rewards", "score", "weight"},
        "all corrected segments count alike, gamma times (train.objective: {kind: ddpo, gamma: 5})",
    ),
)
COMMON = ("tags", "license", "split", "references", "rejected", "corrections", "source")

_COMMON = frozenset(COMMON)

_KEYS_NAMED = 5  # unknown ones in one message
_NEAR = 0.7  # of difflib's ratio; at its own 0.6 a caption is taken for conversations


def check_keys(row: Row, known: Set[str], *, where: str) -> None:
    """Refuse unknown keys, naming the nearest known ones."""
    if row.keys() <= known:
        return
    unknown = [str(key)[:60] for key in row if key not in known]
    if "chosen" in unknown:
        raise Refused(
            "E_ROW_UNKNOWN_KEY",
            "the row is a preference row of another program's",
            where=where,
            found="the key 'chosen'",
            hint="say whose it is: --format trl, llama-factory or rlhf-v; or "
            "--rename chosen=response, where chosen and rejected are texts",
        )
    shown = unknown[:_KEYS_NAMED]
    word = "an unknown key" if len(unknown) == 1 else "unknown keys"
    rest = f" and {len(unknown) - len(shown)} more" if len(unknown) > len(shown) else ""
    nearest = {key: _nearest(key, known) for key in shown}
    raise Refused(
        "E_ROW_UNKNOWN_KEY",
        f"the row has {word} {', '.join(map(repr, shown))}{rest}",
        where=where,
        expected="" if all(nearest.values()) else f"one of {', '.join(sorted(known))}",
        hint=_renaming(nearest),
    )


@lru_cache(maxsize=1024)  # rows that are alike have the same keys
def _nearest(key: str, known: Set[str]) -> str:
    """The known name that a key is like; comparing takes long, so that few names are compared."""
    spelt, letters = key.lower(), set(key.lower())
    names = {
        name: own
        for name, own, others in _spelt(known)
        if _NEAR * (len(spelt) + len(name))
        <= 2 * min(len(spelt) - len(letters - others), len(name) - len(others - letters))
    }
    near = difflib.get_close_matches(spelt, names, 1, cutoff=_NEAR)
    return names[near[0]] if near else ""


@lru_cache(maxsize=8)
def _spelt(known: Set[str]) -> list[tuple[str, str, set[str]]]:
    """Each name in small letters and as it is, and its letters."""
    return [(name.lower(), name, set(name.lower())) for name in known]


def _renaming(nearest: Mapping[str, str]) -> str:
    """What to add to the command; `nearest` maps keys to the names that they may stand for."""
    like = [f"--rename {shlex.quote(f'{key}={name}')}" for key, name in nearest.items() if name]
    meant = ", ".join(repr(name) for name in nearest.values() if name)
    ignore = " ".join(f"--ignore-key {shlex.quote(key)}" for key in nearest)
    others = [shlex.quote(f"{key}=NAME") for key, name in nearest.items() if not name]
    return "; ".join(
        [
            *([f"did you mean {meant}? {' '.join(like)}"] if like else []),
            f"what is not needed: {ignore}",
            *([f"what is kolm's by another name: --rename {others[0]}"] if others else []),
        ]
    )


def text(row: Row, key: str, *, where: str, coerce: bool | None = None) -> str:
    """A required text; with `coerce` a number, true or false counts, as JSON writes it.

    With None they never count, and no hint says that they could.
    """
    value = row.get(key)
    if value is None:
        raise Refused("E_ROW_MISSING_KEY", f"the row has no {key!r}", where=where)
    if coerce is not None and isinstance(value, int | float):  # bool is an int
        if coerce:
            return json.dumps(value)
        raise wrong(key, "a text", value, where, hint="--coerce takes numbers, true and false")
    return _string(value, key, where)


def optional_text(row: Row, key: str, *, where: str) -> str | None:
    """A text, or None where it is missing or null."""
    return None if row.get(key) is None else _string(row[key], key, where)


def common(row: Row, defaults: Defaults, *, where: str) -> dict[str, Any]:
    """The fields that every format shares, as arguments of a `Draft`."""
    stated = {
        "license": defaults.license,
        "source": defaults.source,
        "split": defaults.split,
        "tags": tuple(sorted(set(defaults.tags))),
    }
    if _COMMON.isdisjoint(row):
        return stated
    return {
        "license": optional_text(row, "license", where=where) or defaults.license,
        "source": _source(row, defaults, where),
        "split": _split(row, defaults, where),
        "tags": _tags(row, defaults, where),
        "references": _references(row, defaults, where),
        "rejected": optional_text(row, "rejected", where=where),
        "corrections": _corrections(row, where),
    }


def _demand_text_alone(item: object, where: str) -> None:
    """Refuse a correction that says more than what stands where: a capture has no place for it."""
    for code, says, names, why in _BESIDE_TEXT:
        named = sorted(names & set(item)) if isinstance(item, dict) else []
        if named:
            raise Refused(
                code,
                f"a correction {says} ({named[0]!r}), and captures hold none",
                where=where,
                found=repr(item)[:60],
                hint=f"{why}; write the corrections with start, end and replacement alone",
            )


def wrong(key: str, expected: str, value: object, where: str, *, hint: str = "") -> Refused:
    """The error of a field of the wrong kind."""
    return Refused(
        "E_ROW_FIELD",
        f"{key!r} is not {expected}",
        where=where,
        found=repr(value)[:60],
        hint=hint,
    )


def _string(value: object, key: str, where: str) -> str:
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


def _references(row: Row, defaults: Defaults, where: str) -> tuple[str, ...] | None:
    """Further answers, in the one order that a capture holds them in; None where there are none."""
    value = row.get("references")
    if value is None or value == "":
        return None
    if isinstance(value, str):  # a table's cell: a list as JSON writes it, or the one text
        value = _listed(value) if value.startswith("[") else [value]
    if not isinstance(value, list | tuple):
        raise wrong("references", "a list of texts", value, where)
    told = [json.dumps(v) if defaults.coerce and isinstance(v, int | float) else v for v in value]
    return tuple(sorted(_string(item, "references", where) for item in told)) or None


def _listed(cell: str) -> object:
    try:
        return canonical.loads(cell.encode("utf-8", "replace"), where="a cell", floats=True)
    except Refused:
        return cell


def _split(row: Row, defaults: Defaults, where: str) -> Split | None:
    value = row.get("split")
    if value is None:
        return defaults.split
    side = SIDES.get(str(value).lower())
    if side is None:
        raise wrong("split", f"one of {', '.join(SIDES)}", value, where)
    return side


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
    if isinstance(value, str) and value:  # a table's cell
        value = canonical.loads(value.encode("utf-8", "replace"), where=where, floats=True)
    if value is None:
        return None
    if not isinstance(value, list | tuple):
        raise wrong("corrections", "a list", value, where)
    edits = []
    for item in value:
        _demand_text_alone(item, where)
        if not isinstance(item, dict) or set(item) != {"start", "end", "replacement"}:
            raise wrong("corrections", 'a list of {"start", "end", "replacement"}', item, where)
        start, end = item["start"], item["end"]
        if type(start) is not int or type(end) is not int:
            raise wrong("corrections", "a list with whole numbers as start and end", item, where)
        replacement = _string(item["replacement"], "corrections.replacement", where)
        edits.append(Correction(start=start, end=end, replacement=replacement))
    return tuple(edits)
