"""Trackers: TensorBoard's event files (``tensorboard --logdir .kolm/runs``). Without TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def open_in(folder: Path, _name: str, after: int) -> TensorBoard:
    """An event file of this process; the viewer drops later steps of a run that was cut off."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder.mkdir(parents=True, exist_ok=True)
    writer = EventFileWriter(str(folder))
    if after:
        began = SessionLog(status=SessionLog.START)
        writer.add_event(Event(step=after + 1, wall_time=_now(), session_log=began))
    return TensorBoard(writer)


class TensorBoard:
    """Writes scalars."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Write one event with all values."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        event = Event(step=step, wall_time=_now(), summary=Summary(value=scalars))
        self._writer.add_event(event)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _now() -> float:
    return time.time()  # noqa: TID251 - the time that a viewer shows; never content
