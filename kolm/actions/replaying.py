"""The compositions: segments of a training run again in a child, for an audit.

The child sees a folder made for it: the bundle's lock and lists, and the states that the verifier
has checked. The capture store is opened to read; nothing is written outside the folder, which is
gone afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, paths
from kolm.actions import children
from kolm.bundle.cid import cid_of
from kolm.bundle.reader import Bundle
from kolm.bundle.states import State
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.events import Reporter
from kolm.format.checkpoint import document_name
from kolm.format.names import EXAMPLES, LINES, LOCK
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS, REPLAY, REPLAYED
from kolm.train import profile
from kolm.verify.segments import ranges

if TYPE_CHECKING:
    from kolm.records.documents import Lock, LockEnvironment
    from kolm.run.documents import Replayed, ReplaySegment
    from kolm.verify.ports import ReplayJob

_EARLIER = "earlier"  # folder of the state that a training goes on from


class Replayer:
    """Runs segments of a training again.

    Args:
        captures: folder of the auditor's capture store.
        reporter: hears the child's progress.
    """

    def __init__(self, *, captures: Path, reporter: Reporter) -> None:
        self._captures = captures
        self._reporter = reporter

    def environment(self, lock: Lock) -> LockEnvironment:
        """The environment that a training of a lock has on this machine.

        Raises:
            Lacking: the train extra or the device is missing.
        """
        stated = lock["environment"]
        return profile.environment_class(
            stated["threads"], (stated["device"],), bitsandbytes="bitsandbytes" in stated
        )

    def lacking(self, captures: Sequence[Digest]) -> Sequence[Digest]:
        """Those that the store does not hold."""
        with CaptureStore.open_to_read(self._captures) as store:
            held = {stored.id for stored in store.rows()}
        return [capture for capture in captures if capture not in held]

    def run(self, job: ReplayJob) -> Replayed:
        """Run segments, each from its state.

        Raises:
            KolmError: what the child reported.
            Lacking: the train extra is missing.
        """
        bundle = Bundle.of(job.bundle)
        lock = bundle.document(LOCK)
        segments: list[ReplaySegment] = [
            {
                "first": segment.begin.step,
                "last": segment.end.step,
                "before": segment.begin.state,
            }
            for segment in job.segments
        ]
        numbers = ranges([segment.number for segment in job.segments])
        self._reporter.noted(f"segments {numbers} run again, drawn by nonce {cid_of(job.nonce)}")
        with paths.scratch_folder("kolm-replay-") as folder:
            for name in (LOCK, LINES, EXAMPLES):
                files.write(folder, name, bytes(bundle.member(name)))
            for segment in job.segments:
                state = job.state(segment) if segment.begin.step in job.handed else None
                if state is not None:
                    _write_state(folder / CHECKPOINTS, segment.begin.step, state)
            if job.continued is not None:
                _write_state(folder / _EARLIER / CHECKPOINTS, None, job.continued)
            files.write_document(folder, REPLAY, {"segments": segments})
            files.write_places(
                folder,
                files.Places(
                    base=job.base.resolve(),
                    captures=self._captures.resolve(),
                    continued=None if job.continued is None else Path(_EARLIER),
                ),
            )
            children.run(
                "replay",
                folder,
                environment=profile.child_environment(lock["environment"]["threads"]),
                reporter=self._reporter,
            )
            return files.read_document(folder, REPLAYED)


def _write_state(folder: Path, step: int | None, state: State) -> None:
    """Write the two files of a state; without a step, under the one that its document names."""
    if step is None:
        step = int(canonical.loads_canonical(state.document, where="state")["step"])
    name = document_name(step)
    paths.atomic_write(folder / name.replace(".json", ".safetensors"), state.tensors)
    paths.atomic_write(folder / name, state.document)
