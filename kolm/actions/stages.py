"""The compositions: the two stages of a compile, each found by its key or made in a child.

A stage's folder is named after its key, so that whatever depends on the same things finds it
there: the same compile after a kill, and another one that only changes a floor, a name, a price
or what is published. `kolm.run.stages` says what a key is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kolm import digest, paths, settings
from kolm.actions import children
from kolm.actions.preparing import Prepared, state_places
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.events import Reporter
from kolm.format import names
from kolm.run import folder as files
from kolm.run.earlier import checkpoints_of, find_state
from kolm.run.names import FEATURES
from kolm.run.stages import (
    EVALUATE,
    TRAIN,
    Stage,
    evaluate_key,
    is_done,
    make_ready,
    train_key,
)
from kolm.train.profile import child_environment


class Finished(NamedTuple):
    """The folders of a finished training and of the evaluation of what it made."""

    trained: Path
    evaluated: Path


def sides_read(prepared: Prepared) -> frozenset[str]:
    """The sides of the data that finished stages have read whole, so that nothing of them is left
    to find out."""
    lock, runs = prepared.lock, prepared.project.runs_folder
    key = train_key(lock)
    trained = runs / TRAIN.folder_name(key)
    if not is_done(TRAIN, trained, key):
        return frozenset()
    key = evaluate_key(
        lock,
        weights=digest.of_bytes(files.read(trained, names.WEIGHTS)),
        cases=digest.of_bytes(prepared.snapshot.files()[names.CASES]),
    )
    evaluated = is_done(EVALUATE, runs / EVALUATE.folder_name(key), key)
    return frozenset(("train", "validation", *(("eval",) if evaluated else ())))


@contextlib.contextmanager
def finished(prepared: Prepared, reporter: Reporter) -> Iterator[Finished]:
    """Both stages of a compile, finished; their folders are held until the block is left.

    Raises:
        KolmError: what a child reports; whatever it finished is found by the next call.
    """
    lock, runs = prepared.lock, prepared.project.runs_folder
    with contextlib.ExitStack() as holding:
        key = train_key(lock)
        trained = runs / TRAIN.folder_name(key)
        hold = holding.enter_context(files.held(trained))
        places = files.Places(
            base=prepared.base.folder,
            base_stamp=prepared.stamp,
            captures=prepared.store_folder,
            continued=_earlier(prepared, holding),
            features=paths.cache_folder() / FEATURES,
            features_bytes=settings.features_bytes(),
        )
        _finish(TRAIN, trained, key, prepared, places, reporter, hold)

        inputs = prepared.snapshot.files()
        key = evaluate_key(
            lock,
            weights=digest.of_bytes(files.read(trained, names.WEIGHTS)),
            cases=digest.of_bytes(inputs[names.CASES]),
        )
        evaluated = runs / EVALUATE.folder_name(key)
        hold = holding.enter_context(files.held(evaluated))
        beside = Path("..") / trained.name  # so that a project that is moved finds it
        _finish(EVALUATE, evaluated, key, prepared, places._replace(adapter=beside), reporter, hold)
        yield Finished(trained=trained, evaluated=evaluated)


def _earlier(prepared: Prepared, holding: contextlib.ExitStack) -> Path | None:
    """The folder of the training that this one goes on from, held as long."""
    continued = prepared.lock["train"]["continues"]
    if continued is None:
        return None
    found = find_state(state_places(prepared.spec, prepared.project), continued["state"])
    return holding.enter_context(checkpoints_of(found, prepared.project.runs_folder))


def _finish(
    stage: Stage,
    folder: Path,
    key: Digest,
    prepared: Prepared,
    places: files.Places,
    reporter: Reporter,
    hold: int,
) -> None:
    """Make a stage's result where it is not there whole."""
    if is_done(stage, folder, key):
        reporter.noted(f"{stage.name}: done earlier; its result is reused")
        return
    make_ready(stage, folder, key)
    write_inputs(folder, prepared, places)
    with CaptureStore.open_to_read(prepared.store_folder):  # an error names captures as it does
        children.run(
            stage.name,
            folder,
            environment=child_environment(prepared.lock["environment"]["threads"]),
            reporter=reporter,
            inherit=(hold,),
        )
    if not is_done(stage, folder, key):
        raise KolmError(
            "E_STAGE_CHANGED",
            "a file of a stage was changed while the stage ran",
            where=str(folder),
            hint="run the command again; damaged results are made again",
        )


def write_inputs(folder: Path, prepared: Prepared, places: files.Places) -> None:
    """Write what a child reads into its folder."""
    for name, data in prepared.snapshot.files().items():
        files.write(folder, name, data)
    files.write_document(folder, names.LOCK, prepared.lock)
    files.write_places(folder, places)
