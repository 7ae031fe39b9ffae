"""Train: drawn segments of a training run again, in a child process of an audit.

The run folder holds the bundle's lock, `snapshot.jsonl` and `examples.jsonl`, under `checkpoints/`
the states from which segments begin, and in `replay.json` what is asked for:

    {"segments": [{"first": 0, "last": 40}, …], "state": "sha256:…"}

Segments ascend. The answer, `replayed.json`, holds the state before the first step as it is derived
here, and for each segment the rows of the trace that its steps wrote, the state that they ended in
and the digest of the adapter then. Comparing these with what the bundle states is the verifier's
work. Of the captures only those are read that the segments learn from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import canonical, digest
from kolm.adapters.attach import Attached, attach
from kolm.capture.store import CaptureStore
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Dropped, Learnable, Pair
from kolm.encode.pairs import with_unrelated
from kolm.encode.pictures import PictureReader, Pictures
from kolm.encode.recording import record_tower
from kolm.errors import Refused
from kolm.events import Reporter
from kolm.format import names
from kolm.format.examples import next_pair
from kolm.format.order import reading_of
from kolm.format.schedule import Happening
from kolm.format.stopping import Patience
from kolm.models.base import LoadedBase, load_base
from kolm.records import kinds
from kolm.records.sides import LEARNED
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS, REPLAY, REPLAYED
from kolm.train.answering import Answering, Question, questions_of
from kolm.train.checkpoints import CheckpointFolder, encode_tensors, state_files
from kolm.train.loop import state_of
from kolm.train.losses import PairLoss, make_loss
from kolm.train.plan import TrainPlan, read_plan
from kolm.train.prepare import TrainingInputs, example_row, read_inputs
from kolm.train.reference import with_reference
from kolm.train.trace import Trace
from kolm.train.trainer import Trainer

if TYPE_CHECKING:
    from kolm.records.documents import Capture, ExamplesRow, ExamplesRowSide
    from kolm.run.documents import Replayed, ReplayedSegment, ReplaySegment


class Read(NamedTuple):
    """What the segments read.

    Attributes:
        lengths: tokens of every example that can be used, drawn or not.
        train: the drawn ones, by number.
        validation: the whole side where a segment looks at it, else nothing.
        questions: what is answered at each look.
    """

    lengths: Sequence[int]
    train: Mapping[int, Learnable]
    validation: Sequence[Learnable]
    questions: Sequence[Question]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A base with its adapter at the initial weights, and what is learned from."""

    plan: TrainPlan
    base: LoadedBase
    attached: Attached
    read: Read
    pictures: Pictures
    answering: Answering | None

    def trainer(self) -> Trainer:
        """A trainer that has done nothing yet."""
        return Trainer(
            self.plan,
            self.attached,
            self.base,
            self.read.train,
            self.pictures,
            lengths=self.read.lengths,
        )

    def referred(self, reporter: Reporter) -> _Session:
        """The same, with what its objective compares answers with: by the model as it is now."""
        self.attached.set_dropout(on=False)
        read = _referred(self.plan, self.base, self.pictures, self.read, reporter)
        self.attached.set_dropout(on=True)
        return replace(self, read=read)


def replay_folder(folder: Path, reporter: Reporter) -> None:
    """Derive state 0, run the requested segments, and write what came out.

    Raises:
        Refused: ``E_REPLAY_LENGTH``: a capture encodes to other lengths than stated;
            ``E_REPLAY_STATE``: a state is of another adapter or machine.
        Unreadable: a capture, a picture or a state is not there.
    """
    asked = files.read_document(folder, REPLAY)
    inputs = read_inputs(folder)
    session = _open(folder, inputs, asked["segments"], reporter)
    trainer = session.trainer()
    patience = session.plan.schedule.new_patience()
    answer: Replayed = {"state": None, "segments": []}
    if session.plan.continues is None or inputs.places.continued is not None:
        _take_over(trainer, inputs.places.continued)
        _, document = state_files(state_of(trainer, patience))
        answer["state"] = digest.of_bytes(document)
    if _refers_to_earlier(session.plan):
        if inputs.places.continued is None:  # then nobody can say what the answers were worth
            answer["segments"] = [None for _ in asked["segments"]]
            files.write_document(folder, REPLAYED, answer)
            return
        session = session.referred(reporter)
        trainer.examples = session.read.train
    states = CheckpointFolder(folder / CHECKPOINTS)
    handed = states.complete_steps()
    reached = (0, answer["state"])
    for number, segment in enumerate(asked["segments"], start=1):
        if reached != (segment["first"], segment["before"]):
            if segment["first"] not in handed:
                answer["segments"].append(None)
                continue
            trainer = session.trainer()
            patience = session.plan.schedule.new_patience()
            _restore(trainer, patience, states, segment["first"])
        reporter.noted(f"segment {number} of {len(asked['segments'])}")
        told = _run(trainer, patience, segment, session, folder, reporter)
        answer["segments"].append(told)
        reached = (trainer.step, told["state"])
    files.write_document(folder, REPLAYED, answer)


def _open(
    folder: Path, inputs: TrainingInputs, segments: Sequence[ReplaySegment], reporter: Reporter
) -> _Session:
    plan = read_plan(inputs.lock)
    base = load_base(
        inputs.places.base,
        dtype=plan.precision,
        quantisation=plan.quantisation,
        attention=plan.attention,
        device=plan.device,
    )
    encoder = Encoder.of(inputs.lock, base.pictures)
    rows = files.read_rows(folder, names.EXAMPLES, kinds.EXAMPLES_ROW)
    with CaptureStore.open_to_read(inputs.places.captures) as store:
        read = _encode(inputs, plan, rows, segments, store, encoder)
        blobs = store.blobs  # outlives the store's database
    reader = PictureReader(processor=base.pictures, read=blobs.read)
    pictures: Pictures = reader.shown_together
    if not plan.adapt_vision:
        shown = [*read.train.values(), *read.validation]
        shown += [question.prompt for question in read.questions]
        pictures = record_tower(
            base.forward, reader, shown, lock=inputs.lock, kept=None, reporter=reporter
        ).gather
    if not _refers_to_earlier(plan):
        read = _referred(plan, base, pictures, read, reporter)
    attached = attach(
        base.model,
        base.pictures.table,
        plan.method,
        projector=plan.projector,
        adapt_vision=plan.adapt_vision,
        seed=plan.initialisation_seed,
    )
    answering = None
    if plan.answers is not None and read.questions:
        size = plan.schedule.batch_size
        answering = Answering(base, read.questions, pictures, reader, plan.answers, size)
    return _Session(
        plan=plan,
        base=base,
        attached=attached,
        read=read,
        pictures=pictures,
        answering=answering,
    )


def _refers_to_earlier(plan: TrainPlan) -> bool:
    """Whether answers are compared with the end of an earlier training, not with the base."""
    return plan.continues is not None and plan.objective.reference == "start"


def _referred(
    plan: TrainPlan, base: LoadedBase, pictures: Pictures, read: Read, reporter: Reporter
) -> Read:
    """What was read, with what the objective compares with; that follows from each pair alone."""
    loss = make_loss(plan.objective, base, pictures)
    if not isinstance(loss, PairLoss) or plan.objective.reference is None:
        return read
    pairs = [one for one in read.train.values() if isinstance(one, Pair)]
    train = with_reference(loss, pairs, reporter=reporter)
    validation = with_reference(loss, loss.prepared(read.validation), reporter=reporter)
    known = dict(zip(read.train, train, strict=True))
    return read._replace(train=known, validation=validation)


def _encode(
    inputs: TrainingInputs,
    plan: TrainPlan,
    rows: Sequence[ExamplesRow],
    segments: Sequence[ReplaySegment],
    store: CaptureStore,
    encoder: Encoder,
) -> Read:
    """Encode what the segments read; which captures that are follows from lengths alone."""
    schedule, train, validation, order = reading_of(plan.schedule, rows)
    wanted = {
        index
        for segment in segments
        for step in range(segment["first"] + 1, segment["last"] + 1)
        for index in order.window(step, schedule.accumulation)
    }
    side = {name: [row for row in rows if row["side"] == name] for name in LEARNED}
    captures = {name: [row.capture for row in inputs.rows if row.split == name] for name in LEARNED}

    def encode(name: ExamplesRowSide, position: int) -> Learnable:
        capture: Capture = canonical.loads_canonical(
            store.read(captures[name][position]).data, where=captures[name][position]
        )
        encoded = encoder.learnable(capture, position=position)
        stated, found = side[name][position], example_row(name, encoded)
        if isinstance(encoded, Dropped) or found != stated:
            raise Refused(
                "E_REPLAY_LENGTH",
                "a capture encodes to other lengths than examples.jsonl states (X2)",
                where=captures[name][position],
                expected=_told(found),
                found=_told(stated),
            )
        return encoded

    def learn(number: int) -> Learnable:
        """An example; with the answer of the next one where the objective reads it."""
        own = encode("train", train.positions[number])
        if not (plan.objective.UNRELATED and isinstance(own, Pair)):
            return own
        after = encode("train", train.positions[next_pair(number, len(train.positions))])
        return with_unrelated([own, after])[0] if isinstance(after, Pair) else own

    looked_at = validation.positions if validates(plan, segments) else ()
    asked = [captures["validation"][position] for position in looked_at]
    cases = plan.schedule.answered
    return Read(
        lengths=train.ordered_by,
        train={number: learn(number) for number in sorted(wanted)},
        validation=[encode("validation", position) for position in looked_at],
        questions=[] if cases is None else questions_of(asked, cases, store, encoder),
    )


def validates(plan: TrainPlan, segments: Sequence[ReplaySegment]) -> bool:
    """Whether a segment looks at the validation side."""
    every = plan.schedule.validate_every
    return every is not None and any(
        segment["last"] // every > segment["first"] // every for segment in segments
    )


def _told(row: ExamplesRow) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(row.items()) if key != "side")


def _take_over(trainer: Trainer, earlier: Path | None) -> None:
    """Begin with the last state of an earlier training, which lies alone in its folder."""
    if earlier is not None:
        found = CheckpointFolder(earlier / CHECKPOINTS)
        (step,) = found.complete_steps()
        checkpoint, _ = found.load(step)
        trainer.take_over(checkpoint.tensors, checkpoint.updates)


def _restore(
    trainer: Trainer, patience: Patience | None, states: CheckpointFolder, step: int
) -> None:
    """Put a trainer where a recorded state left off; somebody else made the state."""
    checkpoint, _ = states.load(step)
    try:
        trainer.restore(
            checkpoint.step, checkpoint.tensors, checkpoint.updates, checkpoint.gradient_steps
        )
    except (KeyError, RuntimeError, TypeError) as error:  # torch's, of a generator's state
        raise Refused(
            "E_REPLAY_STATE",
            "training cannot go on from a recorded state",
            where=f"checkpoint of step {step}",
            found=str(error).partition("\n")[0][:200],
        ) from error
    if patience and checkpoint.patience:
        patience.restore(checkpoint.patience)


def _run(
    trainer: Trainer,
    patience: Patience | None,
    segment: ReplaySegment,
    session: _Session,
    folder: Path,
    reporter: Reporter,
) -> ReplayedSegment:
    """Run a segment's steps from the state in which the trainer is."""
    first, last = segment["first"], segment["last"]
    reporter.started("replay", last - first, "steps")
    path = folder / names.TRACE
    path.unlink(missing_ok=True)
    trace = Trace(path)
    schedule = trainer.plan.schedule
    for happening, step in schedule.happenings(patience, after=first):
        if step > last:
            break
        if happening is Happening.STEP:
            facts = trainer.run_step()
            trace.step(facts)
            reporter.advanced("replay", step - first, loss=facts.loss)
        elif happening is Happening.VALIDATION:
            answers = trainer.answer(session.answering) if session.answering else None
            row = trace.validation(step, trainer.validate(session.read.validation), answers)
            told = schedule.decisive(row)
            if patience and told is not None:
                patience.tell(told)
    reporter.finished("replay")
    _, document = state_files(state_of(trainer, patience))
    tensors = trainer.attached.tensors
    weights = encode_tensors({tensor.name: tensor.parameter for tensor in tensors})
    return {
        "state": digest.of_bytes(document),
        "rows": files.read_rows(folder, names.TRACE),
        "adapter": digest.of_bytes(weights),
    }
