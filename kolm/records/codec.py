"""Records to documents and back, driven by the fields' types.

The laws: ``from_document(type(r), to_document(r)) == r``, and a field that is None and has None
as its default is left out of the document.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar, Union, get_args, get_origin

R = TypeVar("R")


def to_document(record: Any) -> dict[str, Any]:
    """The plain JSON value of a record."""
    document = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if value is None and field.default is None:
            continue
        document[field.name.rstrip("_")] = _plain(value)
    return document


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_document(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def from_document(kind: type[R], value: dict[str, Any]) -> R:
    """Build a record from a document that its schema has already accepted."""
    hints = typing.get_type_hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        name = field.name.rstrip("_")
        if name in value:
            arguments[field.name] = _build(hints[field.name], value[name])
    return kind(**arguments)


def _build(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        choices = [choice for choice in get_args(hint) if choice is not type(None)]
        return _build(_choose(choices, value), value)
    if origin is tuple:
        return tuple(_build(get_args(hint)[0], item) for item in value)
    if origin is list:
        return [_build(get_args(hint)[0], item) for item in value]
    if origin is dict:
        return {key: _build(get_args(hint)[1], item) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_document(hint, value)
    return value


def _choose(choices: list[Any], value: Any) -> Any:
    if len(choices) == 1 or not isinstance(value, dict):
        return choices[0]
    for choice in choices:
        if dataclasses.is_dataclass(choice) and isinstance(choice, type):
            names = {field.name.rstrip("_") for field in dataclasses.fields(choice)}
            if set(value) <= names:
                return choice
    return choices[-1]
