"""The child process of every task that needs a model: ``python -m kolm.worker TASK FOLDER``.

Where several train together, each is started with its number and with the file by which they meet:
``python -m kolm.worker train FOLDER RANK MEETING``.

A process of its own, so that what the parent has imported or set cannot change a bit of the
result. It works in one run folder. Events go to standard output as JSON lines; an error, whatever
it was that failed, is the last of them, and the parent raises the same one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import settings, system
from kolm.errors import KolmError, Usage
from kolm.events import JsonLines, Reporter, Silent
from kolm.run import stages
from kolm.run.folder import read_document, read_lock, read_places
from kolm.run.names import ASKED

if TYPE_CHECKING:
    from kolm.records.documents import LockEnvironment

FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Do a task in a folder; 0 when it is done, 1 when the last event is an error."""
    reporter = JsonLines(sys.stdout)
    try:
        work = _read(arguments)
        # What a library prints must not end up among the events.
        with contextlib.redirect_stdout(sys.stderr):
            work(reporter)
    except KolmError as error:
        reporter.failed(error)
        return FAILED
    except (OSError, MemoryError) as error:
        reporter.failed(system.error_of(error))
        return FAILED
    return 0


def _read(arguments: Sequence[str]) -> Callable[[Reporter], None]:
    match arguments:
        case [task, folder] if task in TASKS:
            return partial(TASKS[task], Path(folder))
        case ["train", folder, rank, meeting] if rank.isdecimal():
            return partial(_train, Path(folder), rank=int(rank), meeting=Path(meeting))
        case _:
            raise Usage(
                "E_WORKER_ARGUMENTS",
                "a worker takes a task and a run folder",
                expected=f"one of {', '.join(TASKS)}, and a folder; of several that train, a "
                "number and a file as well",
                found=" ".join(arguments)[:200] or "nothing",
            )


def _train(folder: Path, reporter: Reporter, *, rank: int = 0, meeting: Path | None = None) -> None:
    from kolm.train import prepare, profile  # torch-free, so a broken folder is told at once

    inputs = prepare.read_inputs(folder)
    environment, size = inputs.lock["environment"], inputs.places.processes
    device = environment["device"]
    _leave_out_bitsandbytes(environment)

    from kolm.models import device as devices
    from kolm.train import arithmetic, processes, training

    devices.choose(devices.demand((device,)), rank)
    devices.settle(device, environment["threads"])
    # The bits that this process gives, not those of a child that it would start.
    measured = arithmetic.measure(device)._asdict()
    profile.check_environment(environment, settings.process(), processes=size, arithmetic=measured)
    with (
        _base_as_measured(folder),
        devices.enough_memory(),
        processes.joined(rank, size, meeting, device) as together,
    ):
        training.train_run(folder, reporter if together.first else Silent(), together)
    if together.first:
        stages.record(stages.TRAIN, folder)


def _evaluate(folder: Path, reporter: Reporter) -> None:
    from kolm.evaluate import worker
    from kolm.models import device as devices

    _leave_out_bitsandbytes(read_lock(folder)["environment"])
    with _base_as_measured(folder), devices.enough_memory():
        worker.evaluate_folder(folder, reporter)
    stages.record(stages.EVALUATE, folder)


def _validate(folder: Path, reporter: Reporter) -> None:
    from kolm.evaluate import validate
    from kolm.models import device as devices

    _leave_out_bitsandbytes(read_lock(folder)["environment"])
    with _base_as_measured(folder), devices.enough_memory():
        validate.validate_folder(folder, reporter)
    stages.record(stages.VALIDATE, folder)


def _leave_out_bitsandbytes(environment: LockEnvironment) -> None:
    """Keep bitsandbytes out where it changes no bit: PEFT would import it, which takes a second.

    What PEFT has not found it never looks for again, so this is for a process of kolm's own.
    """
    if __name__ == "__main__" and "bitsandbytes" not in environment:
        sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # as if it were not there


def _base_as_measured(folder: Path) -> contextlib.AbstractContextManager[object]:
    """Demand that a base stays what its parent measured: weights may be read while they are used.

    Raises:
        Unreadable: ``E_BASE_CHANGED``.
    """
    from kolm.bundle import base_root

    places = read_places(folder)
    return base_root.staying(places.base, places.base_stamp)


def _rescore(folder: Path, reporter: Reporter) -> None:
    from kolm.evaluate import rescore
    from kolm.models import device as devices

    _leave_out_bitsandbytes(read_lock(folder)["environment"])
    with devices.enough_memory():
        rescore.rescore_folder(folder, reporter)


def _recount(folder: Path, reporter: Reporter) -> None:
    from kolm.train import recount

    recount.recount_folder(folder, reporter)


def _shapes(folder: Path, reporter: Reporter) -> None:
    from kolm.models import unweighted
    from kolm.run import folder as files
    from kolm.run.names import SHAPES

    shapes = unweighted.parameter_shapes(folder)
    files.write_document(
        folder, SHAPES, {"parameters": [(name, list(shape)) for name, shape in shapes]}
    )


def _answer(folder: Path, reporter: Reporter) -> None:
    from kolm.evaluate import answering
    from kolm.models import device as devices

    _leave_out_bitsandbytes(read_document(folder, ASKED)["environment"])
    with _base_as_measured(folder), devices.enough_memory():
        answering.answer_folder(folder, reporter)


def _replay(folder: Path, reporter: Reporter) -> None:
    from kolm.train import profile

    environment = read_lock(folder)["environment"]
    device = environment["device"]
    _leave_out_bitsandbytes(environment)

    from kolm.models import device as devices
    from kolm.train import arithmetic, replay

    devices.settle(devices.demand((device,)), environment["threads"])
    measured = arithmetic.measure(device)._asdict()
    profile.check_environment(environment, settings.process(), arithmetic=measured)
    with devices.enough_memory():
        replay.replay_folder(folder, reporter)


TASKS: dict[str, Callable[[Path, Reporter], None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "validate": _validate,
    "rescore": _rescore,
    "recount": _recount,
    "shapes": _shapes,
    "answer": _answer,
    "replay": _replay,
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
