"""The compositions: what a training will need, before a weight is loaded. Changes nothing.

Sizes come from headers, from kolm's table of published bases or from a config; lengths from the
captures where captures and processor are here, else from the spec's own limits.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from kolm import canonical, paths
from kolm.actions import children
from kolm.actions.preparing import gather
from kolm.actions.project import SpecSource, base_name, project_of
from kolm.actions.room import OTHER_BYTES, adapter_bytes, features_need, state_bytes
from kolm.capture.store import CaptureStore
from kolm.counting import listed
from kolm.errors import KolmError
from kolm.events import Reporter, Silent
from kolm.extras import missing_extra
from kolm.format.compute import Batches
from kolm.format.examples import Lengths
from kolm.format.flops import Batched, Work, training_flops
from kolm.format.outline import outline
from kolm.methods import method_of
from kolm.methods.quantisation import quantisation_of
from kolm.models.shapes import (
    Parameters,
    Sizes,
    demand_language,
    experts_per_token,
    shares_prompts,
    sizes_of,
)
from kolm.objectives import objective_of
from kolm.planning.devices import DEVICES
from kolm.planning.histogram import histogram
from kolm.planning.memory import GIB, Memory
from kolm.planning.operations import Step
from kolm.planning.peak import largest_batch, longest_of
from kolm.planning.settings import Setting, changes, compare
from kolm.planning.trained import branch_bytes, trained_numbers
from kolm.run import folder as files
from kolm.run.names import SHAPES
from kolm.spec.load import load_spec
from kolm.spec.options import resolve_objective
from kolm.spec.resolve import MANY_EXAMPLES, advice_on, train_block
from kolm.train.profile import child_environment

if TYPE_CHECKING:
    from kolm.actions.preparing import Parts
    from kolm.format.outline import Outline
    from kolm.objectives import Objective
    from kolm.records.answers import Plan, PlanData, PlanMemory, PlanTime, PlanUnread
    from kolm.records.documents import LockTrain
    from kolm.records.spec import Spec
    from kolm.roles import Family
    from kolm.train.preflight import Encoded

NAMED: Final = 5  # captures that training would refuse are told by name, so many of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a user may state of a machine.

    Attributes:
        memory_gib: of the device; None where nobody says.
        teraflops: that it sustains in a second; None where nobody says.
    """

    memory_gib: Decimal | None = None
    teraflops: Decimal | None = None


def plan(spec: SpecSource, *, asked: Asked | None = None, reporter: Reporter | None = None) -> Plan:
    """Predict what the training of a spec will need.

    Args:
        spec: path of the YAML file, or the same content as a dict.
        asked: what is known of the machine.
        reporter: hears progress.

    Raises:
        KolmError: the spec does not hold, or nothing is known of its base.
    """
    told, machine = reporter or Silent(), asked or Asked()
    wanted, project = load_spec(spec), project_of(spec, None)
    sizes = sizes_of(base_name(wanted, project))
    parameters = _parameters(sizes, told)
    demand_language(parameters, sizes.family)
    data, notes = _data(spec, wanted, sizes, told)
    return _answer(spec, wanted, sizes, parameters, data, notes, machine)


def _parameters(sizes: Sizes, reporter: Reporter) -> Parameters:
    """The shapes; where only a config is here, as the library makes them of it, in a child."""
    if sizes.parameters is not None:
        return sizes.parameters
    assert sizes.place is not None  # a config was read there
    with paths.scratch_folder("kolm-plan-") as folder:
        shutil.copyfile(sizes.place.folder / "config.json", folder / "config.json")
        children.run("shapes", folder, environment=child_environment(1), reporter=reporter)
        rows = files.read_document(folder, SHAPES)["parameters"]
    return tuple((name, tuple(shape)) for name, shape in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What of the data could be read.

    Attributes:
        examples: captures on the train side; None where no captures are here.
        encoded: those that were encoded; None where that could not be.
        unread: why, then.
    """

    examples: int | None = None
    encoded: Encoded | None = None
    unread: tuple[PlanUnread, ...] = ()


def _data(
    source: SpecSource, spec: Spec, sizes: Sizes, reporter: Reporter
) -> tuple[Seen, list[str]]:
    notes: list[str] = []
    unread: list[PlanUnread] = []
    parts = gather(source, rows=None, project=None, reporter=reporter)
    for name, error in parts.problems:
        if name == "base" and sizes.source != "weights":
            notes.append(f"the base itself is not here: its sizes are from {sizes.source} facts")
        else:
            unread.append(_why(error, name))
    if parts.snapshot is None or parts.store_folder is None:
        return Seen(unread=tuple(unread)), [*dict.fromkeys(notes)]
    examples = parts.snapshot.header["splits"]["train"]["captures"]
    objective = resolve_objective(spec.train.objective)
    if parts.base is None:
        return Seen(examples=examples, unread=tuple(unread)), [*dict.fromkeys(notes)]
    try:
        encoded = _encoded(parts, spec, objective)
        refused = [f"{name}: {error.message}" for name, error in encoded.refused]
        notes += [] if not refused else listed(refused, NAMED).splitlines()
        return Seen(examples=examples, encoded=encoded), [*dict.fromkeys(notes)]
    except KolmError as error:
        unread.append(_why(error))
        return Seen(examples=examples, unread=tuple(unread)), [*dict.fromkeys(notes)]


def _why(error: KolmError, name: str = "") -> PlanUnread:
    """Why data was not read, and what to do."""
    return {"message": f"{name}: {error.message}" if name else error.message, "hint": error.hint}


def _encoded(parts: Parts, spec: Spec, objective: Mapping[str, object]) -> Encoded:
    """The train side, encoded as training would."""
    assert parts.base is not None
    assert parts.snapshot is not None
    assert parts.store_folder is not None
    try:
        from kolm.actions.ahead import captures_of
        from kolm.encode.encoder import Encoder
        from kolm.models.pictures import picture_processor
        from kolm.train.preflight import encode_to_learn

        encoder = Encoder(
            picture_processor(parts.base.folder),
            max_seq_length=spec.train.max_seq_length,
            max_images=spec.train.max_images,
            shrink_images=spec.train.shrink_images,
            objective=objective_of(objective),
        )
    except ImportError as error:
        raise missing_extra("train", f"counting tokens needs {error.name}") from error
    with CaptureStore.open_to_read(parts.store_folder) as store:
        return encode_to_learn(captures_of(parts.snapshot, store, "train"), encoder)


def _answer(
    source: SpecSource,
    spec: Spec,
    sizes: Sizes,
    parameters: Parameters,
    data: Seen,
    notes: list[str],
    machine: Asked,
) -> Plan:
    train, family = spec.train, sizes.family
    base = outline(parameters, family, experts_per_token=experts_per_token(sizes.config))
    block = cast(
        "LockTrain",
        train_block(
            train,
            advice_on(train, sizes.base, family.model_type),
            spec.evaluation,
            examples=data.examples or MANY_EXAMPLES,
            family_name=family.model_type,
        ),
    )
    vision, projector = block["freeze"]["vision"] is False, block["projector"]
    method, quantisation = method_of(block["method"]), quantisation_of(block["quantisation"])
    numbers = trained_numbers(parameters, family, method, projector)
    objective = objective_of(block["objective"])
    if data.encoded is not None and data.encoded.examples:
        lengths = data.encoded.lengths
    else:
        lengths = _longest(spec, family, paired=objective.PAIRED)
    made = Batches(objective, shares_prompts(sizes.config, family), method.front)
    batch, image_tokens = largest_batch(lengths, made, train.batch_size)
    setting = Setting(
        precision=block["precision"],
        four_bits=quantisation is not None,
        double=quantisation is not None and quantisation.double,
        optimizer=train.optimizer,
        numbers=numbers,
        batch=batch,
        image_tokens=image_tokens,
        adapted_tower=vision,
        projector=projector not in (None, "frozen"),
        branches=branch_bytes(base, method, block["precision"]),
        place_branches=branch_bytes(base, method, block["precision"], of_places=True),
        processes=train.processes,
        on_cpu=train.device == "cpu",
    )
    memory = setting.need(base)
    smaller = changes(
        setting,
        projector=projector,
        numbers_without_projector=trained_numbers(parameters, family, method, "frozen"),
    )
    longest = longest_of(lengths, train.batch_size)
    step = Step(
        base=base,
        method=method,
        projector=projector,
        work=made.of(lengths, longest),
        unlabelled=made.unrelated(lengths, longest),
        pictured=image_tokens > 0,
        batches=train.accumulation,
    )
    terms = step.terms()
    steps = block["steps"] if train.steps or data.examples else None
    step_flops = sum(terms.values())
    before = _reference_flops(base, objective, made, lengths, data)
    run_flops = None if steps is None or before is None else step_flops * steps + before
    limit = None if machine.memory_gib is None else int(machine.memory_gib * GIB)
    return {
        "spec": str(source) if not isinstance(source, dict) else spec.name,
        "base": {"id": sizes.base, "family": family.model_type, "sizes_from": sizes.source},
        "parameters": {**base.parameters, "total": base.total},
        "trained": {
            "numbers": numbers,
            "method": method.card(),
            "projector": projector,
            "vision": vision,
        },
        "data": _told(data.encoded),
        "batch": {
            "rows": batch.rows,
            "length": batch.length,
            "labels": batch.labels,
            "image_tokens": image_tokens,
            "steps": steps,
            "accumulation": train.accumulation,
            "processes": train.processes,
            "lengths_from": "spec" if data.encoded is None else "data",
        },
        "memory": _bytes(memory),
        "fits": None
        if limit is None
        else {"memory_bytes": limit, "fits": memory.with_margin <= limit},
        "changes": [
            {"line": change.line, "need_bytes": change.setting.need(base).with_margin}
            for change in smaller
        ],
        "compared": [
            {
                "method": way.method,
                "checkpointing": way.checkpointing,
                "devices": way.devices,
                "memory": _bytes(way.memory),
                "flops": str(way.flops),
                "step_seconds": _seconds(way.flops, machine.teraflops),
            }
            for way in compare(base, numbers, batch, step)
        ],
        "devices": [
            {
                "name": device.name,
                "memory_bytes": device.memory_bytes,
                "source": device.source,
                "fits": memory.with_margin <= device.memory_bytes,
            }
            for device in DEVICES
        ],
        "flops": {
            "step": str(step_flops),
            "step_terms": {term: str(count) for term, count in terms.items()},
            "reference": None if before is None else str(before),
            "run": None if run_flops is None else str(run_flops),
        },
        "time": _time(step_flops, run_flops, machine.teraflops),
        "disk": {
            "states_bytes": (min(train.segments, steps or train.segments) + 2)
            * state_bytes(numbers, train.optimizer),
            "adapter_bytes": 2 * adapter_bytes(numbers),
            "features_bytes": None
            if data.encoded is None or vision
            else features_need(data.encoded.pictures, base, setting.precision),
            "other_bytes": OTHER_BYTES,
        },
        "notes": notes,
        "unread": list(data.unread),
    }


def _longest(spec: Spec, family: Family, *, paired: bool) -> Lengths:
    """Without data: a batch of captures that are as long as the spec allows.

    Each shows a picture that takes half of it, or one token where pictures are read beside the
    text, and has answers of ``evaluation.max_new_tokens``.
    """
    length = spec.train.max_seq_length
    shown = (1 if family.beside else length // 2) if family.takes_pictures else 0
    labels = min(length, spec.evaluation.max_new_tokens)
    made = Lengths.none()
    for position in range(spec.train.batch_size):
        made.positions.append(position)
        made.tokens.append(length)
        made.labels.append(labels)
        made.pictures.append(shown)
        made.other_tokens.append(length if paired else 0)
        made.other_labels.append(labels if paired else 0)
    return made


def _reference_flops(
    base: Outline, objective: Objective, made: Batches, lengths: Lengths, data: Seen
) -> int | None:
    """Of the reference's pass over the train side, before anything is learned.

    Without lengths of captures each is as long as the spec allows; None where nobody knows how
    many there are.
    """
    if not objective.PAIRED or objective.reference is None:
        return 0
    if data.examples is None:
        return None
    read = made.reference(lengths)
    terms = training_flops(base, None, "frozen", Batched(Work(), Work(), read))
    known = data.encoded is not None and data.encoded.examples
    total = sum(terms.values())
    return total if known else total * data.examples // len(lengths.tokens)


def _told(encoded: Encoded | None) -> PlanData | None:
    if encoded is None:
        return None
    lengths = encoded.lengths
    return {
        "examples": len(encoded.examples),
        "cut": len(encoded.cut),
        "dropped": {reason: len(names) for reason, names in sorted(encoded.dropped.items())},
        "refused": len(encoded.refused),
        "tokens": histogram(lengths.ordered_by),
        "image_tokens": histogram(lengths.pictures),
        "labels": histogram(
            [*map(int.__add__, encoded.lengths.labels, encoded.lengths.other_labels)]
        ),
    }


def _bytes(memory: Memory) -> PlanMemory:
    return cast(
        "PlanMemory",
        {**memory._asdict(), "total": memory.total, "with_margin": memory.with_margin},
    )


def _seconds(flops: int, teraflops: Decimal | None, places: int = 3) -> str | None:
    return None if teraflops is None else canonical.decimal(flops / (teraflops * 10**12), places)


def _time(step_flops: int, run_flops: int | None, teraflops: Decimal | None) -> PlanTime | None:
    step = _seconds(step_flops, teraflops)
    if teraflops is None or step is None:
        return None
    return {
        "flops_per_second": str(round(teraflops * 10**12)),
        "step_seconds": step,
        "run_seconds": None if run_flops is None else _seconds(run_flops, teraflops, 1),
    }
