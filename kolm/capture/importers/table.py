"""Capture: rows of a table, CSV or TSV, whose first line names the columns.

RFC 4180 with comma, semicolon or tab, whichever the first line holds most of. An empty cell says
nothing; ``messages`` and ``conversations`` hold JSON.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kolm.capture import file_limits, reading
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.importers.drafting import drafts
from kolm.capture.sources import Folder
from kolm.errors import Refused

_DELIMITERS = ("\t", ";", ",")


def rows(path: Path, folder: Folder, defaults: Defaults) -> Iterator[Draft | BadRow]:
    """The rows of a file.

    Raises:
        Refused: the file is not UTF-8, its first line names no columns, or it has more rows than
            one of its size may.
    """
    return drafts(_located(path), folder, defaults)


def _located(path: Path) -> Iterator[reading.Located]:
    name = reading.name_of(path)
    csv.field_size_limit(file_limits.MAX_ROW_BYTES)
    with reading.opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        try:
            first = text.readline(file_limits.MAX_ROW_BYTES)
            delimiter = max(_DELIMITERS, key=first.count)
            named = next(csv.reader([first], delimiter=delimiter), [])
            columns = [column.strip() for column in named]
            if len(columns) < 2:
                raise Refused(
                    "E_IMPORT_COLUMNS",
                    "the first line does not name columns",
                    where=f"{name}:1",
                    expected="image, prompt and response, with commas, semicolons or tabs between",
                    found=first.strip()[:80],
                )
            reading.demand_distinct([column for column in columns if column], f"{name}:1")
            reader = csv.reader(text, delimiter=delimiter, strict=True)
            counted, number = reading.counted_of(stream), 0
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    where = f"{name}:{reader.line_num + 1}"
                    yield where, BadRow(where=where, code="E_ROW_FIELD", reason=str(error))
                    continue
                if cells:
                    number += 1
                    counted.demand_few(number)
                    yield _row(columns, cells, f"{name}:{reader.line_num + 1}")
        except UnicodeDecodeError as error:
            raise Refused(
                "E_IMPORT_ENCODING",
                "the table is not UTF-8",
                where=name,
                found=f"the byte {error.object[error.start]:#04x}",
                hint="iconv -f LATIN1 -t UTF-8 FILE > NEW, if it is Latin-1",
            ) from None
        finally:
            text.detach()


def _row(columns: list[str], cells: list[str], where: str) -> reading.Located:
    if len(cells) != len(columns):
        reason = f"the row has {len(cells)} cells and the first line {len(columns)}"
        return where, BadRow(where=where, code="E_ROW_FIELD", reason=reason)
    named = zip(columns, cells, strict=True)
    value: dict[str, Any] = {key: cell for key, cell in named if cell != ""}
    if "tags" in value:
        value["tags"] = [tag.strip() for tag in value["tags"].split(",")]
    return where, value
