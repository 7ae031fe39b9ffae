"""Capture: captures as rows of one Parquet file that holds their images; see importers/parquet.py.

Images are structures of bytes and path, as Hugging Face's data sets have them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from kolm.capture import arrow
from kolm.capture.exporters.jsonl import row_of
from kolm.capture.exporting import Images, image_name
from kolm.capture.store import StoredCapture

if TYPE_CHECKING:
    import pyarrow
    from _typeshed import ReadableBuffer

_GROUP_BYTES = 16 << 20  # of a row group, about: readers hold one at a time


def pieces(rows: Iterable[StoredCapture], images: Images) -> Iterator[bytes]:
    """The bytes of the file, a row group at a time.

    Raises:
        Lacking: pyarrow is not installed.
    """
    arrow_, sink = arrow.library(), _Sink()
    with arrow.library("pyarrow.parquet").ParquetWriter(sink, _schema(arrow_)) as writer:
        for group in _groups(rows, images):
            writer.write_table(arrow_.Table.from_pylist(group, writer.schema))
            yield sink.taken()
    yield sink.taken()


def _groups(rows: Iterable[StoredCapture], images: Images) -> Iterator[list[dict[str, object]]]:
    group, size = list[dict[str, object]](), 0
    for row in rows:
        shown = [
            {"bytes": images.data(image), "path": image_name(image)} for image in row.capture.images
        ]
        group.append({"image": shown, **row_of(row.capture)})
        size += len(row.data) + sum(image.bytes for image in row.capture.images)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _schema(arrow_: ModuleType) -> pyarrow.Schema:
    """The keys of a row and their types."""
    text, number = arrow_.string(), arrow_.int64()

    def record(**fields: pyarrow.DataType) -> pyarrow.DataType:
        return arrow_.struct(list(fields.items()))

    part = record(type=text, text=text, image=number)
    turn = record(role=text, content=arrow_.list_(part))
    correction = record(start=number, end=number, replacement=text)
    columns = {
        "image": arrow_.list_(record(bytes=arrow_.binary(), path=text)),
        "prompt": text,
        "response": text,
        "messages": arrow_.list_(turn),
        "placeholder": text,
        "references": arrow_.list_(text),
        "rejected": text,
        "corrections": arrow_.list_(correction),
        "tags": arrow_.list_(text),
        "license": text,
        "split": text,
        "source": record(kind=text, name=text),
    }
    return arrow_.schema(list(columns.items()))


class _Sink(io.RawIOBase):
    """A file that hands over what was written into it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Keep bytes until they are taken."""
        self._pieces.append(bytes(data))
        self._written += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        """How many bytes have been written in all."""
        return self._written

    def taken(self) -> bytes:
        """What was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)
