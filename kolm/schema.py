"""The floor: JSON Schemas (Draft 2020-12) of kolm's documents, compiled to plain checkers.

`schemas/` is the source of truth. The verifier reads some 70,000 rows, and importing a general
validator costs more than all of them, so the subset of the language that our schemas use is
compiled to closures here; property tests hold the verdicts equal to those of `jsonschema`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from kolm import canonical
from kolm.errors import Refused

D_co = TypeVar("D_co", covariant=True)


class DocumentKind(str, Generic[D_co]):
    """The name of a schema, which for the type checker carries the type of what fits it."""

    __slots__ = ()


# A problem is (JSON pointer, what is wrong), or None when the value is fine.
Problem = tuple[str, str] | None
Schema = dict[str, Any]  # a document of the language that describes documents
Checker = Callable[[object], Problem]
_Test = Callable[[float, float], bool]
_Known = dict[str, list[Checker]]

_ANNOTATIONS = {
    "$schema",
    "$id",
    "$defs",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
}


def folder() -> Path:
    """The folder of the schemas: inside the installed package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "_schemas"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "schemas"


@cache
def load(name: str) -> Schema:
    """The schema of a document, for example ``load("receipt")`` or ``load("cli/verify")``.

    What it takes from the schemas of others stands in its place, so that it is whole by itself.
    """
    path = folder() / f"{name}.schema.json"
    data = path.read_bytes()
    value: Schema = canonical.loads(data, where=str(path.name), floats=True)
    whole: Schema = _whole(value, None) if _ELSEWHERE.encode() in data else value
    return whole


_ELSEWHERE = '"$ref": "urn:kolm:schema:'
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
    name, _, pointer = str(part.get("$ref", "")).partition("#")
    if "$ref" not in part:
        return own
    if not name and root is None:
        return {"$ref": part["$ref"], **own}
    target = load(name.split(":")[-2]) if name else root
    named = dict(_at(target, pointer))
    if not pointer:
        named = {key: item for key, item in named.items() if key not in _OF_THE_FILE}
    return {**_whole(named, target), **own}


def _at(document: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        document = document[step]
    return document


def defaults(part: Schema) -> dict[str, Any]:
    """The defaults that a schema states for the keys of an object, fractions as decimal strings."""
    stated = {key: sub for key, sub in part["properties"].items() if "default" in sub}
    return {
        key: canonical.decimal(sub["default"], None)
        if sub.get("type") == "number"
        else sub["default"]
        for key, sub in stated.items()
    }


@cache
def checker(name: str) -> Checker:
    """The compiled checker of a schema: gives the first problem of a value, or None."""
    document = load(name)
    return _compile(document, document, {})


def check(name: DocumentKind[D_co], value: object, *, where: str) -> D_co:
    """The value as what it then is known to be: a document that fits its schema.

    Raises:
        Refused: ``E_SCHEMA`` with the JSON pointer of the first problem.
    """
    problem = checker(name)(value)
    if problem is not None:
        pointer, message = problem
        place = f"{where}#{pointer}" if pointer else where
        raise Refused("E_SCHEMA", f"does not fit schema {name}: {message}", where=place)
    return cast("D_co", value)


_TYPES: dict[str, Callable[[object], bool]] = {
    "object": lambda v: type(v) is dict,
    "array": lambda v: type(v) is list,
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: type(v) is bool,
    "null": lambda v: v is None,
    "integer": lambda v: type(v) is int or (type(v) is float and v.is_integer()),
    "number": lambda v: type(v) is int or type(v) is float,
}


_EXACT: dict[str, type] = {"object": dict, "array": list, "boolean": bool}


def _compile(schema: Schema | bool, root: Schema, known: _Known) -> Checker:
    if isinstance(schema, bool):
        return lambda _: None if schema else ("", "nothing is allowed here")
    for leaf, keywords, compile_leaf in _LEAVES:
        if schema.get("type") == leaf and schema.keys() <= keywords:
            return compile_leaf(schema)
    parts: list[Checker] = []
    for keyword, argument in schema.items():
        if keyword in _ANNOTATIONS or keyword in ("additionalProperties", "required"):
            continue
        compiler = _KEYWORDS.get(keyword)
        if compiler is None:
            raise NotImplementedError(f"schema keyword {keyword!r} is not compiled")
        parts.append(compiler(argument, schema, root, known))
    if "properties" not in schema and ("required" in schema or "additionalProperties" in schema):
        parts.append(_properties({}, schema, root, known))
    if (
        next(iter(schema), None) == "type"
        and schema["type"] in ("object", "array")
        and len(parts) > 1
    ):
        return _exact_type(schema["type"], _all_of(parts[1:]))
    return _all_of(parts)


def _all_of(parts: list[Checker]) -> Checker:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        return _both(*parts)

    def every(value: object) -> Problem:
        for part in parts:
            problem = part(value)
            if problem is not None:
                return problem
        return None

    return every


def _both(first: Checker, second: Checker) -> Checker:
    def check_both(value: object) -> Problem:
        return first(value) or second(value)

    return check_both


_TEXT_KEYWORDS = {"type", "pattern", "minLength", "maxLength", *_ANNOTATIONS}


def _text(schema: Schema) -> Checker:
    """A string with a pattern and lengths in one step: nearly every leaf of our rows."""
    pattern = schema.get("pattern", "")
    search = _compiled_pattern(pattern).search if pattern else None
    least, most = schema.get("minLength", 0), schema.get("maxLength", 2**63)

    def check_text(value: object) -> Problem:
        if not isinstance(value, str):
            return "", f"expected string, found {type(value).__name__}"
        if search is not None and not search(value):
            return "", f"{value[:80]!r} does not match {pattern}"
        if not least <= len(value) <= most:
            short = len(value) < least
            return (
                "",
                f"shorter than {least} characters" if short else f"longer than {most} characters",
            )
        return None

    return check_text


_COUNT_KEYWORDS = {"type", "minimum", "maximum", *_ANNOTATIONS}


def _count(schema: Schema) -> Checker:
    """A whole number within bounds in one step: nearly every other leaf."""
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    is_integer = _TYPES["integer"]

    def check_count(value: object) -> Problem:
        if type(value) is not int and not is_integer(value):
            return "", f"expected integer, found {type(value).__name__}"
        if least <= value <= most:
            return None
        return (
            "",
            f"less than the minimum {least}" if value < least else f"more than the maximum {most}",
        )

    return check_count


_LEAVES = (("string", _TEXT_KEYWORDS, _text), ("integer", _COUNT_KEYWORDS, _count))


def _type(argument: str | list[str], *_: object) -> Checker:
    if isinstance(argument, str):
        return _one_type(argument)
    tests = [_TYPES[name] for name in argument]
    wanted = " or ".join(argument)

    def check_type(value: object) -> Problem:
        for test in tests:
            if test(value):
                return None
        return "", f"expected {wanted}, found {type(value).__name__}"

    return check_type


def _one_type(name: str) -> Checker:
    if name in _EXACT:
        return _exact_type(name)
    test = _TYPES[name]

    def check_one_type(value: object) -> Problem:
        return None if test(value) else ("", f"expected {name}, found {type(value).__name__}")

    return check_one_type


def _exact_type(name: str, more: Checker | None = None) -> Checker:
    """A type that one Python type stands for, and then one more demand."""
    kind = _EXACT[name]

    def check_exact_type(value: object) -> Problem:
        if type(value) is not kind:
            return "", f"expected {name}, found {type(value).__name__}"
        return more(value) if more else None

    return check_exact_type


def _same(left: object, right: object) -> bool:
    # JSON Schema: true is not 1, though Python says they are equal.
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _enum(argument: list[object], *_: object) -> Checker:
    texts = frozenset(choice for choice in argument if isinstance(choice, str))

    def check_enum(value: object) -> Problem:
        if isinstance(value, str):
            if value in texts:
                return None
        elif any(_same(value, choice) for choice in argument):
            return None
        return "", f"expected one of {argument}, found {str(value)[:60]!r}"

    return check_enum


def _const(argument: object, *_: object) -> Checker:
    return _enum([argument])


def _compiled_pattern(text: str) -> re.Pattern[str]:
    # Our patterns are anchored; \Z instead of $ keeps a trailing newline out, as ECMA regexes do.
    return re.compile(text[:-1] + r"\Z" if text.endswith("$") else text, re.ASCII)


def _pattern(argument: str, *_: object) -> Checker:
    search = _compiled_pattern(argument).search

    def check_pattern(value: object) -> Problem:
        if isinstance(value, str) and not search(value):
            return "", f"{value[:80]!r} does not match {argument}"
        return None

    return check_pattern


def _bound(test: _Test, kind: str, message: str) -> Callable[..., Checker]:
    of_kind = _TYPES[kind]
    measured = kind != "number"

    def compile_bound(argument: float, *_: object) -> Checker:
        def check_bound(value: Any) -> Problem:
            if of_kind(value) and not test(len(value) if measured else value, argument):
                return "", message.format(argument)
            return None

        return check_bound

    return compile_bound


def _properties(argument: Schema, schema: Schema, root: Schema, known: _Known) -> Checker:
    checkers: dict[object, Checker] = {}  # of the keys met so far: most schemas offer far more
    required = tuple(schema.get("required", ()))
    extra = schema.get("additionalProperties", True)
    rest = None if extra is True else _compile(extra, root, known)
    demanded = frozenset(required)

    def check_properties(value: object) -> Problem:
        if type(value) is not dict:
            return None
        if not demanded <= value.keys():
            missing = next(name for name in required if name not in value)
            return "", f"the key {missing!r} is missing"
        for name, item in value.items():
            sub = checkers.get(name)
            if sub is None:
                if name in argument:
                    sub = checkers[name] = _compile(argument[name], root, known)
                elif rest is not None:
                    sub = rest
                else:
                    continue
            problem = sub(item)
            if problem is not None:
                if extra is False and name not in argument:
                    return "", f"unknown key {str(name)[:80]!r}"
                return f"/{name}{problem[0]}", problem[1]
        return None

    return check_properties


def _items(argument: Schema, _: object, root: Schema, known: _Known) -> Checker:
    item_checker = _compile(argument, root, known)

    def check_items(value: object) -> Problem:
        if type(value) is list:
            for index, item in enumerate(value):
                problem = item_checker(item)
                if problem is not None:
                    return f"/{index}{problem[0]}", problem[1]
        return None

    return check_items


def _unique(argument: bool, *_: object) -> Checker:
    def check_unique(value: object) -> Problem:
        if argument and type(value) is list:
            seen = {canonical.dumps(item) for item in value}
            if len(seen) != len(value):
                return "", "items are not unique"
        return None

    return check_unique


def _reference(argument: str, _: object, root: Schema, known: _Known) -> Checker:
    slot = known.get(argument)
    if slot is None:
        slot = known[argument] = []
        slot.append(_compile(_at(root, argument), root, known))
    if slot:
        return slot[0]
    holder = slot

    def check_reference(value: object) -> Problem:
        return holder[0](value)  # looked up late: a definition may name itself

    return check_reference


def _any_of(argument: list[Schema], _: object, root: Schema, known: _Known) -> Checker:
    choices = [_compile(sub, root, known) for sub in argument]
    kinds = _kinds(argument, choices)

    def check_any(value: Any) -> Problem:
        if kinds and type(value) is dict and isinstance(value.get("kind"), str):
            meant = kinds.get(value["kind"])
            if meant is not None:
                return meant(value)
        problems = []
        for choice in choices:
            problem = choice(value)
            if problem is None:
                return None
            problems.append(problem)
        return "", "fits none of the allowed forms: " + "; ".join(p[1] for p in problems)

    return check_any


def _kinds(forms: Any, checkers: list[Checker]) -> dict[str, Checker]:
    """Forms that their `kind` tells apart, so that a problem is told of the one that is meant."""
    named = [
        sub["properties"]["kind"]["const"]
        for sub in forms
        if isinstance(sub, dict) and "const" in sub.get("properties", {}).get("kind", {})
    ]
    told_apart = len(named) == len(forms) == len(set(named))
    return dict(zip(named, checkers, strict=True)) if told_apart else {}


def _one_of(
    argument: Any, _: Any, root: dict[str, Any], known: dict[str, list[Checker]]
) -> Checker:
    choices = [_compile(sub, root, known) for sub in argument]

    def check_one(value: object) -> Problem:
        problems = [choice(value) for choice in choices]
        count = problems.count(None)
        if count == 1:
            return None
        if count:
            return "", f"fits {count} of the allowed forms; exactly one is wanted"
        return "", "fits none of the allowed forms: " + "; ".join(p[1] for p in problems if p)

    return check_one


_KEYWORDS: dict[str, Callable[..., Checker]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "properties": _properties,
    "items": _items,
    "uniqueItems": _unique,
    "$ref": _reference,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "minimum": _bound(lambda v, a: v >= a, "number", "less than the minimum {}"),
    "maximum": _bound(lambda v, a: v <= a, "number", "more than the maximum {}"),
    "exclusiveMinimum": _bound(lambda v, a: v > a, "number", "not above {}"),
    "minLength": _bound(lambda v, a: v >= a, "string", "shorter than {} characters"),
    "maxLength": _bound(lambda v, a: v <= a, "string", "longer than {} characters"),
    "minItems": _bound(lambda v, a: v >= a, "array", "fewer than {} items"),
    "maxItems": _bound(lambda v, a: v <= a, "array", "more than {} items"),
    "minProperties": _bound(lambda v, a: v >= a, "object", "fewer than {} keys"),
}
