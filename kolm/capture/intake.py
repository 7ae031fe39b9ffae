"""Capture: drafts into a store, all of them or none, with every bad row named.

Each distinct image file is read and decoded once, however many rows show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kolm import canonical, outputs
from kolm.capture import limits, sources
from kolm.capture.addition import Addition
from kolm.capture.drafts import BadRow, Draft, FileImage, ImageSource
from kolm.capture.store import CaptureStore
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

    def to_document(self) -> Mapping[str, Any]:
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
    reporter: Reporter | None = None,
) -> Taken:
    """Add rows to a store.

    Args:
        store: where to.
        rows: what an importer yields.
        skip_bad: leave bad rows out and list them, instead of adding nothing.
        reporter: hears how far it is.

    Raises:
        Refused: ``E_IMPORT_BAD_ROWS`` when there are bad rows and `skip_bad` is off; nothing has
            been added then.
    """
    told = reporter or Silent()
    told.started(STAGE, None, "rows")
    refused: list[BadRow] = []
    with store.adding() as addition:
        reader = _ImageReader(addition)
        count = 0
        for count, row in enumerate(rows, 1):
            if isinstance(row, BadRow):
                refused.append(row)
            else:
                bad = _add(row, addition, reader)
                if bad is not None:
                    refused.append(bad)
            if count % REPORT_EVERY_ROWS == 0:
                told.advanced(STAGE, count, refused=len(refused))
        if refused and not skip_bad:
            raise bad_rows(refused, count)
        added = addition.commit()
    known = count - len(refused) - added.captures
    told.finished(STAGE, rows=count, new=added.captures, refused=len(refused))
    return Taken(captures=added.captures, known=known, images=added.images, refused=tuple(refused))


def bad_rows(refused: list[BadRow], count: int) -> Refused:
    """The error that names the bad rows of an import."""
    if count == 1:
        return Refused(refused[0].code, refused[0].reason, where=refused[0].where)
    named = [f"{row.where}: {row.reason} [{row.code}]" for row in refused]
    shown = named[: limits.MAX_NAMED_PROBLEMS]
    rest = len(named) - len(shown)
    more = [f"and {rest} more"] if rest else []
    return Refused(
        "E_IMPORT_BAD_ROWS",
        f"{len(refused)} of {count} rows cannot be taken; nothing was added",
        where=refused[0].where,
        found="\n".join([*shown, *more]),
        hint="mend the rows, or leave them out with --skip-bad",
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
            raise known
        return known

    def _read(self, source: FileImage, where: str) -> Image | Refused:
        try:
            return self._addition.image(sources.load(source, where=where), where=where)
        except Refused as error:
            return error


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
            rejected=draft.rejected,
            corrections=draft.corrections,
        )
        addition.capture(capture, where=draft.where, origin=draft.where)
    except Refused as error:
        return BadRow.of(error, draft.where)
    return None
