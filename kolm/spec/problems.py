"""Spec: what a spec's schema says about a value, in words for the person who wrote it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from kolm import objectives, whole_schema
from kolm.errors import Refused, did_you_mean
from kolm.methods.refused import refused_method
from kolm.objectives.refused import REFUSED
from kolm.schema import Schema
from kolm.spec.source import Path, SpecText

Fault = Any  # a jsonschema.ValidationError, whose stubs call every attribute optional

_TYPE_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "nothing",
}


def find_problems(source: SpecText) -> tuple[Refused, ...]:
    """Everything in which a spec differs from its schema, in the order of its lines."""
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(whole_schema.load("spec"))
    found = [
        problem
        for error in validator.iter_errors(source.value)
        for problem in _explain(error, tuple(error.absolute_path), source)
    ]
    # Each key that is missing is an error of its own, and each names them all.
    distinct = {(problem.message, problem.where): problem for problem in found}
    return tuple(sorted(distinct.values(), key=lambda problem: _line(problem, source)))


def _line(problem: Refused, source: SpecText) -> int:
    last = problem.where.removeprefix(f"{source.name}:")
    return int(last) if last.isdigit() else 0


def _explain(error: Fault, path: Path, source: SpecText) -> Iterator[Refused]:
    if refused := _refused_by_name(error.instance, path):
        refused.where = source.place(path)
        yield refused
    elif error.validator == "anyOf":
        yield from _explain_choice(error, path, source)
    elif error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        for key in error.instance:
            if key not in known:
                yield _unknown_key(str(key), known, path, source)
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield _missing_key(key, error.schema, path, source)
    else:
        yield _bad_value(error, path, source)


def _explain_choice(error: Fault, path: Path, source: SpecText) -> Iterator[Refused]:
    """Of several allowed forms, explain the one that the user seems to have meant."""
    branches = error.validator_value
    objects = [index for index, branch in enumerate(branches) if branch.get("type") == "object"]
    kinds = {_kind(branches[index]): index for index in objects}
    if isinstance(error.instance, dict) and objects:
        kind = error.instance.get("kind", _unnamed(branches))
        if len(objects) > 1 and str(kind) not in kinds:
            if kind is None:
                yield _missing_key("kind", branches[objects[0]], path, source)
            else:
                yield _value_error((*path, "kind"), " or ".join(kinds), kind, source)
            return
        meant = kinds.get(str(kind), objects[0])
        for inner in error.context:
            if inner.schema_path[0] == meant:
                yield from _explain(inner, (*path, *inner.path), source)
        return
    lists = {index for index, branch in enumerate(branches) if branch.get("type") == "array"}
    if isinstance(error.instance, list) and lists:
        for inner in error.context:
            if inner.schema_path[0] in lists:
                yield from _explain(inner, (*path, *inner.path), source)
        return
    words = [word for branch in branches for word in _words(branch)]
    if words and len(objects) > 1:  # each has a name, by which help lists its keys
        forms = [*words, "a mapping with one of them as kind"]
    else:
        forms = [_form(branch) for branch in branches]
    problem = _value_error(path, " or ".join(forms), error.instance, source)
    if guess := did_you_mean(str(error.instance), words):
        problem.hint = f"{guess} {problem.hint}"
    yield problem


def _refused_by_name(stated: object, path: Path) -> Refused | None:
    """An objective or a method that has a name, and that no version of kolm trains with."""
    kind = stated.get("kind") if isinstance(stated, dict) else stated
    if not isinstance(kind, str):
        return None
    if path == ("train", "objective") and kind in REFUSED:
        return objectives.unknown(kind)
    return refused_method(kind) if path == ("train", "method") else None


def _unnamed(forms: list[Schema]) -> str | None:
    """The kind of the form that need not say it, where there is one."""
    return next(
        (
            _kind(form)
            for form in forms
            if "kind" in form.get("properties", {}) and "kind" not in form.get("required", ())
        ),
        None,
    )


def _kind(form: Schema) -> str:
    """By which one form is told from another; empty where there is one only."""
    return str(form["properties"].get("kind", {}).get("const", ""))


def _words(branch: Schema) -> list[str]:
    """The words that a form allows."""
    return [
        str(word) for word in branch.get("enum", [branch["const"]] if "const" in branch else [])
    ]


def _form(branch: Schema) -> str:
    if "const" in branch:
        return str(branch["const"])
    if "enum" in branch:
        return " or ".join(branch["enum"])
    if branch.get("type") == "array":
        return "a list"
    return "{" + ", ".join(f"{key}: …" for key in branch["properties"]) + "}"


def _unknown_key(key: str, known: list[str], path: Path, source: SpecText) -> Refused:
    inside = f" in {'.'.join(map(str, path))}" if path else ""
    guess = _meant(key, known, path)
    every = "kolm help reference/spec lists every key"
    keys = "\n".join(textwrap.wrap(f"valid keys: {', '.join(known)}", _KEYS_WIDE))
    return Refused(
        "E_SPEC_UNKNOWN_KEY",
        f'unknown key "{key}"{inside}',
        where=source.place((*path, key)),
        hint=f"{guess} {every}" if guess else f"{keys}\n{every}",
    )


_KEYS_WIDE = 70


def _meant(key: str, known: list[str], path: Path) -> str:
    """Which key an unknown one stands for, as a question; empty where none is like it."""
    from kolm.spec import grid, short_names  # only a refusal needs the list of all keys

    name = short_names.MEANT.get(key.lower().replace("-", "_"), key)
    here = ".".join(str(step) for step in path)
    full = [] if name == key and name in known else grid.keys_meant(name)
    beside = [one for one in full if one.rpartition(".")[0] == here]
    elsewhere = [one for one in beside or full if one != f"{here}.{key}".lstrip(".")]
    if elsewhere:
        words = [one.rpartition(".")[2] for one in elsewhere] if beside else elsewhere
        return f"did you mean {' or '.join(words)}?"
    longer = [one for one in known if f"_{key}_" in f"_{one}_"]  # accuracy: accuracy_lower_bound
    if longer:
        return f"did you mean {' or '.join(longer)}?"
    return did_you_mean(key, known)


def _missing_key(key: str, form: Schema, path: Path, source: SpecText) -> Refused:
    inside = f" in {'.'.join(map(str, path))}" if path else ""
    meaning = form["properties"].get(key, {}).get("description", "")
    return Refused(
        "E_SPEC_MISSING_KEY",
        f'the key "{key}" is missing{inside}',
        where=source.place(path),
        expected=meaning,
        hint="kolm help reference/spec lists every key",
    )


def _bad_value(error: Fault, path: Path, source: SpecText) -> Refused:
    wanted = error.validator_value
    texts: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(
            _TYPE_NAMES[n] for n in ([wanted] if isinstance(wanted, str) else wanted)
        ),
        "enum": lambda: " or ".join(map(str, wanted)),
        "const": lambda: str(wanted),
        "pattern": lambda: f"text that matches {wanted}",
        "minimum": lambda: f"at least {wanted}",
        "maximum": lambda: f"at most {wanted}",
        "exclusiveMinimum": lambda: f"more than {wanted}",
        "minLength": lambda: f"at least {wanted} characters",
        "maxLength": lambda: f"at most {wanted} characters",
        "minItems": lambda: f"at least {wanted} items",
        "maxItems": lambda: f"at most {wanted} items",
        "uniqueItems": lambda: "no item twice",
    }
    problem = _value_error(path, texts[str(error.validator)](), error.instance, source)
    if error.validator == "type" and isinstance(error.instance, str):
        types = [wanted] if isinstance(wanted, str) else wanted
        if any(re.match(_SPELT.get(name, r"(?!)"), error.instance) for name in types):
            problem.hint = f"write {error.instance} without quotes; {problem.hint}"
    return problem


_SPELT = {
    "boolean": r"(true|false)\Z",
    "integer": r"-?[0-9]{1,16}\Z",
    "number": r"-?[0-9]{1,16}(\.[0-9]{1,16})?\Z",
}


def _value_error(path: Path, expected: str, found: object, source: SpecText) -> Refused:
    name = ".".join(str(step) for step in path) or "the spec"
    return Refused(
        "E_SPEC_VALUE",
        f"{name} has an invalid value",
        where=source.place(path),
        expected=expected,
        found=_shown(found),
        hint="kolm help reference/spec lists every key with its values",
    )


def _shown(value: object) -> str:
    """A value as it stands in the file: a text in quotes, so that "20" does not look like 20."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return f'the text "{value[:80]}"' if isinstance(value, str) else str(value)[:80]
