"""Train: one run from its folder to its documents. `worker` calls it in a child process.

Writes examples.jsonl, trace.jsonl, checkpoints/, modules.jsonl, adapter_model.safetensors and
train.json.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import canonical, paths, roles
from kolm.adapters.attach import attach
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Learnable
from kolm.encode.features import distinct_uses
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader, Pictures
from kolm.encode.recording import record_tower
from kolm.errors import Unreadable
from kolm.events import Reporter
from kolm.format import adapter_config, names
from kolm.models.base import LoadedBase, load_base, quantised
from kolm.models.device import CPU, memory_of
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS, FACTS
from kolm.sign.predicates import instant
from kolm.train import evidence, survey
from kolm.train.answering import Answering, Question, questions_of
from kolm.train.checkpoints import CheckpointFolder, encode_tensors
from kolm.train.energy import Metered
from kolm.train.loop import Took, run
from kolm.train.losses import Loss, PairLoss, make_loss
from kolm.train.plan import TrainPlan, read_plan
from kolm.train.preflight import demand_examples
from kolm.train.prepare import (
    EncodedSplit,
    TrainingInputs,
    encode_split,
    read_inputs,
)
from kolm.train.processes import ALONE, Processes
from kolm.train.reference import with_reference
from kolm.train.sharding import shard
from kolm.train.trace import Trace
from kolm.train.trackers import Tracked
from kolm.train.trainer import Trainer

if TYPE_CHECKING:
    from kolm.records.documents import Spent, TrainFacts, TrainFactsPicture


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSession:
    """A run that is ready to train or to replay a segment.

    Attributes:
        inputs: of the run folder.
        plan: of the lock.
        trainer: at its initial weights.
        answering: answers some of the validation split, where the lock asks for it.
        base_modules: the base as it was before the adapter.
        shared_prompts: both answers of a pair go through the model behind one prompt.
        train: encoded train split.
        validation: encoded validation split.
        checkpoint_keys: of the base.
    """

    inputs: TrainingInputs
    plan: TrainPlan
    trainer: Trainer
    answering: Answering | None
    base_modules: tuple[survey.BaseModule, ...]
    shared_prompts: bool
    train: EncodedSplit
    validation: EncodedSplit
    checkpoint_keys: frozenset[str]


def open_session(folder: Path, reporter: Reporter, processes: Processes = ALONE) -> TrainingSession:
    """Read a run folder, encode its splits, load the base and put the adapter on it.

    Args:
        folder: of the run.
        reporter: hears progress.
        processes: that train together, each in a session of its own.

    Raises:
        Refused: the run cannot be what its lock says.
        Unreadable: a file, the base or a capture is missing.
    """
    inputs = read_inputs(folder)
    plan = read_plan(inputs.lock)
    base = load_base(
        inputs.places.base,
        dtype=plan.precision,
        attention=plan.attention,
        device=plan.device,
        loaded_to=plan.device if processes.size == 1 else CPU,
    )
    table = base.pictures.table
    base_modules = survey.quantise(
        survey.survey_base(base.model, table),
        quantised(base.model, table, plan.quantisation),
    )
    shard(base.model, table, processes, plan.device)
    base_modules = survey.again(base_modules, base.model)
    checkpoint_keys = read_checkpoint_keys(base.folder)
    survey.demand_keys(base_modules, table, checkpoint_keys)
    encoder = Encoder.of(inputs.lock, base.pictures)
    with CaptureStore.open_to_read(inputs.places.captures) as store:
        train = encode_split(inputs.rows, "train", store, encoder, reporter)
        validation = encode_split(inputs.rows, "validation", store, encoder, reporter)
        questions = _questions(inputs, plan, validation, store, encoder)
        blobs = store.blobs  # outlives the store's database, which is closed before training
    demand_examples(
        train=len(train.examples),
        dropped=train.dropped,
        validation=len(validation.examples) if plan.schedule.validate_every else None,
    )
    reader = PictureReader(
        processor=base.pictures,
        read=blobs.read,
    )
    # A run that does not look at the validation side does not read its pictures.
    read = (train, validation) if plan.schedule.validate_every else (train,)
    shown = [example for split in read for example in split.examples]
    shown += [question.prompt for question in questions]
    with processes.first_before_others():  # who find there what it has kept of the tower
        pictures = _pictures(inputs, plan, base, reader, shown, reporter)
    refer = partial(
        _with_reference, plan, make_loss(plan.objective, base, pictures), reporter=reporter
    )
    # A fresh adapter changes nothing, so that what stands before it is the start as well.
    goes_on = plan.continues is not None and plan.objective.reference == "start"
    if not goes_on:
        train, validation = refer(train, validation)
    if plan.optimizer == "paged_adamw_8bit" and plan.device == "cpu":
        reporter.warned("nothing is paged on a processor: this is adamw_8bit")
    attached = attach(
        base.model,
        table,
        plan.method,
        projector=plan.projector,
        adapt_vision=plan.adapt_vision,
        seed=plan.initialisation_seed,
    )
    trainer = Trainer(plan, attached, base, train.examples, pictures, processes=processes)
    _go_on(trainer, plan, inputs.places.continued)
    if goes_on:
        attached.set_dropout(on=False)
        train, validation = refer(train, validation)
        attached.set_dropout(on=True)
        trainer.examples = train.examples
    return TrainingSession(
        inputs=inputs,
        plan=plan,
        trainer=trainer,
        answering=_answering(plan, base, questions, pictures, reader),
        base_modules=base_modules,
        shared_prompts=plan.objective.PAIRED and base.forward.branches,
        train=train,
        validation=validation,
        checkpoint_keys=checkpoint_keys,
    )


def _questions(
    inputs: TrainingInputs,
    plan: TrainPlan,
    validation: EncodedSplit,
    store: CaptureStore,
    encoder: Encoder,
) -> list[Question]:
    """What is answered at each look at the validation side; nothing where none is asked for."""
    if plan.schedule.answered is None:
        return []
    side = [row.capture for row in inputs.rows if row.split == "validation"]
    usable = [side[example.position] for example in validation.examples]
    return questions_of(usable, plan.schedule.answered, store, encoder)


def _answering(
    plan: TrainPlan,
    base: LoadedBase,
    questions: Sequence[Question],
    pictures: Pictures,
    reader: PictureReader,
) -> Answering | None:
    if plan.answers is None:
        return None
    size = plan.schedule.batch_size
    return Answering(base, questions, pictures, reader, plan.answers, size)


def _with_reference(
    plan: TrainPlan,
    loss: Loss,
    train: EncodedSplit,
    validation: EncodedSplit,
    *,
    reporter: Reporter,
) -> tuple[EncodedSplit, EncodedSplit]:
    """The splits with what the objective compares with, by the model as it is now."""
    if not isinstance(loss, PairLoss) or plan.objective.reference is None:
        return train, validation

    def referred(split: EncodedSplit) -> EncodedSplit:
        found = with_reference(loss, loss.prepared(split.examples), reporter=reporter)
        return replace(split, examples=found)

    looks = plan.schedule.validate_every is not None
    return referred(train), referred(validation) if looks else validation


def _pictures(
    inputs: TrainingInputs,
    plan: TrainPlan,
    base: LoadedBase,
    reader: PictureReader,
    examples: Sequence[Learnable],
    reporter: Reporter,
) -> Pictures:
    """What the tower is shown, where an adapter changes it; else what was recorded of it."""
    if plan.adapt_vision:
        reporter.warned("the vision tower is adapted too: this bundle cannot claim it frozen")
        return reader.shown_together
    folder, budget_bytes = inputs.places.features, inputs.places.features_bytes
    return record_tower(
        base.forward,
        reader,
        examples,
        lock=inputs.lock,
        kept=None if folder is None else KeptFeatures(folder, budget_bytes),
        reporter=reporter,
    ).gather


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
    with Metered(files.read_lock(folder)["environment"]["device"]) as metered:
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


def _go_on(trainer: Trainer, plan: TrainPlan, earlier: Path | None) -> None:
    """Take over the last state of an earlier training, where the lock names one.

    Raises:
        Unreadable: ``E_TRAIN_CONTINUES``, the state is not there, or is damaged.
        Refused: ``E_TRAIN_CONTINUES_OTHER``, it is of another adapter.
    """
    continued = plan.continues
    if continued is None:
        return
    found = CheckpointFolder(earlier / CHECKPOINTS) if earlier is not None else None
    for step in reversed(found.complete_steps() if found else []):
        assert found is not None  # it has steps
        checkpoint, state = found.load(step)
        if state == continued["state"]:
            trainer.take_over(checkpoint.tensors, checkpoint.updates)
            return
    raise Unreadable(
        "E_TRAIN_CONTINUES",
        "the state that train.continues names is missing or damaged",
        where="train.continues",
        expected=continued["state"],
        hint="train without train.continues, or compile the earlier spec again first",
    )


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
        "pictures": list(_shown(folder, session)),
        "shared_prompts": session.shared_prompts,
        "measured": {
            "compute": spent,
            "started_on": instant(started_on),
            "train_seconds": canonical.decimal(took.seconds, 3),
            "tokens_per_second": canonical.decimal(took.tokens / max(took.seconds, 1e-9), 3),
        },
    }


def _shown(folder: Path, session: TrainingSession) -> Iterator[TrainFactsPicture]:
    """What the tower was shown: each distinct picture once, or all of every batch if adapted."""
    train, validation = session.train.examples, session.validation.examples
    counts: Counter[tuple[bool, int, int]] = Counter()
    if session.plan.adapt_vision:
        by_position = {example.position: example for example in train}
        for row in files.read_rows(folder, names.TRACE):
            if row["kind"] == "step":
                for position in row["positions"]:
                    counts.update((True, *use.shown) for use in by_position[position].images)
            elif row["kind"] == "validation":
                counts.update((False, *u.shown) for example in validation for u in example.images)
    else:
        read = (*train, *validation) if session.plan.schedule.validate_every else train
        uses = distinct_uses(use for example in read for use in example.images)
        counts.update((False, *use.shown) for use in uses)
    for (learned, sequences, numbers), count in sorted(counts.items()):
        yield {"learned": learned, "numbers": numbers, "sequences": sequences * count}


def read_checkpoint_keys(base_folder: Path) -> frozenset[str]:
    """Every tensor key of a base's checkpoint."""
    from safetensors import safe_open

    keys: set[str] = set()
    for path in sorted(base_folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            keys.update(file.keys())
    return frozenset(keys)
