"""The store: which processes are writing, so that leftovers of killed ones can be told apart.

A writer holds a shared lock on one file for as long as it has temporary files. Whoever gets the
lock exclusively is alone, and every temporary file it finds belongs to a writer that is gone. The
kernel drops a killed process's lock, so there is nothing to clean up and no clock to trust.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

NAME = "writers.lock"


class Presence:
    """One writer's hold on the lock file of a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._handle: int | None = None

    def enter(self) -> bool:
        """Be present; True when no other writer is, and then until `share` no other can come."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._handle, fcntl.LOCK_SH)
            return False
        return True

    def share(self) -> None:
        """Let other writers in."""
        if self._handle is not None:
            fcntl.flock(self._handle, fcntl.LOCK_SH)

    def leave(self) -> None:
        """Be present no longer."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
