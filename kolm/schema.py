"""The floor: JSON Schemas (Draft 2020-12) of kolm's documents, compiled to plain checkers.

`schemas/` is the source of truth. The verifier reads some 70,000 rows, and importing a general
validator costs more than all of them, so the subset of the language that our schemas use is
compiled to closures here; property tests hold the verdicts equal to those of `jsonschema`. Keywords
about one type of value are compiled together, with the demand that it be of that type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from kolm import canonical
from kolm.errors import Refused, did_you_mean

D_co = TypeVar("D_co", covariant=True)


class DocumentKind(str, Generic[D_co]):
    """The name of a schema, which for the type checker carries the type of what fits it."""

    __slots__ = ()


# A problem is (JSON pointer, what is wrong), or None when the value is fine.
Problem = tuple[str, str] | None
Schema = dict[str, Any]  # a document of the language that describes documents
Checker = Callable[[object], Problem]
_Known = dict[str, list[Checker]]
_Compiler = Callable[[Schema, Schema, _Known], Checker]

_ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description", "default", "examples"}


@cache
def folder() -> Path:
    """The folder of the schemas: inside the installed package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "_schemas"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "schemas"


@cache
def as_written(name: str) -> Schema:
    """The schema of a document with its references, for example ``receipt`` or ``cli/verify``."""
    value: Schema = canonical.loads_own((folder() / f"{name}.schema.json").read_bytes())
    return value


def parts_of(reference: str) -> tuple[str, str]:
    """The schema that a reference names, empty for its own, and the pointer within."""
    urn, _, pointer = reference.partition("#")
    return urn.split(":")[-2] if urn else "", pointer


def at(document: Any, pointer: str) -> Any:
    """The part of a schema that a pointer names."""
    for step in pointer.split("/")[1:]:
        document = document[step]
    return document


@cache
def checker(name: str, pointer: str = "") -> Checker:
    """The compiled checker of a schema, or of a part: the first problem of a value, or None."""
    document, known = _compiled(name)
    return _compile(at(document, pointer), document, known)


@cache
def _compiled(name: str) -> tuple[Schema, _Known]:
    """A schema, and what of it has been compiled for references from anywhere."""
    return as_written(name), {}


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
_USUAL: dict[str, type] = {  # what nearly every value of a type is
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": float,
}


def _compile(schema: Schema | bool, root: Schema, known: _Known) -> Checker:
    if isinstance(schema, bool):
        return lambda _: None if schema else ("", "nothing is allowed here")
    compilers: list[_Compiler] = []
    for keyword in schema:
        if keyword in _ANNOTATIONS:
            continue
        if keyword not in _KEYWORDS:
            raise NotImplementedError(f"schema keyword {keyword!r} is not compiled")
        of_type = _OF_TYPE.get(str(schema["type"])) if keyword == "type" else None
        compilers.append(of_type or _KEYWORDS[keyword])
    parts = [compiler(schema, root, known) for compiler in dict.fromkeys(compilers)]
    if len(parts) == 1:
        return parts[0]

    def check_parts(value: object) -> Problem:
        for part in parts:
            problem = part(value)
            if problem is not None:
                return problem
        return None

    return check_parts


_UNBOUNDED = 2**63  # longer than any value that fits into memory


def _not_of(wanted: str, value: object) -> Problem:
    return "", f"expected {wanted}, found {type(value).__name__}"


def _type(schema: Schema, *_: object) -> Checker:
    """A type about which nothing more is said, or one of several."""
    stated = schema["type"]
    names: list[str] = [stated] if isinstance(stated, str) else stated
    tests, wanted = [_TYPES[name] for name in names], " or ".join(names)
    usual = {_USUAL[name] for name in names}

    def check_type(value: object) -> Problem:
        if type(value) in usual or any(test(value) for test in tests):
            return None
        return _not_of(wanted, value)

    return check_type


def _text(schema: Schema, *_: object) -> Checker:
    """A string with a pattern and lengths."""
    demanded, pattern = schema.get("type") == "string", schema.get("pattern", "")
    # Our patterns are anchored; \Z instead of $ keeps a trailing newline out, as ECMA regexes do.
    anchored = pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
    search = re.compile(anchored, re.ASCII).search if pattern else None
    least, most = schema.get("minLength", 0), schema.get("maxLength", _UNBOUNDED)

    def check_text(value: object) -> Problem:
        if not isinstance(value, str):
            return _not_of("string", value) if demanded else None
        if search is not None and not search(value):
            return "", f"{value[:80]!r} does not match {pattern}"
        if least <= len(value) <= most:
            return None
        short = len(value) < least
        return "", f"shorter than {least} characters" if short else f"longer than {most} characters"

    return check_text


def _number(schema: Schema, *_: object) -> Checker:
    """A number, or a whole one, within bounds."""
    demanded = schema["type"] if schema.get("type") in ("integer", "number") else ""
    fits = _TYPES[demanded or "number"]
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    below = schema.get("exclusiveMinimum", -math.inf)

    def check_number(value: Any) -> Problem:
        if type(value) is not int and not fits(value):
            return _not_of(demanded, value) if demanded else None
        if least <= value <= most and value > below:
            return None
        if value < least:
            return "", f"less than the minimum {least}"
        return "", f"more than the maximum {most}" if value > most else f"not above {below}"

    return check_number


def _array(schema: Schema, root: Schema, known: _Known) -> Checker:
    """A list: how long it is, what it holds, and whether anything may be there twice."""
    demanded, unique = schema.get("type") == "array", schema.get("uniqueItems", False)
    item_checker = _compile(schema.get("items", True), root, known)
    least, most = schema.get("minItems", 0), schema.get("maxItems", _UNBOUNDED)

    def check_array(value: object) -> Problem:
        if type(value) is not list:
            return _not_of("array", value) if demanded else None
        if not least <= len(value) <= most:
            few = len(value) < least
            return "", f"fewer than {least} items" if few else f"more than {most} items"
        for index, item in enumerate(value):
            problem = item_checker(item)
            if problem is not None:
                return f"/{index}{problem[0]}", problem[1]
        several = unique and len(value) > 1
        twice = several and len(set(map(canonical.dumps, value))) != len(value)
        return ("", "items are not unique") if twice else None

    return check_array


def _object(schema: Schema, root: Schema, known: _Known) -> Checker:
    """An object: the keys that it must have, and what each may hold."""
    demanded, properties = schema.get("type") == "object", schema.get("properties", {})
    checkers: dict[object, Checker] = {}  # of the keys met so far: most schemas offer far more
    found = checkers.get
    required = tuple(schema.get("required", ()))
    needed = frozenset(required)
    extra = schema.get("additionalProperties", True)
    rest = None if extra is True else _compile(extra, root, known)

    def check_object(value: object) -> Problem:
        if type(value) is not dict:
            return _not_of("object", value) if demanded else None
        if not needed <= value.keys():
            if extra is False and (others := value.keys() - properties.keys()):
                return "", _unknown(min(map(str, others)), needed - value.keys())
            missing = next(name for name in required if name not in value)
            return "", f"the key {missing!r} is missing"
        for name, item in value.items():
            sub = found(name)
            if sub is None:
                if name in properties:
                    sub = checkers[name] = _compile(properties[name], root, known)
                elif rest is not None:
                    sub = rest
                else:
                    continue
            problem = sub(item)
            if problem is not None:
                if extra is False and name not in properties:
                    return "", _unknown(str(name), properties)
                return f"/{name}{problem[0]}", problem[1]
        return None

    return check_object


def _unknown(name: str, known: Iterable[str]) -> str:
    guess = did_you_mean(name[:80], known)
    return f"unknown key {name[:80]!r}{guess and ': '}{guess}"


def _same(left: object, right: object) -> bool:
    # JSON Schema: true is not 1, though Python says they are equal.
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _choice(schema: Schema, *_: object) -> Checker:
    """One of some values, or the only one."""
    choices = schema["enum"] if "enum" in schema else [schema["const"]]
    texts = frozenset(choice for choice in choices if isinstance(choice, str))

    def check_choice(value: object) -> Problem:
        if isinstance(value, str):
            if value in texts:
                return None
        elif any(_same(value, choice) for choice in choices):
            return None
        return "", f"expected one of {choices}, found {str(value)[:60]!r}"

    return check_choice


def _reference(schema: Schema, root: Schema, known: _Known) -> Checker:
    name, pointer = parts_of(schema["$ref"])
    if name:
        root, known = _compiled(name)
    slot = known.get(pointer)
    if slot is None:
        slot = known[pointer] = []
        slot.append(_compile(at(root, pointer), root, known))
    if slot:
        return slot[0]
    holder = slot

    def check_reference(value: object) -> Problem:
        return holder[0](value)  # looked up late: a definition may name itself

    return check_reference


def _any_of(schema: Schema, root: Schema, known: _Known) -> Checker:
    choices = [_later(sub, root, known) for sub in schema["anyOf"]]
    forms = [_named_by(sub, root) for sub in schema["anyOf"]]
    key, named = _told_apart(forms, choices)
    needs = [frozenset(form.get("required", ())) for form in forms]

    def check_any(value: Any) -> Problem:
        if key and type(value) is dict and isinstance(value.get(key), str):
            meant = named.get(value[key])
            if meant is not None:
                return meant(value)
        found: list[Problem] = []
        for choice, needed in zip(choices, needs, strict=True):
            if type(value) is dict and not needed <= value.keys():
                found.append(None)  # it cannot fit; why is asked where no form does
                continue
            problem = choice(value)
            if problem is None:
                return None
            found.append(problem)
        told = (problem or choice(value) for problem, choice in zip(found, choices, strict=True))
        return "", "fits none of the allowed forms: " + "; ".join(p[1] for p in told if p)

    return check_any


def _later(schema: Schema | bool, root: Schema, known: _Known) -> Checker:
    """As `_compile`, when it is first asked: of many forms a document has one."""
    compiled: list[Checker] = []

    def check_later(value: object) -> Problem:
        if not compiled:
            compiled.append(_compile(schema, root, known))
        return compiled[0](value)

    return check_later


def _named_by(form: Schema | bool, root: Schema) -> Schema:
    """A form, or the one that it refers to; nothing is known of one that is no schema in itself."""
    while isinstance(form, dict) and "$ref" in form:
        name, pointer = parts_of(form["$ref"])
        root = as_written(name) if name else root
        form = at(root, pointer)
    return form if isinstance(form, dict) else {}


def _told_apart(forms: list[Schema], checkers: list[Checker]) -> tuple[str, dict[str, Checker]]:
    """The key whose text tells forms apart, and the form of each: a problem is told of that one."""
    for key in ("kind", "type"):
        named = [
            form["properties"][key]["const"]
            for form in forms
            if "const" in form.get("properties", {}).get(key, {})
        ]
        if len(named) == len(forms) == len(set(named)):
            return key, dict(zip(named, checkers, strict=True))
    return "", {}


_OF_TYPE: dict[str, _Compiler] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "array": _array,
    "object": _object,
}
_KEYWORDS: dict[str, _Compiler] = {
    "type": _type,
    **dict.fromkeys(("pattern", "minLength", "maxLength"), _text),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum"), _number),
    **dict.fromkeys(("items", "minItems", "maxItems", "uniqueItems"), _array),
    **dict.fromkeys(("properties", "required", "additionalProperties"), _object),
    **dict.fromkeys(("enum", "const"), _choice),
    "$ref": _reference,
    "anyOf": _any_of,
}
