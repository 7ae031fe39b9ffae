"""Capture: drafts into a store, all of them or none, with every bad row named.

Each distinct image file is read and decoded once, however many rows show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import digits

from kolm import canonical, outputs
from kolm.capture import file_limits, limits, sources
from kolm.capture.addition import Addition
from kolm.capture.drafts import BadRow, Draft, FileImage, ImageSource
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.errors import Refused
from kolm.events import Reporter, Silent
from kolm.records.capture import Capture, Image

STAGE = "import"
REPORT_EVERY_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What an intake did.

    Attributes:
        captures: how many were new.
        known: how many the store had already, or the rows held twice.
        images: how many image files were new.
        refused: the rows that were left out.
    """

    captures: int
    known: int
    images: int
    refused: tuple[BadRow, ...]

    def to_document(self) -> Mapping[str, object]:
        """A plain document."""
        return {
            "captures": self.captures,
            "images": self.images,
            "known": self.known,
            "refused": [row.to_document() for row in self.refused],
        }


def take_in(
    store: CaptureStore,
    rows: Iterable[Draft | BadRow],
    *,
    skip_bad: bool = False,
    where: str = "",
    reporter: Reporter | None = None,
) -> Taken:
    """Add rows to a store.

    Args:
        store: where to.
        rows: what an importer yields.
        skip_bad: leave bad rows out and list them, instead of adding nothing.
        where: what the rows are read from.
        reporter: hears how far it is.

    Raises:
        Refused: ``E_IMPORT_BAD_ROWS`` when there are bad rows and `skip_bad` is off; nothing has
            been added then.
    """
    told = reporter or Silent()
    told.started(STAGE, None, "rows")
    bad_ones = _BadRows(keep_all=skip_bad)
    with store.adding() as addition:
        reader = _ImageReader(addition)
        count, notices = 0, Counter[str]()
        for count, row in enumerate(rows, 1):
            bad = row if isinstance(row, BadRow) else _add(row, addition, reader)
            if isinstance(row, Draft) and bad is None:
                notices.update(row.told)
            if bad is not None:
                bad_ones.add(bad, count)
            if count % REPORT_EVERY_ROWS == 0:
                told.advanced(STAGE, count, refused=bad_ones.count)
        if bad_ones.count and (not skip_bad or bad_ones.count == count):
            raise bad_ones.error(count)
        if not count:
            raise Refused("E_IMPORT_EMPTY", "there is no row to import", where=where)
        added = addition.commit()
    for notice, times in sorted(notices.items()):
        told.warned(f"{counted(times, 'row')}: {notice}")
    known = count - bad_ones.count - added.captures
    told.finished(STAGE, rows=count, new=added.captures, refused=bad_ones.count)
    return Taken(
        captures=added.captures, known=known, images=added.images, refused=tuple(bad_ones.rows)
    )


_PLACES_SHOWN = 10  # of rows that one thing is wrong with
_NO_ROWS = {"E_JSON_ENCODING", "E_JSON_SYNTAX", "E_ROW_TOO_LONG"}  # lines that are not JSON at all
_MEND = "mend the rows, or leave them out with --skip-bad"
_OTHER_FORMAT = "is this a file of rows, and of this format? kolm capture import --help lists them"


class _Alike:
    """Bad rows that one thing is wrong with: the first, how many, and where the first few are."""

    def __init__(self, first: BadRow) -> None:
        self.first = first
        self.count = 0
        self.places: list[str] = []

    def add(self, where: str) -> None:
        """Count one more; only the first are named."""
        self.count += 1
        if len(self.places) < _PLACES_SHOWN:
            self.places.append(where)

    def __str__(self) -> str:
        """Where, and what is wrong."""
        return f"{_named(self.places, self.count)}: {self.first.reason} [{self.first.code}]"


def _named(places: Sequence[str], count: int) -> str:
    """The first of `count` places, each after the first by its number alone."""
    first, *others = places[:_PLACES_SHOWN]
    stem = first.rstrip(digits)
    rest = count - len(others) - 1
    more = f" and {rest:,} more" if rest else ""
    return ", ".join([first, *(place.removeprefix(stem) for place in others)]) + more


def _hints(kinds: Sequence[_Alike]) -> list[str]:
    """What helps, each once; where it does not help all that are told, with its rows."""
    helped: dict[str, list[_Alike]] = {}
    for kind in kinds:
        helped.setdefault(kind.first.hint, []).append(kind)
    if len(helped) == 1:
        return list(filter(None, helped))
    return [
        f"{_named([p for one in some for p in one.places], sum(one.count for one in some))}: {hint}"
        for hint, some in helped.items()
        if hint
    ]


class _BadRows:
    """The bad rows of one import: all of them if they are to be listed, and the first kinds."""

    def __init__(self, *, keep_all: bool) -> None:
        self.count = 0
        self.rows: list[BadRow] = []
        self._keep_all = keep_all
        self._kinds: dict[tuple[str, str], _Alike] = {}

    def add(self, row: BadRow, rows_read: int) -> None:
        """Count one more.

        Raises:
            Refused: ``E_IMPORT_BAD_ROWS``: there are so many that reading on shows nothing new.
        """
        self.count += 1
        # Pictures that are not there are alike whatever their names, if the same helps.
        kind = (row.code, row.hint if row.code == "E_IMAGE_FILE" else row.reason)
        if kind not in self._kinds and len(self._kinds) < file_limits.MAX_NAMED_PROBLEMS:
            self._kinds[kind] = _Alike(row)
        if kind in self._kinds:
            self._kinds[kind].add(row.where)
        if self.count > file_limits.MAX_BAD_ROWS:
            raise self.error(rows_read)
        if self._keep_all:
            self.rows.append(row)

    def error(self, rows_read: int) -> Refused:
        """The error that names them, as far as one message can."""
        kinds = list(self._kinds.values())
        first = kinds[0].first
        if rows_read == 1:
            return first.error()
        others = self.count - sum(kind.count for kind in kinds)
        rest = [f"and {counted(others, 'other row')}"] if others else []
        none_reads = self.count == rows_read and {kind.first.code for kind in kinds} <= _NO_ROWS
        return Refused(
            "E_IMPORT_BAD_ROWS",
            f"{self.count} of {counted(rows_read, 'row')} cannot be taken; nothing was added",
            where=first.where,
            expected=first.expected if len({kind.first.expected for kind in kinds}) == 1 else "",
            found="\n".join([*map(str, kinds), *rest]),
            hint="\n".join([*_hints(kinds), _OTHER_FORMAT if none_reads else _MEND]),
        )


def list_refused(taken: Taken, target: Path, *, force: bool = False) -> None:
    """Write the refused rows of an intake as JSON Lines: code, reason and where of each.

    Raises:
        Usage: ``E_TARGET_EXISTS``: another file is there and `force` is off.
    """
    data = canonical.dump_lines(row.to_document() for row in taken.refused)
    outputs.write(target, data, force=force)


class _ImageReader:
    """Reads the file of an image once, however many rows name it."""

    def __init__(self, addition: Addition) -> None:
        self._addition = addition
        self._by_path: dict[Path, Image | Refused] = {}

    def image(self, source: ImageSource, where: str) -> Image:
        if not isinstance(source, FileImage):
            return self._addition.image(source.data, where=where)
        known = self._by_path.get(source.path)
        if known is None:
            known = self._read(source, where)
            self._by_path[source.path] = known
        if isinstance(known, Refused):
            raise known.again()
        return known

    def _read(self, source: FileImage, where: str) -> Image | Refused:
        try:
            data = sources.load(source, where=where)
        except Refused as error:
            return error.again()
        try:
            return self._addition.image(data, where=where)
        except Refused as error:
            return error.again(message=f"{source.path.name}: {error.message}")


def _add(draft: Draft, addition: Addition, reader: _ImageReader) -> BadRow | None:
    try:
        if len(draft.images) > limits.MAX_IMAGES:
            raise Refused(
                "E_CAPTURE_RULE",
                "the row has more images than a capture may have",
                where=draft.where,
                expected=f"at most {limits.MAX_IMAGES}",
                found=str(len(draft.images)),
            )
        capture = Capture(
            images=tuple(reader.image(source, draft.where) for source in draft.images),
            license=draft.license,
            messages=draft.messages,
            source=draft.source,
            split=draft.split,
            tags=draft.tags,
            references=draft.references,
            rejected=draft.rejected,
            corrections=draft.corrections,
        )
        addition.capture(capture, where=draft.where, origin=draft.where)
    except Refused as error:
        return BadRow.of(error, draft.where)
    return None
