"""Train: a run folder is trained, held against its lock, and its documents are written.

Everything of a run lies in its folder: trace and checkpoints while it trains; examples.jsonl,
modules.jsonl, adapter_model.safetensors, adapter_config.json and train.json when it has ended.
"""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, paths, roles
from kolm.digest import Digest
from kolm.encode.features import sights
from kolm.events import Reporter
from kolm.format import adapter_config, names
from kolm.format.sights import Read
from kolm.models.device import memory_of
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS, FACTS
from kolm.sign.predicates import instant
from kolm.train import evidence, survey
from kolm.train.checkpoints import CheckpointFolder, encode_tensors
from kolm.train.energy import Metered, meters_of
from kolm.train.loop import Took, run
from kolm.train.processes import ALONE, Processes
from kolm.train.session import TrainingSession, open_session
from kolm.train.trace import Trace
from kolm.train.trackers import Tracked

if TYPE_CHECKING:
    from kolm.records.documents import Spent, TrainFacts, TrainFactsPicture


def train_run(folder: Path, reporter: Reporter, processes: Processes = ALONE) -> None:
    """Train the run of a folder, or continue it, and write its documents.

    Of several processes the first one writes; what the others come to is compared with it at every
    checkpoint.

    Raises:
        KolmError: as `open_session`; when the evidence contradicts the lock; and when processes
            come to different states.
    """
    started_on = datetime.now(UTC)  # noqa: TID251 - for the provenance claim, never for content
    began = time.perf_counter()
    environment = files.read_lock(folder)["environment"]
    with Metered(environment["device"], meters_of(environment["world_size"])) as metered:
        session = open_session(folder, reporter, processes)
        checkpoints = CheckpointFolder(folder / CHECKPOINTS, writes=processes.first)
        if not processes.first:
            with paths.scratch_folder("kolm-train-") as passing:
                _run(session, passing, checkpoints, reporter, processes)
            return
        took, trace = _run(session, folder, checkpoints, reporter, processes)
        spent: Spent = {
            "energy": metered.energy(),
            "from_step": took.from_step,
            "observed_peak_bytes": memory_of(session.plan.device)(),
            "seconds": canonical.decimal(time.perf_counter() - began, 3),
        }
        if processes.size > 1:
            spent["processes"] = processes.size
    files.write_document(folder, FACTS, _facts(folder, session, took, trace, started_on, spent))


def _run(
    session: TrainingSession,
    folder: Path,
    checkpoints: CheckpointFolder,
    reporter: Reporter,
    processes: Processes,
) -> tuple[Took, Trace]:
    """Train, hold what happened against the lock, and write the documents into a folder."""
    rows = (*session.train.rows, *session.validation.rows)
    files.write_rows(folder, names.EXAMPLES, rows)
    continued = session.plan.continues
    before = None if continued is None else Digest(continued["chain"])
    trace = Trace(folder / names.TRACE, before)
    track = session.inputs.places.track if processes.first else ()
    tracked = Tracked(folder, track, memory_of(session.plan.device))
    with contextlib.closing(tracked):
        took = run(
            session.trainer,
            session.plan,
            trace,
            checkpoints,
            session.validation.examples,
            reporter,
            answering=session.answering,
            tracked=tracked,
            processes=processes,
        )
    tensors = session.trainer.attached.tensors
    counts = session.trainer.gradients.counts()
    first, _ = checkpoints.load(0)
    initial = {
        tensor.name: survey.digest_tensor(first.tensors[f"weights.{tensor.name}"])
        for tensor in tensors
    }
    after = survey.digests_now(session.base_modules)
    evidence.check_evidence(session.base_modules, after, tensors, counts, initial)
    modules = evidence.module_rows(
        session.base_modules,
        after,
        tensors,
        counts,
        initial,
        session.trainer.in_8_bits(),
        roles.family(session.plan.base_family),
        session.checkpoint_keys,
    )
    weights = encode_tensors({tensor.name: tensor.parameter for tensor in tensors})
    files.write_rows(folder, names.MODULES, modules)
    files.write(folder, names.WEIGHTS, weights)
    files.write(folder, names.CONFIG, adapter_config.derive(session.inputs.lock, modules))
    return took, trace


def _facts(
    folder: Path,
    session: TrainingSession,
    took: Took,
    trace: Trace,
    started_on: datetime,
    spent: Spent,
) -> TrainFacts:
    assert trace.chain is not None  # the state before the first step is its first link
    return {
        "state_last": trace.states[-1],
        "chain": trace.chain,
        "pictures": _shown(folder, session),
        "shared_prompts": session.shared_prompts,
        "measured": {
            "compute": spent,
            "started_on": instant(started_on),
            "train_seconds": canonical.decimal(took.seconds, 3),
            "tokens_per_second": canonical.decimal(took.tokens / max(took.seconds, 1e-9), 3),
        },
    }


def _shown(folder: Path, session: TrainingSession) -> list[TrainFactsPicture]:
    validates = session.plan.schedule.validate_every is not None
    read = Read(
        train={own.position: sights(own.images) for own in session.train.examples},
        validation=[sights(own.images) for own in session.validation.examples if validates],
        trace=files.read_rows(folder, names.TRACE),
    )
    return read.shown(session.inputs.lock)
