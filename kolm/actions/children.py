"""The compositions: child processes for what needs a model.

Training and evaluation run in children, so that their environment is fixed before torch is
imported and a notebook that has torch loaded gets the same bits. A child reports events as JSON
lines on its standard output and anything unexpected on standard error, which goes to a log file.
Several may do a task together; when one of them ends before its time, the others are ended too.
"""

from __future__ import annotations

import contextlib
import queue
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from kolm import paths, system
from kolm.errors import KolmError, Lacking
from kolm.events import Reporter, Silent, relay

_LOG_TAIL_BYTES = 2000
_GRACE_SECONDS = 5.0
# Several on one machine talk over its loopback and open no port to anybody else.
_LOOPBACK: Final = "lo0" if sys.platform == "darwin" else "lo"
_TOGETHER: Final = {"GLOO_SOCKET_IFNAME": _LOOPBACK, "NCCL_SOCKET_IFNAME": _LOOPBACK}
_Child = subprocess.Popen[str]


def run(
    task: str,
    folder: Path,
    *,
    environment: Mapping[str, str],
    reporter: Reporter,
    inherit: tuple[int, ...] = (),
    processes: int = 1,
) -> None:
    """Run ``python -m kolm.worker task folder`` to its end, passing its events to `reporter`.

    What it writes to standard error goes to ``TASK.log`` in the folder.

    Args:
        task: of the worker.
        folder: of the run.
        environment: of the child.
        reporter: hears the events; of several children, those of the first.
        inherit: file descriptors that the child keeps open.
        processes: children that do the task together.

    Raises:
        KolmError: the error that a child reported, or ``E_CHILD_DIED`` when it ended without
            a word; the message then holds the end of its log.
        Lacking: a child was killed by the system, most likely for memory.
    """
    log = folder / f"{task}.log"
    children: list[_Child] = []
    with contextlib.ExitStack() as stack:
        more: list[list[str]] = [[]]
        if processes > 1:
            meeting = stack.enter_context(paths.scratch_folder("kolm-meeting-")) / "file"
            more = [[str(rank), str(meeting)] for rank in range(processes)]
            environment = {**environment, **_TOGETHER}
        stack.callback(_stop, children)
        with system.naming(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for own in more:
                children.append(_start([task, str(folder), *own], log, environment, inherit))
        ended = _listen(children, reporter)
    if ended is not None:
        whose = "" if processes == 1 else f", number {ended.rank} of {processes},"
        raise _death(task, whose, ended.code, log)


def _start(
    arguments: Sequence[str], log: Path, environment: Mapping[str, str], inherit: tuple[int, ...]
) -> _Child:
    # -P keeps the current folder off the path: a file beside the spec must not shadow a library.
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "kolm.worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            pass_fds=inherit,
            text=True,
            encoding="utf-8",
        )


class _Ended(NamedTuple):
    """A child that ended before its time, and with which status."""

    rank: int
    code: int


def _listen(children: Sequence[_Child], reporter: Reporter) -> _Ended | None:
    """Pass on what children say until all have ended well, or one has not.

    Raises:
        KolmError: the error that a child reported.
    """
    said: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    for rank, child in enumerate(children):
        threading.Thread(target=_hear, args=(rank, child, said), daemon=True).start()
    running = len(children)
    while running:
        rank, line = said.get()
        if line is not None:
            relay(line, reporter if rank == 0 else Silent())
        elif children[rank].wait():
            return _cause(children, rank)
        else:
            running -= 1
    return None


def _hear(rank: int, child: _Child, said: queue.SimpleQueue[tuple[int, str | None]]) -> None:
    """Take down a child's lines, and its end as None."""
    assert child.stdout is not None  # it was opened as a pipe
    with child.stdout:
        for line in child.stdout:
            said.put((rank, line))
    said.put((rank, None))


def _cause(children: Sequence[_Child], rank: int) -> _Ended:
    """Which child's end was the first: when the system kills one, others soon miss it and fail."""
    codes = [child.poll() for child in children]
    for number, code in enumerate(codes):
        if code is not None and code < 0:
            return _Ended(number, code)
    return _Ended(rank, children[rank].returncode)


def _death(task: str, whose: str, code: int, log: Path) -> KolmError:
    """The error of a child that ended without a word."""
    if code == -signal.SIGBUS:
        return Lacking(
            "E_CHILD_MAPPING",
            f"the child process of {task}{whose} was stopped: a file that it had mapped was cut "
            "short or cannot be read",
            where=str(log),
            hint="check that the disk has room and that nothing else changes the files, then run "
            "the command again",
        )
    if code == -signal.SIGKILL:
        return Lacking(
            "E_CHILD_KILLED",
            f"the child process of {task}{whose} was killed by the system, most likely for memory",
            where=str(log),
            hint="close other programs or lower train.batch_size, then run the command again",
        )
    return KolmError(
        "E_CHILD_DIED",
        f"the child process of {task}{whose} ended with status {code}",
        where=str(log),
        found=log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip(),
    )


def _stop(children: Sequence[_Child]) -> None:
    """End the children that still run."""
    running = [child for child in children if child.poll() is None]
    for child in running:
        child.terminate()
    for child in running:
        killer = threading.Timer(_GRACE_SECONDS, child.kill)
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
