"""The compositions: child processes for what needs a model.

Training and evaluation run in children, so that their environment is fixed before torch is
imported and a notebook that has torch loaded gets the same bits. A child reports events as JSON
lines on its standard output and anything unexpected on standard error, which goes to a log file.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from kolm import system
from kolm.errors import KolmError, Lacking
from kolm.events import Reporter, relay

_LOG_TAIL_BYTES = 2000


def run(
    task: str,
    folder: Path,
    *,
    environment: Mapping[str, str],
    reporter: Reporter,
    inherit: tuple[int, ...] = (),
) -> None:
    """Run ``python -m kolm.worker task folder`` to its end, passing its events to `reporter`.

    What it writes to standard error goes to ``TASK.log`` in the folder.

    Raises:
        KolmError: the error that the child reported, or ``E_CHILD_DIED`` when it ended without
            a word; the message then holds the end of its log.
        Lacking: the child was killed by the system, most likely for memory.
    """
    # -P keeps the current folder off the path: a file beside the spec must not shadow a library.
    command = [sys.executable, "-P", "-m", "kolm.worker", task, str(folder)]
    log = folder / f"{task}.log"
    with system.naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                pass_fds=inherit,
                text=True,
                encoding="utf-8",
            )
    try:
        _listen(child, reporter)
    except BaseException:
        _stop(child)
        raise
    code = child.wait()
    if code == -signal.SIGBUS:
        raise Lacking(
            "E_CHILD_MAPPING",
            f"the child process of {task} was stopped: a file that it had mapped was cut short "
            "or cannot be read",
            where=str(log),
            hint="check that the disk has room and that nothing else changes the files, then run "
            "the command again",
        )
    if code == -signal.SIGKILL:
        raise Lacking(
            "E_CHILD_KILLED",
            f"the child process of {task} was killed by the system, most likely for memory",
            where=str(log),
            hint="close other programs or lower train.batch_size, then run the command again",
        )
    if code:
        tail = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        raise KolmError(
            "E_CHILD_DIED",
            f"the child process of {task} ended with status {code}",
            where=str(log),
            found=tail,
        )


def _listen(child: subprocess.Popen[str], reporter: Reporter) -> None:
    assert child.stdout is not None  # it was opened as a pipe
    with child.stdout:
        for line in child.stdout:
            relay(line, reporter)


def _stop(child: subprocess.Popen[str]) -> None:
    child.terminate()
    killer = threading.Timer(5, child.kill)
    killer.start()
    try:
        child.wait()
    finally:
        killer.cancel()


def peak_memory_bytes() -> int:
    """The largest resident size of this process or of any child that has ended."""
    kibibytes = max(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    )
    return kibibytes * 1024
