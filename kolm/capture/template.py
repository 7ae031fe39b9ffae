"""Capture: rows for a person to fill in, from a folder of pictures.

A row's answer is a template, ``[ANNOTATE: …]``, which no capture may hold (rule C11), so a file
that is not filled in is refused by an import, row by row.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kolm import canonical, system
from kolm.errors import Refused, Usage

# Pictures are told by their names here; what is in them the import looks at.
TAKEN = (".png", ".jpg", ".jpeg", ".webp")
_OTHERS = (".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".svg")
# What would end the template before its time, or spread it over lines.
_UNWRITABLE = re.compile(r"[\[\]\x00-\x1f\x7f\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x1f]")
_FORMULA = ("=", "+", "-", "@")
ANSWER, WORSE = "the answer", "a worse answer"
MARK = "\ufeff"  # by which spreadsheets know that a table is UTF-8; an import reads over it

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The pictures of a folder.

    Attributes:
        names: paths from the folder on, in the order of their names.
        left_out: files that are pictures of a format which is not taken.
    """

    names: tuple[str, ...]
    left_out: int


def pictures(folder: Path) -> Pictures:
    """The pictures of a folder and of the folders in it, hidden ones left out.

    Raises:
        Refused: there is none, or a name cannot be written.
        KolmError: the folder cannot be read.
    """
    names, left_out = [], 0
    for name in _files(folder):
        suffix = Path(name).suffix.lower()
        left_out += suffix in _OTHERS
        if suffix not in TAKEN:
            continue
        if _CONTROL.search(name) or not canonical.has_utf8(name):
            raise Refused(
                "E_IMAGE_PATH",
                "a row cannot hold the name of the picture",
                where=str(folder),
                found=ascii(name)[:200],
                hint="rename the file",
            )
        names.append(name)
    if not names:
        raise Refused(
            "E_TEMPLATE_NO_PICTURES",
            "the folder holds no picture",
            where=str(folder),
            expected=", ".join(TAKEN),
            found=f"{left_out} of other formats" if left_out else "",
        )
    return Pictures(names=tuple(names), left_out=left_out)


def _files(folder: Path) -> list[str]:
    found = []

    def failed(error: OSError) -> None:
        raise error

    with system.naming(folder):
        for place, below, files in os.walk(folder, onerror=failed):
            below[:] = [name for name in below if not name.startswith(".")]
            near = Path(place).relative_to(folder)
            found += [(near / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def unfilled(text: str) -> str:
    """The template of a text.

    Raises:
        Usage: ``E_TEMPLATE_TEXT``: its words would not fit into one.
    """
    if _UNWRITABLE.search(text) or not canonical.has_utf8(text):
        raise Usage(
            "E_TEMPLATE_TEXT",
            "what is to be filled in is said on one line and without brackets",
            found=repr(text)[:80],
        )
    return f"[ANNOTATE: {text}]"


def rows(
    names: Iterable[str],
    prompts: Sequence[str],
    *,
    in_turn: bool = False,
    answer: str = ANSWER,
    rejected: bool = False,
    stated: Row,
) -> Iterator[Row]:
    """The rows of pictures: every prompt about each, or one prompt in turn.

    Args:
        names: of the pictures.
        prompts: at least one.
        in_turn: the first picture gets the first prompt, the second the second, and so on.
        answer: what a person is to fill in.
        rejected: a worse answer is to be filled in too.
        stated: what every row says beside.
    """
    empty: Row = {"response": unfilled(answer)}
    if rejected:
        empty["rejected"] = unfilled(WORSE)
    for number, name in enumerate(names):
        asked = [prompts[number % len(prompts)]] if in_turn else prompts
        for prompt in asked:
            yield {"image": name, "prompt": prompt, **empty, **stated}


def lines(given: Iterable[Row]) -> Iterator[bytes]:
    """Rows as JSON Lines, the keys in the order of a row."""
    import json

    for row in given:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


def table(given: Iterable[Row]) -> Iterator[bytes]:
    """Rows as CSV with a line of column names.

    A spreadsheet computes what begins like a formula, and anybody may have named the pictures: a
    name never begins so.
    """
    made = io.StringIO(newline="")
    writer = csv.writer(made, lineterminator="\n")
    for number, row in enumerate(given):
        if not number:
            made.write(MARK)
            writer.writerow(row)
        cells = row.values()
        told = [",".join(cell) if isinstance(cell, list) else str(cell) for cell in cells]
        if told[0].startswith(_FORMULA):
            told[0] = f"./{told[0]}"
        writer.writerow(told)
        yield made.getvalue().encode()
        made.seek(0)
        made.truncate()


FORMATS: dict[str, Callable[[Iterable[Row]], Iterator[bytes]]] = {"jsonl": lines, "csv": table}
