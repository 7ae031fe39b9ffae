"""The floor: a schema as one document, for whoever reads what it says; checks need none of it."""

from __future__ import annotations

from functools import cache
from typing import Any

from kolm import canonical
from kolm.schema import Schema, as_written, at, parts_of


@cache
def load(name: str) -> Schema:
    """The schema of a document, for example ``load("receipt")`` or ``load("cli/verify")``.

    What it takes from the schemas of others stands in its place, so that it is whole by itself.
    """
    whole: Schema = _whole(as_written(name), None)
    return whole


_OF_THE_FILE = ("$schema", "$id", "$defs", "title")


def _whole(part: Any, root: Schema | None) -> Any:
    """A copy with references replaced by what they name: those to others, and theirs within `root`.

    Args:
        part: of a schema.
        root: the other schema that `part` is of; None for the one that is being loaded.
    """
    if isinstance(part, list):
        return [_whole(item, root) for item in part]
    if not isinstance(part, dict):
        return part
    own = {key: _whole(item, root) for key, item in part.items() if key != "$ref"}
    if "$ref" not in part:
        return own
    name, pointer = parts_of(part["$ref"])
    if not name and root is None:
        return {"$ref": part["$ref"], **own}
    target = load(name) if name else root
    named = dict(at(target, pointer))
    if not pointer:
        named = {key: item for key, item in named.items() if key not in _OF_THE_FILE}
    return {**_whole(named, target), **own}


def defaults(part: Schema) -> dict[str, Any]:
    """The defaults that a schema states for the keys of an object, fractions as decimal strings."""
    stated = {key: sub for key, sub in part["properties"].items() if "default" in sub}
    return {
        key: canonical.decimal(sub["default"], None)
        if sub.get("type") == "number"
        else sub["default"]
        for key, sub in stated.items()
    }
