"""Capture: the process that unpacks a Parquet or Arrow file, ``python -m kolm.capture.unpacking``.

What such a file says of its sizes is its maker's word: a page of some bytes can unpack to
gigabytes, a dictionary can stand for a value a million times, and the library allocates what it is
told. So it runs in a process whose memory and time the system limits by the size of the file.
The file is its standard input: pyarrow takes no path without a UTF-8 form. Parquet is read page by
page, since pages of a mapped file count as memory too, beside what they unpack to; a stream, whose
batches are seldom packed, is mapped and not copied. Batches
of few rows and plain types go to standard output, in Arrow's stream format; the error that ends it
is an event on standard error.
"""

from __future__ import annotations

import mmap
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kolm import canonical, events
from kolm.capture import file_limits, reading, shapes
from kolm.capture.drafts import Defaults, Reshaped
from kolm.errors import KolmError, Refused
from kolm.records.capture import Source

if TYPE_CHECKING:
    import pyarrow

FAILED = 1
PARQUET, STREAM = "parquet", "stream"
BATCH_ROWS = 64  # at the most
_BUFFER_BYTES = 64 << 10
_BATCH_BYTES = 4 << 20  # about: by what the file says of itself
HUGGINGFACE = b"huggingface"  # what the schema says of numbered classes


def limit(size: int, form: str) -> None:
    """Limit what this process may take from now on, for a file of a size in bytes and a form.

    Where the system does not say what the process holds already (macOS), memory has no limit.
    """
    mebibytes = size >> 20
    seconds = file_limits.UNPACKING_SECONDS + file_limits.UNPACKING_SECONDS_A_MEBIBYTE * mebibytes
    _hold(resource.RLIMIT_CPU, seconds, seconds + 1)
    status = Path("/proc/self/status")
    held = status.read_text().partition("VmData:")[2].split() if status.is_file() else []
    if held:
        most = int(held[0]) * 1024 + unpacking_bytes(size, form)
        _hold(resource.RLIMIT_DATA, most, most)


def _hold(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or keep the one that this process was started under where that is lower."""
    _, present = resource.getrlimit(kind)
    most = hard if present == resource.RLIM_INFINITY else present
    resource.setrlimit(kind, (min(soft, most), min(hard, most)))


def unpacking_bytes(size: int, form: str) -> int:
    """How much memory unpacking a file of a size may take at once, beside Python and pyarrow.

    Of a stream, which is mapped, that is beside the file itself.
    """
    read = size if form == PARQUET else 0
    return min(
        2 * size + file_limits.MAX_UNPACKING_BYTES,
        read + file_limits.MAX_UNPACKING_BESIDE,
        file_limits.MAX_UNPACKING_AT_ONCE,
    )


def too_much(asked: Mapping[str, Any]) -> Refused:
    """The error of a file that unpacks to more than one of its size may."""
    size = asked["size"]
    return reading.unpacks(
        asked["name"],
        size,
        more=f"{unpacking_bytes(size, asked['form']) >> 20} MiB at once, ",
        hint="if you trust the file, write it again with row_group_size=100, or as JSON Lines",
    )


def main(words: Sequence[str]) -> int:
    """Unpack the file as the one argument asks; 0 when all of it was."""
    import pyarrow

    asked = canonical.loads(words[0].encode(), where="arguments")
    name = asked["name"]
    try:
        limit(asked["size"], asked["form"])
        _write(asked)
    except (MemoryError, pyarrow.ArrowMemoryError):
        error: KolmError = too_much(asked)
    except KolmError as refused:
        error = refused
    except (pyarrow.ArrowException, OSError) as wrong:
        said = f"the file cannot be read as Arrow or Parquet: {str(wrong).splitlines()[0][:200]}"
        error = Refused("E_IMPORT_ARROW", said, where=name)
    else:
        return 0
    events.JsonLines(sys.stderr).failed(error)
    return FAILED


def _write(asked: dict[str, Any]) -> None:
    import pyarrow.ipc

    name = asked["name"]
    defaults = Defaults(
        source=Source(kind="", name=""),
        ignored=frozenset(asked["ignored"]),
        renamed=asked["renamed"],
        reshaped=Reshaped(frozenset(asked["keys"]), lambda row, _: row),
    )
    left, rows_left, values_left = reading.unpacked(asked["size"])
    read = _parquet if asked["form"] == PARQUET else _stream
    writer = None
    for batch in read(asked["size"], name, defaults):
        left -= batch.nbytes
        rows_left -= batch.num_rows
        values_left -= sum(values(column) - len(column) for column in batch.columns)
        if left < 0 or rows_left < 0 or values_left < 0:
            raise too_much(asked)
        writer = writer or pyarrow.ipc.new_stream(sys.stdout.buffer, batch.schema)
        writer.write_batch(batch)
    if writer is not None:
        writer.close()


def _parquet(size: int, name: str, defaults: Defaults) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow
    from pyarrow import parquet

    source = pyarrow.PythonFile(sys.stdin.buffer, mode="r")
    # With a buffer a page is read at a time, and without one all pages of a column.
    with parquet.ParquetFile(source, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        schema = file.schema_arrow
        wanted = _wanted(schema, name, defaults)
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            a_row = max(1, group.total_byte_size // max(1, group.num_rows))
            batches = file.iter_batches(
                max(1, min(BATCH_ROWS, _BATCH_BYTES // a_row)),
                row_groups=[number],
                columns=wanted,
                use_threads=False,
            )
            for batch in batches:
                yield _plain_batch(batch, schema, wanted, defaults)


def _stream(size: int, name: str, defaults: Defaults) -> Iterator[pyarrow.RecordBatch]:
    import pyarrow.ipc

    held = mmap.mmap(sys.stdin.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    with pyarrow.ipc.open_stream(pyarrow.py_buffer(held)) as reader:
        wanted = _wanted(reader.schema, name, defaults)
        for batch in reader:
            batch.validate(full=True)  # offsets can point anywhere in a file from elsewhere
            for start in range(0, batch.num_rows, BATCH_ROWS):
                few = batch.slice(start, BATCH_ROWS)
                yield _plain_batch(few, reader.schema, wanted, defaults)


def _wanted(schema: pyarrow.Schema, name: str, defaults: Defaults) -> list[str]:
    """The columns that say something of a pair; the others are not unpacked."""
    reading.demand_distinct(schema.names, name)
    return [key for key in schema.names if shapes.is_read(key, defaults)]


def _plain_batch(
    batch: pyarrow.RecordBatch, schema: pyarrow.Schema, wanted: list[str], defaults: Defaults
) -> pyarrow.RecordBatch:
    """A batch with all columns that are not ignored, those that nobody reads without values."""
    import pyarrow

    names = [key for key in schema.names if key not in defaults.ignored]
    columns = [
        _plain_column(batch.column(batch.schema.names.index(key)), key)
        if key in wanted
        else pyarrow.nulls(batch.num_rows)
        for key in names
    ]
    stated = (schema.metadata or {}).get(HUGGINGFACE)
    metadata = None if stated is None else {HUGGINGFACE: stated}
    if not columns:  # a batch without columns has no rows
        names, columns = [""], [pyarrow.nulls(batch.num_rows)]
    return pyarrow.RecordBatch.from_arrays(columns, names=names, metadata=metadata)


def _plain_column(column: pyarrow.Array, key: str) -> pyarrow.Array:
    plain = _plain(column.type, key)
    return column if plain == column.type else column.cast(plain)


def _plain(kind: pyarrow.DataType, key: str) -> pyarrow.DataType:
    """The type in which every value takes the room that it needs, and stands for itself alone.

    Raises:
        Refused: a type that no row of captures has.
    """
    import pyarrow
    from pyarrow import types

    if isinstance(kind, pyarrow.BaseExtensionType):
        return _plain(kind.storage_type, key)
    if types.is_dictionary(kind):
        return _plain(kind.value_type, key)
    if types.is_string_view(kind):
        return pyarrow.string()
    if types.is_binary_view(kind):
        return pyarrow.binary()
    if types.is_struct(kind):
        return pyarrow.struct([(part.name, _plain(part.type, key)) for part in kind])
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(_plain(kind.value_type, key), kind.list_size)
    if types.is_large_list(kind):
        return pyarrow.large_list(_plain(kind.value_type, key))
    if types.is_list(kind):
        return pyarrow.list_(_plain(kind.value_type, key))
    if types.is_nested(kind) or types.is_run_end_encoded(kind):
        raise Refused(
            "E_IMPORT_ARROW",
            f"the column {key[:60]!r} has a type that rows do not have: {str(kind)[:60]}",
            where=key[:60],
            hint=f"leave it out: --ignore-key {key[:60]}",
        )
    return kind


def values(column: pyarrow.Array) -> int:
    """How many values a column of lists and structures holds, each of which Python needs."""
    from pyarrow import types

    if types.is_struct(column.type):
        return sum(map(values, column.flatten()))
    if types.is_nested(column.type):
        return len(column) + values(column.flatten())
    return len(column)


if __name__ == "__main__":
    sys.modules["numpy"] = None  # type: ignore[assignment]  # 11 MiB, of which nothing is needed
    raise SystemExit(main(sys.argv[1:]))
