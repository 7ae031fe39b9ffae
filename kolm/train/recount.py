"""Train: encode drawn captures again, in a child process of an audit.

The run folder holds the lock, where this machine keeps base and captures, and in `drawn.json` what
the auditor drew; `recounted.json` has what the trainer would write of each of them, and what the
tower would be shown. Comparing it is the verifier's work.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kolm.capture.store import CaptureStore
from kolm.encode.encoder import Encoder
from kolm.events import Reporter
from kolm.models.pictures import picture_processor
from kolm.records.sides import LEARNED
from kolm.run import folder as files
from kolm.run.names import DRAWN, RECOUNTED
from kolm.train.prepare import SnapshotRow, encode_split

if TYPE_CHECKING:
    from kolm.digest import Digest
    from kolm.encode.examples import ImageUse
    from kolm.records.documents import ExamplesRow
    from kolm.run.documents import RecountedPicture


def recount_folder(folder: Path, reporter: Reporter) -> None:
    """Encode what was drawn, by the code that a training encodes with, and write its rows.

    Raises:
        KolmError: base or captures cannot be read, or a capture cannot be encoded.
    """
    places = files.read_places(folder)
    encoder = Encoder.of(files.read_lock(folder), picture_processor(places.base))
    sides = files.read_document(folder, DRAWN)["sides"]
    rows: dict[Digest, ExamplesRow] = {}
    pictures: dict[Digest, list[RecountedPicture]] = {}
    with CaptureStore.open_to_read(places.captures) as store:
        held = sorted(sides.keys() & {stored.id for stored in store.rows()})
        drawn = [SnapshotRow(capture=capture, split=sides[capture]) for capture in held]
        for side in LEARNED:
            captures = [row.capture for row in drawn if row.split == side]
            encoded = encode_split(drawn, side, store, encoder, reporter)
            rows |= zip(captures, encoded.rows, strict=True)
            pictures |= {
                captures[example.position]: [_shown(use) for use in example.images]
                for example in encoded.examples
            }
    files.write_document(folder, RECOUNTED, {"rows": rows, "pictures": pictures})


def _shown(use: ImageUse) -> RecountedPicture:
    sequences, numbers = use.shown
    return {
        "pixels": use.pixels,
        "max_pixels": use.max_pixels or 0,
        "among": use.among,
        "sequences": sequences,
        "numbers": numbers,
    }
