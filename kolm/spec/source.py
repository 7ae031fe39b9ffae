"""Spec: the YAML text as plain values that remember their lines.

YAML 1.2, and less of it: one document, no anchors, aliases, tags or merge keys, because a file
that is signed for should say what it says where it says it. Fractions become `Decimal`, exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from kolm import canonical
from kolm.errors import Refused

MAX_SOURCE_BYTES = 128 * 1024  # a spec is a page, and reading takes 13 s for each MiB
MAX_DEPTH = 16  # the deepest spec nests 5 levels

_HOLDS = "kolm help format/spec says what a spec may hold"

Path = tuple[str | int, ...]
Part = dict[str, Any]  # a mapping of a spec, as it was written

_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]{1,16}\Z", re.ASCII)
_FRACTION = re.compile(r"[-+]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][-+]?[0-9]{1,2})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecText:
    """A value with the line of each of its parts.

    Attributes:
        name: the file's name, for errors; empty for a value that came from Python.
        value: dicts, lists, strings, booleans, integers, `Decimal` and None.
        lines: line number from 1 of every key and item, by its path; empty for Python values.
    """

    name: str
    value: Any
    lines: Mapping[Path, int]

    def place(self, path: Path) -> str:
        """``kolm.yaml:14`` for a path, or the nearest thing above it that has a line."""
        dotted = ".".join(str(step) for step in path)
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path)
        if not self.name:
            return dotted
        return f"{self.name}:{line}" if line else self.name


def read_yaml(data: bytes, *, name: str) -> SpecText:
    """Read one YAML document.

    Raises:
        Refused: too large, not UTF-8, not YAML, a key that stands twice, or a part of YAML that
            a spec may not use; with file and line.
    """
    if len(data) > MAX_SOURCE_BYTES:
        told = f"the file is larger than {MAX_SOURCE_BYTES >> 10} KiB"
        raise Refused("E_SPEC_YAML", told, where=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Refused("E_SPEC_YAML", "the file is not UTF-8", where=f"{name}:{line}") from None
    reader = _Reader(name)
    value = reader.value_of(reader.compose(text), ())
    return SpecText(name=name, value=value, lines=reader.lines)


def of_python(value: object) -> SpecText:
    """A spec given as Python values; floats keep the value of their shortest form.

    Raises:
        Refused: a number that is not finite, or a text with a lone surrogate.
    """
    return SpecText(name="", value=_plain(value), lines={})


def _plain(value: object) -> object:
    if isinstance(value, str) and not canonical.has_utf8(value):
        message = "a text holds a lone surrogate, which is not a character"
        raise Refused("E_SPEC_VALUE", message, found=repr(value)[:80])
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else value
        if not number.is_finite():
            raise Refused("E_SPEC_VALUE", "numbers in a spec must be finite", found=str(value))
        return number
    return value


class _Reader:
    """Walks the node graph that ruamel.yaml composes; constructs no object of its own choosing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Path, int] = {}

    def compose(self, text: str) -> Any:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        try:
            self._scan(YAML(typ="safe", pure=True).parse(text))
            return YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            self._explain(error, text)
        except YAMLError as error:
            self._refuse(f"not YAML: {str(error).splitlines()[0]}", None)
        except (ValueError, OverflowError):  # e.g. an escape beyond Unicode, left raw by ruamel
            self._refuse("not YAML: a character or number that does not exist", None)

    def _explain(self, error: Any, text: str) -> NoReturn:
        from kolm.spec import yaml_faults  # only a refusal needs the words

        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "it cannot be read"
        if mark is None:
            self._refuse(f"not YAML: {problem}", None)
        began = (error.context_mark or mark).line
        fault = yaml_faults.explain(problem, text, line=mark.line, column=mark.column, began=began)
        where = f"{self.name}:{fault.line}"
        raise Refused("E_SPEC_YAML", fault.message, where=where, hint=fault.hint or _HOLDS)

    def _scan(self, events: Any) -> None:
        """Refuse by events, before anything recurses or shares a node."""
        from ruamel.yaml import events as kinds

        depth = 0
        for event in events:
            mark = event.start_mark
            if isinstance(event, kinds.AliasEvent) or getattr(event, "anchor", None):
                self._refuse("anchors and aliases are not allowed; write the value", mark)
            if isinstance(event, kinds.NodeEvent) and getattr(event, "ctag", None) is not None:
                self._refuse("tags are not allowed", mark)
            if isinstance(event, kinds.ScalarEvent) and not canonical.has_utf8(event.value):
                self._refuse("a lone surrogate is not a character", mark)
            if isinstance(event, kinds.CollectionStartEvent):
                depth += 1
            elif isinstance(event, kinds.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                self._refuse(f"nested deeper than {MAX_DEPTH} levels", mark)

    def value_of(self, node: Any, path: Path) -> Any:
        if node is None:
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self.value_of(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: Any, path: Path) -> Part:
        value: Part = {}
        for key, item in node.value:
            if key.id != "scalar" or str(key.tag) != _TAG + "str":
                self._refuse("a key must be plain text", key.start_mark)
            if key.value in value:
                first = self.lines[(*path, key.value)]
                self._refuse(
                    f'the key "{key.value}" appears twice (first in line {first})',
                    key.start_mark,
                    code="E_SPEC_DUPLICATE_KEY",
                )
            self.lines[(*path, key.value)] = key.start_mark.line + 1
            value[key.value] = self.value_of(item, (*path, key.value))
        return value

    def _scalar(self, node: Any) -> Any:
        kind = str(node.tag).removeprefix(_TAG)
        text: str = node.value
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            if not _INTEGER.match(text):
                self._refuse(f"write {text[:40]} as a plain decimal number", node.start_mark)
            return int(text)
        if kind == "float":
            if not _FRACTION.match(text):
                self._refuse(f"write {text[:40]} as a plain decimal number", node.start_mark)
            return Decimal(text)
        return text

    def _refuse(self, message: str, mark: Any, *, code: str = "E_SPEC_YAML") -> NoReturn:
        where = self.name if mark is None else f"{self.name}:{mark.line + 1}"
        raise Refused(code, message, where=where, hint=_HOLDS)
