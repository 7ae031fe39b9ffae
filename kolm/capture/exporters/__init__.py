"""Capture: exporters, one file a format: captures to files that import to the same captures again.

Each format has `pieces(rows, images)`, which yields the file's bytes and asks `images` for what it
shows: a path, which writes the original bytes into a folder beside the file, or the bytes. A new
format is one file here and one line in `TABLE`; the importer of the same name reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm.capture import importers
from kolm.errors import Usage

if TYPE_CHECKING:
    from kolm.capture.exporting import Images
    from kolm.capture.store import StoredCapture

Pieces = Callable[["Iterator[StoredCapture]", "Images"], Iterator[bytes]]


class Exporter(NamedTuple):
    """A format that captures are written in.

    Attributes:
        module: in this package; its `pieces(rows, images)` yields the file's bytes.
        help: what it is, in a few words.
        pairs: it holds a better and a worse answer; captures without a rejected one have no place.
    """

    module: str
    help: str
    pairs: bool = False

    @property
    def pieces(self) -> Pieces:
        """The `pieces` function of the format."""
        writer: Pieces = import_module(f"kolm.capture.exporters.{self.module}").pieces
        return writer


TABLE: dict[str, Exporter] = {
    "jsonl": Exporter("jsonl", "one JSON object per line"),
    "llava": Exporter("llava", "one JSON array of LLaVA conversations"),
    "parquet": Exporter("parquet", "Parquet, images within the file"),
    "trl": Exporter("trl", "preference rows of TRL, one JSON object per line", pairs=True),
    "llama-factory": Exporter(
        "llama_factory", "preference rows of LLaMA-Factory, one JSON array", pairs=True
    ),
    "rlhf-v": Exporter("rlhf_v", "preference rows of RLHF-V, one JSON object per line", pairs=True),
}


def guess(target: Path) -> str:
    """The format of a file to write, by its name.

    Raises:
        Usage: ``E_EXPORT_FORMAT``: it is the name of a format that is only read.
    """
    form = importers.guess(target)
    if form not in TABLE:
        raise Usage(
            "E_EXPORT_FORMAT",
            f"captures cannot be exported as {form}",
            where=str(target),
            expected=", ".join(TABLE),
            hint="choose another name, or a --format",
        )
    return form
