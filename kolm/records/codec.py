"""Records to documents and back, driven by the fields' types.

The laws: ``from_document(type(r), to_document(r)) == r``, and a field that is None and has None
as its default is left out of the document.

A record is a frozen dataclass; those that every audit makes are named tuples, which Python builds
in a quarter of the time.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

R = TypeVar("R")


def to_document(record: object) -> dict[str, Any]:
    """The plain JSON value of a record."""
    document = {}
    for name, default in _fields(record):
        value = getattr(record, name)
        if value is None and default is None:
            continue
        document[name] = _plain(value)
    return document


def _is_record(value: object) -> bool:
    return hasattr(value, "_field_defaults") or dataclasses.is_dataclass(value)


def _fields(record: Any) -> list[tuple[str, object]]:
    """Name and default of each field of a record or of its class."""
    if dataclasses.is_dataclass(record):
        return [(field.name, field.default) for field in dataclasses.fields(record)]
    defaults = record._field_defaults
    return [(name, defaults.get(name, dataclasses.MISSING)) for name in record._fields]


def _plain(value: object) -> object:
    if _is_record(value):
        return to_document(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def from_document(kind: type[R], value: Mapping[str, object]) -> R:
    """Build a record from a document that its schema has already accepted."""
    hints = _hints(typing.cast(type, kind))
    arguments = {}
    for name, _ in _fields(kind):
        if name in value:
            arguments[name] = _build(hints[name], value[name])
    return kind(**arguments)


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The types of a record's fields; the few classes of records are asked for again and again."""
    return typing.get_type_hints(kind)


def _build(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        choices = [choice for choice in get_args(hint) if choice is not type(None)]
        return _build(choices[-1] if isinstance(value, dict) else choices[0], value)
    if origin is tuple:
        return tuple(_build(get_args(hint)[0], item) for item in value)
    if origin is list:
        return [_build(get_args(hint)[0], item) for item in value]
    if origin is dict:
        return {key: _build(get_args(hint)[1], item) for key, item in value.items()}
    if isinstance(hint, type):
        if _is_record(hint):
            return from_document(hint, value)
        if issubclass(hint, Enum):
            return hint(value)
    return value
