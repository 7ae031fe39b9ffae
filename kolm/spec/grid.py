"""Spec: many specs from one: what of it takes several values, and every point that follows.

A point is a whole spec of its own. Values are written as in the spec's YAML, so that ``[a, b]`` is
one value and ``a,b`` are two.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from kolm import canonical, system, whole_schema
from kolm.errors import Unreadable, Usage, did_you_mean
from kolm.spec import short_names
from kolm.spec.source import Part, SpecText, read_yaml

MOST_POINTS = 1000  # a table that a person reads; a typing error should not fill a disk
_SHORT_FORMS = ("train.method", "train.objective", "train.quantisation", "evaluation.metric")

# Key and values of what a point sets, keys dotted. None leaves a key out, for its default.
Settings: TypeAlias = Mapping[str, Any]
# Either values a key, of which every combination is a point, or the points one by one.
Grid: TypeAlias = Mapping[str, Sequence[object]] | Sequence[Settings]


class Point(NamedTuple):
    """One spec of a sweep.

    Attributes:
        number: from 1, in the order of the grid.
        settings: what it sets, keys dotted and written out, in the order of the grid.
        spec: the whole spec, as plain values.
    """

    number: int
    settings: Settings
    spec: Part

    def label(self) -> str:
        """What tells it from the others, in the words of the grid."""
        return ", ".join(f"{_last(key)} {written(value)}" for key, value in self.settings.items())


def points_of(base: Mapping[str, Any], grid: Grid) -> list[Point]:
    """Every point of a grid on a spec; none is checked against the spec's schema here.

    Args:
        base: the spec's plain value.
        grid: values a key, or points.

    Raises:
        Usage: ``E_SWEEP_GRID``: nothing to vary, a key that is unknown or given twice, a value
            that is given twice, or too many points.
    """
    chosen = [_spelt_out(settings) for settings in _settings(grid)]
    if not chosen:
        raise _wrong("the grid has no points", found="nothing to vary")
    seen: dict[str, int] = {}
    for number, settings in enumerate(chosen, start=1):
        told = written(dict(sorted(settings.items())))
        if told in seen:
            message = f"points {seen[told]} and {number} are the same"
            raise _wrong(message, found=told)
        seen[told] = number
    return [
        Point(number, settings, _with(base, settings))
        for number, settings in enumerate(chosen, start=1)
    ]


def read_grids(texts: Iterable[str]) -> Grid:
    """A grid as a command line states it: each text is ``KEY=V1,V2`` or the name of a YAML file.

    Raises:
        Usage: ``E_SWEEP_GRID``.
        Unreadable: ``E_SWEEP_GRID_FILE``: there is no such file.
        Refused: it is not YAML.
    """
    values: dict[str, Sequence[object]] = {}
    points: list[Settings] | None = None
    for text in texts:
        key, equals, rest = text.partition("=")
        part: Any = {key.strip(): _listed(rest, text)} if equals else _read_file(Path(text))
        if isinstance(part, list):
            if points is not None:
                raise _wrong("two lists of points", found=text)
            points = part
            continue
        for name, some in part.items():
            full = full_key(name)
            if full in values:
                raise _wrong(f"{full} is varied twice", found=text)
            values[full] = some
    if points is None:
        return values
    if values:
        message = "a list of points and values to combine exclude each other"
        raise _wrong(message, found=", ".join(values))
    return points


def keys_ending(name: str) -> list[str]:
    """The dotted keys of a spec whose last part is a name."""
    return [key for key in _keys() if key.endswith(f".{name}")]


def keys_meant(name: str) -> list[str]:
    """The dotted keys of a spec that a name, dotted or not, is or ends."""
    return [name] if name in _keys() else keys_ending(name)


def full_key(name: str) -> str:
    """The dotted key of a spec that a name or the end of one means: ``rank`` is
    ``train.method.rank``.

    Raises:
        Usage: ``E_SWEEP_GRID``: no key of a spec, or several, end so.
    """
    known = _keys()
    if name in known:
        return name
    meant = keys_ending(name)
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise _wrong(f"several keys end in {name}", found=name, hint=" or ".join(meant))
    names = [*known, *(_last(key) for key in known)]
    every = "kolm help reference/spec lists every key"
    called = short_names.MEANT.get(name.lower())
    guess = f"did you mean {called}?" if called else did_you_mean(name, names, otherwise=every)
    raise _wrong(f"a spec has no key {name}", found=name, hint=guess)


def written(value: object) -> str:
    """A value as one would write it in YAML, on one line."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {written(item)}' for key, item in value.items())}}}"
    if isinstance(value, float | Decimal):
        return canonical.decimal(value, None)
    return str(value)


def _settings(grid: Grid) -> Iterator[Settings]:
    if not isinstance(grid, Mapping):
        if len(grid) > MOST_POINTS:
            raise _too_many(len(grid))
        yield from grid
        return
    count = 1
    for key, values in grid.items():
        if isinstance(values, str | bytes) or not isinstance(values, Sequence) or not values:
            raise _wrong(f"{key} has no list of values", found=str(values)[:80])
        told = [written(value) for value in values]
        if len(set(told)) < len(told):
            raise _wrong(f"a value of {key} is given twice", found=", ".join(told))
        count *= len(values)
    if count > MOST_POINTS:
        raise _too_many(count)
    if grid:
        for combination in itertools.product(*grid.values()):
            yield dict(zip(grid, combination, strict=True))


def _spelt_out(settings: Settings) -> Settings:
    if not isinstance(settings, Mapping) or not settings:
        raise _wrong("a point is a mapping of keys to values", found=str(settings)[:80])
    full = {full_key(str(key)): value for key, value in settings.items()}
    if len(full) < len(settings):
        raise _wrong("a key is given twice in a point", found=", ".join(map(str, settings)))
    return full


def _with(base: Mapping[str, Any], settings: Settings) -> Part:
    """A copy of a spec with some of its keys set; what holds others is set before them."""
    spec: Part = dict(base)
    for key in sorted(settings, key=lambda key: key.count(".")):
        *outer, last = key.split(".")
        place, path = spec, ""
        for step in outer:
            path = f"{path}.{step}" if path else step
            inner = place.get(step, {})
            if isinstance(inner, str) and path in _SHORT_FORMS:
                inner = {"kind": inner}
            if not isinstance(inner, Mapping):
                message = f"{key} has no place: {path} is no mapping in this spec"
                raise _wrong(message, found=written(inner))
            place[step] = dict(inner)
            place = place[step]
        if settings[key] is None:
            place.pop(last, None)
        else:
            place[last] = settings[key]
    return spec


@cache
def _keys() -> tuple[str, ...]:
    """Every key of a spec, dotted, with those of all methods, objectives and metrics."""
    return tuple(dict.fromkeys(_walk(whole_schema.load("spec"), "")))


def _walk(part: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, inner in part.get("properties", {}).items():
        key = f"{path}.{name}" if path else name
        yield key
        yield from _walk(inner, key)
    for form in part.get("anyOf", ()):
        yield from _walk(form, path)


def _listed(text: str, whole: str) -> list[object]:
    """The values of ``V1,V2``."""
    source = read_yaml(f"[{text}\n]".encode(), name=f"--grid {whole}")
    return list(source.value) if isinstance(source.value, list) else []


def _read_file(path: Path) -> Part | list[object]:
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise Unreadable(
            "E_SWEEP_GRID_FILE",
            "there is no file of this name",
            where=str(path),
            expected="KEY=V1,V2, or a YAML file with a list of values for each key",
        ) from None
    except OSError as error:
        raise system.error_of(error, where=path) from None
    source: SpecText = read_yaml(data, name=path.name)
    if not isinstance(source.value, dict | list) or not source.value:
        message = "a grid is a list of values for each key, or a list of points"
        raise _wrong(message, found=path.name, expected="train.learning_rate: [0.0005, 0.001]")
    return source.value


def _last(key: str) -> str:
    """What a key is called beside others: its last part, with what tells its kinds apart."""
    outer, _, last = key.rpartition(".")
    return outer.rpartition(".")[2] if last == "kind" else last


def _too_many(count: int) -> Usage:
    return _wrong("the grid has too many points", found=f"{count:,}", expected=f"{MOST_POINTS:,}")


def _wrong(message: str, *, found: str, expected: str = "", hint: str = "") -> Usage:
    return Usage(
        "E_SWEEP_GRID",
        message,
        where="--grid",
        expected=expected,
        found=found[:200],
        hint=hint or "--grid train.learning_rate=0.0005,0.001 varies one key over two values",
    )
