"""Capture: rows of Arrow tables, as Parquet files and Hugging Face's data sets hold them.

A batch is read at a time and a row is turned into Python at a time, so that memory does not follow
the size of the file. Columns that say nothing of a pair are not read at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from kolm import canonical, system
from kolm.capture import limits, reading, shapes
from kolm.capture.drafts import BadRow, Defaults
from kolm.capture.reading import Located
from kolm.errors import Refused, missing_extra

if TYPE_CHECKING:
    import pyarrow

_BATCH_BYTES = 16 << 20  # about; one row may have more
_MOST_ROWS = 1024  # of a batch
_MAX_ROW_BYTES = limits.MAX_IMAGE_BYTES + limits.MAX_ROW_BYTES


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

    def batches() -> Iterator[pyarrow.RecordBatch]:
        # Without pre_buffer and with a buffer, pages are read one after the other.
        with library("pyarrow.parquet").ParquetFile(path, buffer_size=1 << 20) as file:
            wanted = [key for key in file.schema_arrow.names if key not in defaults.ignored]
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                a_row = max(1, group.total_byte_size // max(1, group.num_rows))
                size = max(1, min(_MOST_ROWS, _BATCH_BYTES // a_row))
                yield from file.iter_batches(size, row_groups=[number], columns=wanted)

    return _located(batches, name, defaults)


def stream(path: Path, name: str, defaults: Defaults) -> Iterator[Located]:
    """The rows of a file in Arrow's stream format, with their places."""

    def batches() -> Iterator[pyarrow.RecordBatch]:
        opened = library("pyarrow.ipc").open_stream
        with library().memory_map(str(path)) as source, opened(source) as reader:
            for batch in reader:
                batch.validate(full=True)  # offsets can point anywhere in a file from elsewhere
                yield batch

    return _located(batches, name, defaults)


def _located(
    batches: Callable[[], Iterable[pyarrow.RecordBatch]], name: str, defaults: Defaults
) -> Iterator[Located]:
    arrow, number = library(), 0
    try:
        for batch in batches():
            cells, read = _columns(batch, defaults, name)
            large = any(map(_is_large, read))
            for place in range(batch.num_rows):
                number += 1
                where = f"{name} row {number}"
                too_large = large and any(_is_large(column.slice(place, 1)) for column in read)
                yield where, _too_long(where) if too_large else _row(cells, place, where)
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise system.error_of(error, where=name) from None
        message = f"the file cannot be read as Arrow or Parquet: {str(error).splitlines()[0][:200]}"
        raise Refused("E_IMPORT_ARROW", message, where=name) from None


_Cell = Callable[[int], object]


def _columns(
    batch: pyarrow.RecordBatch, defaults: Defaults, name: str
) -> tuple[dict[str, _Cell], list[pyarrow.Array]]:
    """What gives the value of each column in a row, and the columns that are read.

    A column that nobody reads has no values.
    """
    names = batch.schema.names
    reading.demand_distinct(names, name)
    columns = {key: batch.column(place) for place, key in enumerate(names)}
    read = {key: column for key, column in columns.items() if shapes.is_read(key, defaults)}
    classes = _class_names(batch.schema)
    cells = {
        key: _reader(read[key], classes.get(key)) if key in read else lambda _: None
        for key in names
        if key not in defaults.ignored
    }
    return cells, list(read.values())


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
    except (ValueError, OverflowError) as error:  # not UTF-8, a time that Python has no value for
        return BadRow(where=where, code="E_ROW_FIELD", reason=str(error)[:200])


def _is_large(column: pyarrow.Array) -> bool:
    return column.nbytes > _MAX_ROW_BYTES or _values(column) > limits.MAX_ROW_VALUES


def _values(column: pyarrow.Array) -> int:
    """How many values a column of lists and structures holds, each of which Python needs."""
    types = library().types
    if types.is_struct(column.type):
        return sum(map(_values, column.flatten()))
    if types.is_nested(column.type) and hasattr(column, "flatten"):
        return len(column) + _values(column.flatten())
    return len(column)


def _too_long(where: str) -> BadRow:
    reason = f"the row has more than {_MAX_ROW_BYTES} bytes or {limits.MAX_ROW_VALUES} values"
    return BadRow(where=where, code="E_ROW_TOO_LONG", reason=reason)


def _without_nulls(value: object) -> object:
    """A value whose structures lack the keys that are null: Arrow cannot leave them out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _class_names(schema: pyarrow.Schema) -> dict[str, list[object]]:
    """The names of numbered classes, which Hugging Face keeps beside the columns."""
    stated = (schema.metadata or {}).get(b"huggingface")
    if stated is None:
        return {}
    document = canonical.loads(stated, where="huggingface", floats=True, integers=True)
    try:
        features = document["info"]["features"].items()
    except (KeyError, TypeError, AttributeError):
        return {}
    return {
        key: feature["names"]
        for key, feature in features
        if isinstance(feature, dict) and isinstance(feature.get("names"), list)
    }
