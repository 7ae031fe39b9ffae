"""Run: the state of an earlier training that one goes on from, wherever it lies.

It is the last one of a finished training of this project or of another one, or the last checkpoint
of a bundle that publishes them. A spec names it by its digest, so that nothing else is taken.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from kolm import canonical, digest, paths, schema, system
from kolm.bundle.container import open_container
from kolm.bundle.documents import Documents
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.format import names
from kolm.records import kinds
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS, FACTS, RESULT
from kolm.run.stages import TRAIN
from kolm.score.overlap import Learned, learned

if TYPE_CHECKING:
    from kolm.records.documents import SnapshotRow, TraceRowCheckpoint


class Earlier(NamedTuple):
    """The end of a training: the folder of its result, or a bundle; its state and its chain."""

    place: Path
    state: Digest
    chain: Digest


def find_state(places: Sequence[Path], state: str) -> Earlier:
    """The training that ended in a state.

    Args:
        places: where to look: folders of a project's stages, and bundles.
        state: digest of the state.

    Raises:
        Unreadable: ``E_TRAIN_CONTINUES``, it is in none of them.
        KolmError: a bundle cannot be read.
    """
    seen: list[str] = []
    for place in places:
        ends = [_end_of_bundle(place)] if place.is_file() else list(_ends_of_project(place))
        for end in ends:
            if end.state == state:
                return end
        seen.append(f"{place}: {', '.join(end.state for end in ends) or 'no finished training'}")
    raise Unreadable(
        "E_TRAIN_CONTINUES",
        "no training ended in the state that train.continues names, where it was looked for",
        where="train.continues",
        expected=state,
        found="\n".join(seen),
        hint="train.continues_from names another project's folder, or a bundle that was made with "
        "publish.checkpoints: bundle; kolm clean may have freed the training",
    )


def _ends_of_project(runs: Path) -> Iterator[Earlier]:
    for folder in sorted(runs.glob(f"{TRAIN.name}-*")):
        if (folder / RESULT).is_file() and (folder / FACTS).is_file():
            facts = schema.check(
                kinds.TRAIN_FACTS, files.read_document(folder, FACTS), where=str(folder / FACTS)
            )
            yield Earlier(folder, Digest(facts["state_last"]), Digest(facts["chain"]))


def _end_of_bundle(path: Path) -> Earlier:
    """The last checkpoint of a bundle's trace; its chain is followed from the first one."""
    documents = Documents.of(open_container(path))
    earlier = documents.document(names.LOCK)["train"]["continues"]
    chain = None if earlier is None else earlier["chain"]
    last: TraceRowCheckpoint | None = None
    for row in documents.rows(names.TRACE):
        if row["kind"] == "checkpoint":
            last, chain = row, digest.chain(chain, row["state"]) if chain else row["state"]
    if last is None or last["chain"] != chain:
        message = "the bundle's trace has no checkpoint, or its chain does not hold"
        raise Refused("E_TRAIN_CONTINUES", message, where=str(path))
    return Earlier(path, last["state"], last["chain"])


def learned_by(earlier: Earlier) -> Learned:
    """What an earlier training learned from, as the lines of its snapshot say."""
    if earlier.place.is_file():
        return learned(Documents.of(open_container(earlier.place)).rows(names.LINES))
    data = files.read(earlier.place, names.LINES)
    lines = canonical.read_lines(data, where=str(earlier.place / names.LINES))
    return learned(cast("SnapshotRow", row) for _, _, row in lines)


@contextlib.contextmanager
def checkpoints_of(earlier: Earlier, runs: Path) -> Iterator[Path]:
    """The folder in whose checkpoints the state is, seen from a folder of `runs`, while it is held.

    Raises:
        Unreadable: ``E_TRAIN_CONTINUES``, a bundle that does not hold its checkpoints.
        Refused: ``E_RUN_BUSY``, another compile holds the training; or the checkpoint is none.
    """
    place = earlier.place
    if place.is_dir():
        with files.held(place):
            # Beside each other they are found in a project that is moved, too.
            yield Path("..") / place.name if place.parent == runs else place.absolute()
        return
    documents = Documents.of(open_container(place))
    for name in documents.names:
        is_state = name.startswith("checkpoint-") and name.endswith(".json")
        if is_state and documents.digest_of(name) == earlier.state:
            break
    else:
        raise Unreadable(
            "E_TRAIN_CONTINUES",
            "the bundle does not hold its last state",
            where=str(place),
            expected=earlier.state,
            hint="compile it again with publish.checkpoints: bundle, or name its project's folder",
        )
    documents.value(name)  # a stranger's: the trainer reads it as one of this machine's own
    with system.naming(runs), tempfile.TemporaryDirectory(prefix="state-", dir=runs) as folder:
        for part in (name, str(Path(name).with_suffix(".safetensors"))):
            paths.atomic_write(Path(folder) / CHECKPOINTS / part, documents.raw(part))
        yield Path(folder)
