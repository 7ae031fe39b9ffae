"""Train: the child process: ``python -m kolm.train.worker RUN_DIR``.

A process of its own, so that what the parent has imported or set cannot change a bit of the
result. Events go to standard output as JSON lines; an error is the last of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kolm import settings, system
from kolm.errors import KolmError, Usage
from kolm.events import JsonLines
from kolm.train.profile import check_environment


def main(arguments: list[str]) -> int:
    """Train the run of a folder; 0 when it is done, 1 when the last event is an error."""
    reporter = JsonLines(sys.stdout)
    try:
        if len(arguments) != 1:
            raise Usage("E_TRAIN_ARGUMENTS", "the worker takes one run folder")
        folder = Path(arguments[0])
        _train(folder, reporter)
    except KolmError as error:
        reporter.failed(error)
        return 1
    except (OSError, MemoryError) as error:
        reporter.failed(system.error_of(error))
        return 1
    return 0


def _train(folder: Path, reporter: JsonLines) -> None:
    from kolm.train import prepare  # torch-free, so a broken run folder is told at once

    environment = prepare.read_inputs(folder).lock["environment"]
    from kolm.train import arithmetic, session

    # The bits that this process gives, not those of a child that it would start.
    measured = arithmetic.measure()._asdict()
    check_environment(environment, settings.process(), arithmetic=measured)
    session.fix_torch(environment["threads"])
    session.train_run(folder, reporter)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
