"""The official easy-VQA data set, from its package to a snapshot."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from time import process_time

import pytest

pytest.importorskip("easy_vqa")

from decimal import Decimal

from kolm.capture import importers, intake, snapshot
from kolm.capture.store import CaptureStore
from kolm.format.split import SplitRule
from tests.support.pictures import DEFAULTS

PACKAGE = Path("easy-vqa")
# Of processor time, which is not lengthened by whatever else runs: a minute of a shared core.
IMPORT_SECONDS = 30
SNAPSHOT_SECONDS = 10


def test_rows_carry_their_official_side_licence_and_kind() -> None:
    rows = list(importers.rows(PACKAGE, defaults=DEFAULTS))
    sides = [row.split for row in rows]
    assert (sides.count("train"), sides.count("eval")) == (38_575, 9_673)
    assert {row.license for row in rows} == {"MIT"}
    assert {row.source.name for row in rows} == {"easy-vqa 1.0"}
    boolean = [row for row in rows if row.tags == ("boolean",)]
    assert len(boolean) == 28_407 + 7_136
    assert rows[0].where == "easy-vqa train row 1"


def test_the_first_rows_are_taken(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store:
        taken = intake.take_in(store, islice(importers.rows(PACKAGE, defaults=DEFAULTS), 100))
        assert (taken.captures, taken.refused) == (100, ())
        assert store.verify()[0] == 100


@pytest.mark.slow
def test_the_whole_set_is_imported_and_frozen_in_time(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store:
        since = process_time()
        taken = intake.take_in(store, importers.rows(PACKAGE, defaults=DEFAULTS))
        assert process_time() - since < IMPORT_SECONDS
        assert (taken.captures, taken.images, taken.refused) == (48_248, 5_000, ())
        since = process_time()
        frozen = snapshot.take(store, SplitRule(validation=Decimal("0.02")))
        assert process_time() - since < SNAPSHOT_SECONDS
    sides = frozen.header["splits"]
    assert sides["eval"] == {"captures": 9_673, "images": 1_000}
    assert sides["train"]["captures"] + sides["validation"]["captures"] == 38_575
    assert sides["train"]["images"] + sides["validation"]["images"] == 4_000
    # Recomputed on any machine from the package's own files.
    assert frozen.header["root"] == (
        "sha256:e36348c2f63da2f570bf4b91e8ff6c5b1ce3656d7c027246ad30bcd2b68e1b32"
    )
