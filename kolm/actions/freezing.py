"""The compositions: from a spec's captures, or rows from Python, to a snapshot of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import digest
from kolm.actions.project import Project
from kolm.bundle.members import kind_of
from kolm.capture.intake import take_in
from kolm.capture.rows import from_python
from kolm.capture.snapshot import Snapshot, take
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.errors import Refused
from kolm.events import Reporter
from kolm.format.split import SplitRule
from kolm.records.spec import Spec

if TYPE_CHECKING:
    from kolm.verify.requests import Request


def freeze(
    spec: Spec,
    place: Project,
    request: Request | None,
    rows: Iterable[Mapping[str, object]] | None,
    reporter: Reporter,
) -> tuple[Path, Snapshot]:
    """The capture store of a spec, or one made of rows, and its captures, frozen and divided.

    Raises:
        KolmError: they cannot be read, or divided so.
    """
    folder = place.folder / spec.data.captures
    if rows is not None:
        folder = store_rows(rows, place, reporter)
    with CaptureStore.open_to_read(folder) as store:
        return folder, take(store, split_rule(spec, request))


def split_rule(spec: Spec, request: Request | None = None) -> SplitRule:
    """The split that a spec asks for; a request's nonce draws it."""
    split = spec.data.split
    held_out = {} if split.eval is None else {"eval": Decimal(split.eval)}
    return SplitRule(
        kind=split.kind,
        validation=Decimal(split.validation),
        near_duplicates=spec.data.near_duplicates,
        nonce=None if request is None else request.said["nonce"],
        **held_out,
    )


def demand_fit(spec: Spec, snapshot: Snapshot) -> None:
    """Demand that a bundle can hold a snapshot, whose eval side is the pack that the spec names,
    whole and alone.

    Raises:
        Refused: ``E_PACK_DIFFERS``, or ``E_CONTAINER_LIMIT``.
    """
    _demand_pack(spec, snapshot)
    for name, data in snapshot.files().items():  # rather than after hours of training
        kind_of(name).limit.hold(len(data), where=name)


def _demand_pack(spec: Spec, snapshot: Snapshot) -> None:
    wanted, found = spec.evaluation.pack, snapshot.pack_root
    if wanted in (None, found):
        return
    held = snapshot.header["splits"]["eval"]["captures"]
    raise Refused(
        "E_PACK_DIFFERS",
        "the eval side is not the pack that is to be scored",
        where="evaluation.pack",
        expected=str(wanted),
        found=f"{found}, of {counted(held, 'capture')}",
        hint="import the pack as it was handed over, and let no other capture state the side eval: "
        "kolm capture list shows what each states",
    )


def store_rows(rows: Iterable[Mapping[str, object]], place: Project, reporter: Reporter) -> Path:
    """Put rows from Python into a store of their own; equal rows give the same folder.

    Raises:
        Refused: a row cannot be taken; nothing is kept then.
    """
    place.rows_folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=place.rows_folder))
    try:
        with CaptureStore.open(making / "store", create=True) as store:
            take_in(store, from_python(rows), reporter=reporter)
            ids = digest.merkle_root(digest.raw_of(row.id) for row in store.rows())
        kept = place.rows_folder / digest.hex_of(ids)[:16]
        if not kept.exists():
            (making / "store").rename(kept)
        return kept
    finally:
        shutil.rmtree(making)
