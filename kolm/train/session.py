"""Train: a run folder opened: its captures encoded, its base loaded, and the adapter put on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kolm.adapters.attach import attach
from kolm.capture.store import CaptureStore
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Learnable
from kolm.encode.kept_features import KeptFeatures
from kolm.encode.pictures import PictureReader, Pictures
from kolm.encode.recording import record_tower
from kolm.errors import Unreadable
from kolm.events import Reporter
from kolm.models.base import LoadedBase, load_base, quantised
from kolm.models.device import CPU
from kolm.run.names import CHECKPOINTS
from kolm.train import survey
from kolm.train.answering import Answering, Question, questions_of
from kolm.train.checkpoints import CheckpointFolder
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
from kolm.train.trainer import Trainer

if TYPE_CHECKING:
    pass


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
    # What stands before a fresh adapter is the start: its virtual tokens, if it has any, are none.
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


def read_checkpoint_keys(base_folder: Path) -> frozenset[str]:
    """Every tensor key of a base's checkpoint."""
    from safetensors import safe_open

    keys: set[str] = set()
    for path in sorted(base_folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            keys.update(file.keys())
    return frozenset(keys)
