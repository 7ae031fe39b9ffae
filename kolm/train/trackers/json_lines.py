"""Trackers: the run's own log, ``metrics.jsonl``: one JSON object a line, flushed with each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from kolm import canonical, paths
from kolm.errors import Refused
from kolm.run.names import METRICS


def open_in(folder: Path, _name: str, after: int) -> JsonLines:
    """The log of a folder, cut back to the steps that were done."""
    path, kept = folder / METRICS, []
    for line in path.read_bytes().split(b"\n")[:-1] if after and path.is_file() else ():
        try:
            step = canonical.loads(line, where=METRICS, floats=True)["step"]
        except (Refused, KeyError, TypeError):
            break  # cut in two by a kill, or no log of ours
        if step > after:
            break
        kept.append(line + b"\n")
    paths.atomic_write(path, b"".join(kept))
    return JsonLines(path)


class JsonLines:
    """Appends to a log."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("ab")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write a line."""
        line = json.dumps({"step": step, **values}, allow_nan=False)
        self._stream.write(line.encode() + b"\n")
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
