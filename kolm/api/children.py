"""The compositions: child processes for what needs a model.

Training and evaluation run in children, so that their environment is fixed before torch is
imported and a notebook that has torch loaded gets the same bits. A child reports events as JSON
lines on its standard output and anything unexpected on standard error, which goes to a log file.
"""

from __future__ import annotations

import contextlib
import fcntl
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from kolm.errors import KolmError, Lacking, Refused
from kolm.events import Reporter, relay

_LOG_TAIL_BYTES = 2000
_LOCK_PATIENCE_SECONDS = 10.0  # a killed parent's child ends at its next event, well within this


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[int]:
    """Hold a run folder for one compile at a time; yields the lock's file descriptor.

    Children inherit the descriptor, so the folder stays claimed until the last of them has ended,
    even if this process is killed.

    Raises:
        Refused: another compile holds the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("ab") as stream:
        deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Refused(
                        "E_RUN_BUSY",
                        "another compile of the same lock is running",
                        where=str(folder),
                        hint="wait for it to end, or stop it",
                    ) from None
                time.sleep(0.1)
        yield stream.fileno()


def run(
    module: str,
    arguments: list[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    reporter: Reporter,
    inherit: tuple[int, ...] = (),
) -> None:
    """Run ``python -m module arguments…`` to its end, passing its events to `reporter`.

    Raises:
        KolmError: the error that the child reported, or ``E_CHILD_DIED`` when it ended without
            a word; the message then holds the end of its log.
        Lacking: the child was killed by the system, most likely for memory.
    """
    # -P keeps the current folder off the path: a file beside the spec must not shadow a library.
    command = [sys.executable, "-P", "-m", module, *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
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
            f"{module} was stopped: a file that it had mapped was cut short or cannot be read",
            where=str(log),
            hint="check that the disk has room and that nothing else changes the files, then run "
            "the command again",
        )
    if code == -signal.SIGKILL:
        raise Lacking(
            "E_CHILD_KILLED",
            f"{module} was killed by the system, most likely for memory",
            where=str(log),
            hint="close other programs or lower train.batch_size, then run the command again",
        )
    if code:
        tail = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        raise KolmError(
            "E_CHILD_DIED", f"{module} ended with status {code}", where=str(log), found=tail
        )


def _listen(child: subprocess.Popen[str], reporter: Reporter) -> None:
    assert child.stdout is not None  # it was opened as a pipe
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
