"""Run something in a child that is killed right before its n-th step that others can see.

for step, code in kills(work):       # until `work` was done to its end, with code 0
    ...                              # what the kill before that step has left
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

FORK = multiprocessing.get_context("fork")
# Every call that changes something which another process or a reboot can see.
_STEPS = ("link", "fsync", "replace", "rename", "unlink", "mkdir", "fchmod", "write")
_MOST = 200


def kills(work: Callable[[int], object]) -> Iterator[tuple[int, int]]:
    """Run `work` of 0, 1, 2, …, each killed one step later than the one before; gives the number
    and the exit code, 0 for the first that ended.
    """
    for step in count():
        assert step < _MOST
        child = FORK.Process(target=_die_at, args=(step, work))
        child.start()
        child.join(60)
        code = child.exitcode
        assert code in (0, -signal.SIGKILL), code
        yield step, code
        if code == 0:
            return


def _die_at(step: int, work: Callable[[int], object]) -> None:
    steps = count()
    for call in _STEPS:
        real = getattr(os, call)

        def counted(*arguments: Any, _real: Any = real, **options: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return _real(*arguments, **options)

        setattr(os, call, counted)
    work(step)
    os._exit(0)
