"""The compositions: the stages of a compile or a sweep, each found by its key or made in a child.

A stage's folder is named after its key, so that whatever depends on the same things finds it
there: the same compile after a kill, and another one that only changes a floor, a name, a price
or what is published. `kolm.run.stages` says what a key is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest, paths, settings
from kolm.actions import children
from kolm.actions.preparing import Prepared
from kolm.actions.project import state_places
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
    VALIDATE,
    Stage,
    evaluate_key,
    is_done,
    make_ready,
    train_key,
)
from kolm.train.profile import child_environment

if TYPE_CHECKING:
    from kolm.records.documents import Lock


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
    key = _answers_key(EVALUATE, lock, trained, prepared.snapshot.files()[names.CASES])
    evaluated = is_done(EVALUATE, runs / EVALUATE.folder_name(key), key)
    return frozenset(("train", "validation", *(("eval",) if evaluated else ())))


@contextlib.contextmanager
def finished(prepared: Prepared, reporter: Reporter) -> Iterator[Finished]:
    """Both stages of a compile, finished; their folders are held until the block is left.

    Raises:
        KolmError: what a child reports; whatever it finished is found by the next call.
    """
    with contextlib.ExitStack() as holding:
        trained, places = _trained(prepared, reporter, holding)
        inputs = prepared.snapshot.files()
        evaluated = _answered(EVALUATE, inputs, prepared, trained, places, reporter, holding)
        yield Finished(trained=trained, evaluated=evaluated)


@contextlib.contextmanager
def validated(prepared: Prepared, cases: bytes, reporter: Reporter) -> Iterator[Finished]:
    """A training, and what it answers to the validation side; as `finished` otherwise.

    Args:
        prepared: of the training.
        cases: the captures of the validation side, a line each, by ascending id.
        reporter: hears progress.
    """
    with contextlib.ExitStack() as holding:
        trained, places = _trained(prepared, reporter, holding)
        inputs: dict[str, bytes] = {names.CASES: cases}
        answered = _answered(VALIDATE, inputs, prepared, trained, places, reporter, holding)
        yield Finished(trained=trained, evaluated=answered)


def is_validated(prepared: Prepared, cases: bytes) -> bool:
    """Whether `validated` would find everything done."""
    lock, runs = prepared.lock, prepared.project.runs_folder
    key = train_key(lock)
    trained = runs / TRAIN.folder_name(key)
    if not is_done(TRAIN, trained, key):
        return False
    key = _answers_key(VALIDATE, lock, trained, cases)
    return is_done(VALIDATE, runs / VALIDATE.folder_name(key), key)


def _trained(
    prepared: Prepared, reporter: Reporter, holding: contextlib.ExitStack
) -> tuple[Path, files.Places]:
    """The folder of a finished training, held, and what it read on this machine."""
    key = train_key(prepared.lock)
    trained = prepared.project.runs_folder / TRAIN.folder_name(key)
    hold = holding.enter_context(files.held(trained))
    places = files.Places(
        base=prepared.base.folder,
        base_stamp=prepared.stamp,
        captures=prepared.store_folder,
        continued=_earlier(prepared, holding),
        features=paths.cache_folder() / FEATURES,
        features_bytes=settings.features_bytes(),
        track=settings.track(),
        processes=prepared.spec.train.processes,
    )
    inputs = prepared.snapshot.files()
    _finish(TRAIN, trained, key, inputs, prepared, places, reporter, hold)
    return trained, places


def _answered(
    stage: Stage,
    inputs: Mapping[str, bytes],
    prepared: Prepared,
    trained: Path,
    places: files.Places,
    reporter: Reporter,
    holding: contextlib.ExitStack,
) -> Path:
    """The folder of the answers of what was trained, finished and held."""
    key = _answers_key(stage, prepared.lock, trained, inputs[names.CASES])
    folder = prepared.project.runs_folder / stage.folder_name(key)
    hold = holding.enter_context(files.held(folder))
    beside = Path("..") / trained.name  # so that a project that is moved finds it
    here = places._replace(adapter=beside)
    _finish(stage, folder, key, inputs, prepared, here, reporter, hold)
    return folder


def _answers_key(stage: Stage, lock: Lock, trained: Path, cases: bytes) -> Digest:
    weights = digest.of_bytes(files.read(trained, names.WEIGHTS))
    return evaluate_key(lock, weights=weights, cases=digest.of_bytes(cases), stage=stage)


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
    inputs: Mapping[str, bytes],
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
    write_inputs(folder, inputs, prepared.lock, places)
    with CaptureStore.open_to_read(prepared.store_folder):  # an error names captures as it does
        children.run(
            stage.name,
            folder,
            environment=child_environment(prepared.lock["environment"]["threads"]),
            reporter=reporter,
            inherit=(hold,),
            processes=places.processes if stage is TRAIN else 1,
        )
    if not is_done(stage, folder, key):
        raise KolmError(
            "E_STAGE_CHANGED",
            "a file of a stage was changed while the stage ran",
            where=str(folder),
            hint="run the command again; damaged results are made again",
        )


def write_inputs(
    folder: Path, inputs: Mapping[str, bytes], lock: Lock, places: files.Places
) -> None:
    """Write what a child reads into its folder."""
    for name, data in inputs.items():
        files.write(folder, name, data)
    files.write_document(folder, names.LOCK, lock)
    files.write_places(folder, places)
