"""Real read-only and tiny file systems for tests: what permissions cannot show to root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def _mount(*arguments: str, at: Path) -> None:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount file systems")
    done = subprocess.run(["mount", *arguments, str(at)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine does not mount file systems: {done.stderr.strip()}")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder` mounted read-only over itself."""
    _mount("--bind", str(folder), at=folder)
    try:
        _mount("-o", "remount,bind,ro", at=folder)
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def tiny_disk(folder: Path, *, kibibytes: int) -> Iterator[Path]:
    """A file system of a few KiB at `folder`."""
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", at=folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
