"""The compositions: captures into a store, out of it into a file, and frozen for a compile."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kolm import outputs, system
from kolm.capture import exporters, exporting, extras, importers, intake, reading, rows
from kolm.capture import snapshot as snapshots
from kolm.capture.drafts import Defaults, FileImage
from kolm.capture.exporting import Exported
from kolm.capture.intake import Taken
from kolm.capture.snapshot import Snapshot
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.errors import Denied, KolmError
from kolm.events import Reporter, Silent
from kolm.format.split import SplitRule, share
from kolm.records.capture import Source
from kolm.records.sides import Split


class TakenIn(NamedTuple):
    """What was taken in, what the store holds now, and where refused rows are listed."""

    taken: Taken
    total: int
    refused_file: Path | None


class Frozen(NamedTuple):
    """A snapshot, and its folder where it could be kept."""

    snapshot: Snapshot
    folder: Path | None


def add_capture(
    store: str | Path,
    *,
    images: Sequence[object] = (),
    prompt: str,
    response: str,
    references: Sequence[str] = (),
    rejected: str | None = None,
    tags: Sequence[str] = (),
    license: str = "",  # noqa: A002 - the row's word
    split: Split | None = None,
) -> TakenIn:
    """Add one capture to a store, which is made where there is none.

    Args:
        store: its folder.
        images: each a path, bytes of an image file, base64, a data URI or a PIL image.
        prompt: what is asked about the images.
        response: the answer that is right.
        references: further answers that are right, for scores that count several.
        rejected: an answer that is worse.
        tags: of the capture.
        license: SPDX id.
        split: the side that it is meant for.

    Raises:
        KolmError: an image is missing or cannot be read, or the row breaks a rule.
    """
    row = {
        "image": list(images),
        "prompt": prompt,
        "response": response,
        "references": list(references),
        "rejected": rejected,
        "tags": list(tags),
        "license": license,
        "split": split,
    }
    extras.pillow()  # what is missing is said before a store is made
    for image in images:
        named = rows.source_of(image, where="--image")
        if isinstance(named, FileImage):
            system.demand_there(named.path)
    drafts = rows.from_python([row], defaults=Defaults(source=Source(kind="add", name="")))
    with _store_for(Path(store)) as opened:
        return TakenIn(intake.take_in(opened, drafts), len(opened), None)


def import_captures(
    source: str | Path,
    *,
    store: str | Path,
    form: str | None = None,
    images: Path | None = None,
    options: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    license: str = "",  # noqa: A002 - the row's word
    split: Split | None = None,
    coerce: bool = False,
    ignored: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    refused: Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
) -> TakenIn:
    """Import rows into a store, which is made where there is none: all of them, or none.

    Args:
        source: a file, a folder, ``-`` for standard input, or the name of an installed package.
        store: its folder.
        form: the format, a name in `importers.TABLE`; by the source's name without it.
        images: the folder that image paths are relative to; the source's own without it.
        options: of the format alone.
        tags, license, split, coerce, ignored, renamed: as of `Defaults`.
        skip_bad: leave bad rows out and list them.
        refused: the file that lists them; ``refused/NAME.jsonl`` in the store without it.
        force: replace another file that `refused` names.
        reporter: hears how far it is, and warnings.

    Raises:
        KolmError: the source cannot be read, or there are bad rows and `skip_bad` is off.
    """
    path, folder, told = Path(source), Path(store), reporter or Silent()
    form = form or importers.guess(path)
    defaults = Defaults(
        source=Source(kind=form, name=reading.name_of(path)),
        license=license,
        split=split,
        tags=tuple(tags),
        coerce=coerce,
        ignored=frozenset(ignored),
        renamed=renamed or {},
    )
    drafts = importers.rows(path, form=form, images=images, defaults=defaults, options=options)
    extras.pillow()  # what is missing is said before a store is made
    if refused is not None:
        outputs.demand_free(refused, force=force)
    with _store_for(folder) as opened:
        taken = intake.take_in(opened, drafts, skip_bad=skip_bad, where=str(source), reporter=told)
        total = len(opened)
    if not taken.refused:
        return TakenIn(taken, total, None)
    listed = refused or folder / "refused" / f"{path.stem}.jsonl"
    intake.list_refused(taken, listed, force=force or refused is None)
    told.warned(f"{counted(len(taken.refused), 'bad row')} left out; see {listed}")
    return TakenIn(taken, total, listed)


@contextlib.contextmanager
def _store_for(folder: Path) -> Iterator[CaptureStore]:
    """The store to add to; one that was made for it goes again where nothing could be added."""
    new = not folder.exists()
    with CaptureStore.open(folder, create=True) as opened:
        try:
            yield opened
        except KolmError:
            if new:
                opened.discard_if_empty()
            raise


def export_captures(
    target: str | Path,
    *,
    store: str | Path,
    form: str | None = None,
    tags: Collection[str] = (),
    force: bool = False,
    reporter: Reporter | None = None,
) -> Exported:
    """Write captures to a file, and their images into it or beside it; an import reads it again.

    Args:
        target: the file.
        store: the folder of the store.
        form: the format, a name in `exporters.TABLE`; by the file's name without it.
        tags: only captures with all of these.
        force: replace existing files.
        reporter: hears how far it is.

    Raises:
        KolmError: the store cannot be read, or the file not be written.
    """
    file = Path(target)
    form = form or exporters.guess(file)
    with CaptureStore.open_to_read(Path(store)) as opened:
        return exporting.export(
            opened, file, form=form, tags=tags, replace=force, reporter=reporter
        )


def take_snapshot(
    store: str | Path,
    *,
    kind: str = "official",
    eval_share: str = "0.1",
    validation: str = "0.05",
    near_duplicates: str | None = None,
    reporter: Reporter | None = None,
) -> Frozen:
    """Freeze a store's captures under one root, split so that no image is on two sides.

    It is kept in the store's folder, unless that may not be written.

    Args:
        store: its folder.
        kind: ``official`` keeps the sides that rows state; ``hash`` divides by shares.
        eval_share: for a hash split.
        validation: share held out of train, unless the rows name their own.
        near_duplicates: across sides: ``refuse``, ``report``, ``drop`` or ``group``; by the kind
            without it.
        reporter: hears warnings.

    Raises:
        KolmError: the store cannot be read, or the split not be made.
    """
    told = reporter or Silent()
    rule = SplitRule(
        kind=kind,
        eval=share(eval_share),
        validation=share(validation),
        near_duplicates=near_duplicates,
    )
    with CaptureStore.open_to_read(Path(store)) as opened:
        taken = snapshots.take(opened, rule)
        if (warning := taken.told()) is not None:
            told.warned(warning)
        try:
            return Frozen(taken, snapshots.keep(opened, taken))
        except Denied as error:  # to look at a store, nobody needs to write into it
            told.warned(f"the snapshot is not kept: {error}")
            return Frozen(taken, None)
