"""What the evidence costs: trace, chain of states, list of modules, log and claims, in one run.

    python -m bench.overhead                 # the gauges of `kolm init`: 600 steps of 32 captures
    python -m bench.overhead --steps 50      # claims, first and last state weigh more

One compile in one process, with a clock around each part that only evidence needs. Shares of the
run's own wall time are printed, so that what else the machine does falls on both sides alike. The
evaluation is part of the run; `of the training` leaves it out. The norm of the gradients is not
counted: clipping needs it in any case.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kolm import worker
from kolm.actions import capturing, children, compiling, keyring, sealing
from kolm.cli.examples import gauges
from kolm.train import arithmetic, evidence, profile, session, survey
from kolm.train.checkpoints import CheckpointFolder
from kolm.train.gradients import GradientCounter
from kolm.train.trace import Trace
from kolm.train.trackers import Tracked

PARTS: tuple[tuple[str, Any, str], ...] = (
    ("trace: a line a step", Trace, "_write"),
    ("chain: states digested and written", CheckpointFolder, "save"),
    ("states read back at the end", CheckpointFolder, "load"),
    ("gradients counted, tensor by tensor", GradientCounter, "_count"),
    ("modules: digests before", survey, "survey_base"),
    ("modules: digests after", survey, "digests_now"),
    ("modules: digests of the adapter", survey, "digest_tensor"),
    ("modules: held against the lock", evidence, "check_evidence"),
    ("modules: the list", evidence, "module_rows"),
    ("metrics.jsonl", Tracked, "log"),
    ("base hashed for the lock", compiling, "measure_now"),
    ("receipt and content", sealing, "gather_content"),
    ("claims signed, bundle checked and written", sealing, "seal_bundle"),
)


class Clock:
    """Seconds by part; of parts within parts only the outermost counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside = False

    def around(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, measured."""

        @functools.wraps(work)
        def measured(*arguments: Any, **named: Any) -> Any:
            if self._inside:
                return work(*arguments, **named)
            self._inside, began = True, time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                self.seconds[name] += time.perf_counter() - began
                self._inside = False

        return measured


def here(task: str, folder: Path, *, reporter: Any, **_: Any) -> None:
    """A stage in this process, so that one clock sees all of it."""
    began = time.perf_counter()
    worker.TASKS[task](folder, reporter)
    STAGES[task] = time.perf_counter() - began


STAGES: dict[str, float] = {}


def main() -> None:
    """Compile once, and print what each part took."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=600)
    steps = parser.parse_args().steps
    clock = Clock()
    for name, place, attribute in PARTS:
        setattr(place, attribute, clock.around(name, getattr(place, attribute)))
    children.run = here  # type: ignore[assignment]
    measured = functools.cache(lambda *_: arithmetic.measure("cpu")._asdict())
    profile.measure_in_child = measured  # type: ignore[assignment]
    profile.check_environment = lambda *_, **__: None  # it asks for a process of its own
    assert session.survey is survey
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["KOLM_HOME"] = str(folder / "home")
        keyring.new_key()
        gauges.write(folder / "project")
        project = folder / "project"
        os.chdir(project)
        capturing.import_captures(project / "pairs.jsonl", store=project / "captures")
        spec = project / "kolm.yaml"
        spec.write_text(spec.read_text().replace("steps: 600", f"steps: {steps}"))
        began = time.perf_counter()
        compiling.compile_bundle(spec, allow_below_gate=True)
        total = time.perf_counter() - began
    train = STAGES["train"]
    print(f"{'part':44}{'seconds':>9}{'of the run':>12}{'of the training':>17}")
    spent = 0.0
    for name, _, _ in PARTS:
        took = clock.seconds[name]
        spent += took
        print(f"{name:44}{took:9.3f}{took / total:12.2%}{took / train:17.2%}")
    print(f"{'all of it':44}{spent:9.3f}{spent / total:12.2%}{spent / train:17.2%}")
    print(f"the run {total:.1f} s, of it training {train:.1f} s ({steps} steps)")


if __name__ == "__main__":
    main()
