"""Capture: rows of Arrow tables, as Parquet files and Hugging Face's data sets hold them.

A process of its own unpacks the file, under limits (`unpacking`); a batch of its rows is taken at a
time and a row turned into Python at a time, so that memory does not follow what a file unpacks to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any

from kolm import canonical, events, settings, system
from kolm.capture import file_limits, limits, unpacking
from kolm.capture.drafts import BadRow, Defaults
from kolm.capture.reading import Located
from kolm.errors import KolmError, Refused
from kolm.extras import missing_extra

if TYPE_CHECKING:
    import pyarrow

_MAX_ROW_BYTES = limits.MAX_IMAGE_BYTES + file_limits.MAX_ROW_BYTES
# One thread, and memory from the system's allocator: others set aside more than they use.
_CHILD_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "ARROW_IO_THREADS": "1",
}


def library(module: str = "pyarrow") -> ModuleType:
    """A module of pyarrow, imported when first needed.

    Raises:
        Lacking: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        message = "reading Parquet and Arrow needs pyarrow, which is not installed"
        raise missing_extra("data", message) from None


def parquet(path: Path, name: str, defaults: Defaults) -> Iterator[Located]:
    """The rows of a Parquet file, with their places."""
    return _located(unpacking.PARQUET, path, name, defaults)


def stream(path: Path, name: str, defaults: Defaults) -> Iterator[Located]:
    """The rows of a file in Arrow's stream format, with their places."""
    return _located(unpacking.STREAM, path, name, defaults)


def _located(form: str, path: Path, name: str, defaults: Defaults) -> Iterator[Located]:
    number = 0
    for batch in _batches(form, path, name, defaults):
        cells = _cells(batch, name)
        large = any(map(_is_large, batch.columns))
        for place in range(batch.num_rows):
            number += 1
            where = f"{name} row {number}"
            too_large = large and any(_is_large(column.slice(place, 1)) for column in batch.columns)
            yield where, _too_long(where) if too_large else _row(cells, place, where)


def _batches(form: str, path: Path, name: str, defaults: Defaults) -> Iterator[pyarrow.RecordBatch]:
    """What the process hands over that unpacks the file.

    Raises:
        Refused: the file is damaged, another thing, or unpacks to too much.
        KolmError: the system refuses the file.
    """
    with system.naming(name):
        file = path.open("rb")
    with file, tempfile.TemporaryFile() as told:
        asked = {
            "form": form,
            "name": name if canonical.has_utf8(name) else ascii(name),
            "size": os.fstat(file.fileno()).st_size,
            "ignored": sorted(defaults.ignored),
            "renamed": dict(defaults.renamed),
            "keys": sorted(defaults.reshaped.keys) if defaults.reshaped else [],
        }
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", unpacking.__name__, canonical.dumps(asked).decode()],
            stdin=file,
            stdout=subprocess.PIPE,
            stderr=told,
            env={**settings.inherited(), **_CHILD_ENVIRONMENT},
        )
        assert child.stdout is not None  # it was opened as a pipe
        try:
            yield from _received(child.stdout)
            cut = ""
        except (library().ArrowException, OSError) as error:  # the process says why
            cut = str(error)
        except BaseException:  # nobody reads on
            child.kill()
            raise
        finally:
            child.stdout.close()
            code = child.wait()
        if code or cut:
            told.seek(0)
            raise _error_of(code, told.read(), asked, cut)


def _received(stream: IO[bytes]) -> Iterator[pyarrow.RecordBatch]:
    if stream.peek(1):  # type: ignore[attr-defined]
        with library("pyarrow.ipc").open_stream(stream) as reader:
            yield from reader


def _error_of(code: int, told: bytes, asked: dict[str, Any], cut: str) -> KolmError:
    """The error with which the process that unpacks a file ended."""
    if -code in (signal.SIGABRT, signal.SIGKILL, signal.SIGXCPU):  # memory, memory, time
        return unpacking.too_much(asked)
    last = told.splitlines()[-1:] or [b""]
    if code == unpacking.FAILED and last[0].startswith(b"{"):
        try:
            events.relay(last[0].decode(errors="replace"), events.Silent())
        except KolmError as error:
            return error
    message = "the file cannot be read as Arrow or Parquet: reading it ended a process"
    found = cut or f"status {code}: {last[0].decode(errors='replace')[:200]}"
    return Refused("E_IMPORT_ARROW", message, where=asked["name"], found=found)


_Cell = Callable[[int], object]


def _cells(batch: pyarrow.RecordBatch, name: str) -> dict[str, _Cell]:
    """What gives the value of each column in a row."""
    classes = _class_names(batch.schema, name)
    return {
        key: _reader(batch.column(place), classes.get(key))
        for place, key in enumerate(batch.schema.names)
        if key
    }


def _reader(column: pyarrow.Array, names: list[object] | None) -> _Cell:
    def cell(place: int) -> object:
        value = _without_nulls(column[place].as_py())
        if names is not None and type(value) is int and 0 <= value < len(names):
            return names[value]
        return value

    return cell


def _row(cells: dict[str, _Cell], place: int, where: str) -> dict[str, object] | BadRow:
    try:
        return {key: cell(place) for key, cell in cells.items()}
    except (ValueError, ArithmeticError, LookupError) as error:
        # Not UTF-8, a time that Python has no value for, or in a zone that it does not know.
        return BadRow(where=where, code="E_ROW_FIELD", reason=str(error)[:200])


def _is_large(column: pyarrow.Array) -> bool:
    return column.nbytes > _MAX_ROW_BYTES or unpacking.values(column) > file_limits.MAX_ROW_VALUES


def _too_long(where: str) -> BadRow:
    reason = f"the row has more than {_MAX_ROW_BYTES} bytes or {file_limits.MAX_ROW_VALUES} values"
    return BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)


def _without_nulls(value: object) -> object:
    """A value whose structures lack the keys that are null: Arrow cannot leave them out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _class_names(schema: pyarrow.Schema, name: str) -> dict[str, list[object]]:
    """The names of numbered classes, which Hugging Face keeps beside the columns."""
    stated = (schema.metadata or {}).get(unpacking.HUGGINGFACE)
    if stated is None:
        return {}
    where = f"{name}, what its schema says to the datasets library"
    document = canonical.loads(stated, where=where, floats=True, integers=True)
    try:
        features = document["info"]["features"].items()
    except (KeyError, TypeError, AttributeError):
        return {}
    return {
        key: feature["names"]
        for key, feature in features
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }
