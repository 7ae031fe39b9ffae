"""The compositions: from a spec and captures to a lock. Trains nothing and writes no bundle."""

from __future__ import annotations

import os
import shutil
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kolm import digest, file_digests, roles, system
from kolm.actions.measuring import Measure
from kolm.bundle.base_files import own_template
from kolm.bundle.base_root import BaseFacts, staying
from kolm.bundle.members import kind_of
from kolm.capture.intake import take_in
from kolm.capture.rows import from_python
from kolm.capture.snapshot import Snapshot, take
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import KolmError, Refused
from kolm.events import Reporter
from kolm.format.names import CASES
from kolm.format.optimizer import uses_bitsandbytes
from kolm.format.split import SplitRule
from kolm.models import device as devices
from kolm.models import folder as folders
from kolm.models.resolve import BaseRef, find_folder, resolve_base
from kolm.records.spec import Spec
from kolm.run.earlier import find_state
from kolm.score.intervals import wilson
from kolm.spec.load import load_spec
from kolm.spec.resolve import Asked, resolve
from kolm.train import profile

if TYPE_CHECKING:
    from kolm.records.documents import (
        Lock,
        LockBase,
        LockBaseTemplate,
        LockEnvironment,
        LockTrainContinues,
    )
    from kolm.verify.requests import Request


_STATE = ".kolm"  # a project's own folder for what can be made again
_MANY_CASES = 100_000
_MOST_THREADS = 16  # more threads than this make small matrix products slower

SpecSource = Path | str | Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Where a compile's files lie: the spec's folder, or the one that was named."""

    folder: Path

    @property
    def runs_folder(self) -> Path:
        """The folder of the stages' results, each in a folder named after its key."""
        return self.folder / _STATE / "runs"

    @property
    def rows_folder(self) -> Path:
        """The folder of the stores that rows from Python went into."""
        return self.folder / _STATE / "rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything that is settled before training.

    Attributes:
        spec: what the user wants.
        spec_digest: of the spec as it was given: of the file's bytes, or of the dict.
        project: where files lie.
        store_folder: of the capture store.
        snapshot: of the captures, split.
        base: where the base was found.
        facts: the base as it was measured.
        stamp: what the file system said of the base then.
        lock: the spec resolved.
        request: that is answered.
    """

    spec: Spec
    spec_digest: Digest
    project: Project
    store_folder: Path
    snapshot: Snapshot
    base: BaseRef
    facts: BaseFacts
    stamp: Digest
    lock: Lock
    request: Request | None = None


def project_of(spec: SpecSource, project: Path | None) -> Project:
    """The project of a spec: the named folder, else the spec's own, else the current one."""
    if project is not None:
        return Project(folder=project.absolute())
    if isinstance(spec, Mapping):
        return Project(folder=Path.cwd())
    return Project(folder=Path(spec).absolute().parent)


class Parts(NamedTuple):
    """Base and data of a compile as far as they could be read, and all that is wrong with them.

    Attributes:
        problems: each with what was looked at.
    """

    spec: Spec
    project: Project
    base: BaseRef | None
    store_folder: Path | None
    snapshot: Snapshot | None
    request: Request | None
    problems: tuple[tuple[str, KolmError], ...]


def prepare(
    source: SpecSource,
    *,
    rows: Iterable[Mapping[str, object]] | None,
    project: Path | None,
    measure: Measure,
    reporter: Reporter,
) -> Prepared:
    """Read the spec, freeze the captures, measure the base and resolve the lock.

    Args:
        source: the spec.
        rows: to train on instead of the spec's capture store.
        project: the folder that relative paths mean.
        measure: `measuring.measure_now` for what will be signed.
        reporter: hears progress.

    Raises:
        KolmError: whatever of it does not hold; nothing has been trained then.
    """
    parts = gather(source, rows=rows, project=project, reporter=reporter)
    raise_together([error for _, error in parts.problems])
    return settle(source, parts, measure, reporter)


def gather(
    source: SpecSource,
    *,
    rows: Iterable[Mapping[str, object]] | None,
    project: Path | None,
    reporter: Reporter,
) -> Parts:
    """Read the spec, find the base and freeze the captures; what is wrong is listed, all of it.

    Raises:
        KolmError: the spec does not hold.
    """
    spec, place = load_spec(source), project_of(source, project)
    problems: list[tuple[str, KolmError]] = []
    base = folder = snapshot = request = None
    try:
        request = _request(spec, place)
    except KolmError as error:
        problems.append(("request", error))
    try:
        base = _sound_base(spec, place, problems)
    except KolmError as error:
        problems.append(("base", error))
    reporter.started("snapshot", None, "captures")
    try:
        folder = place.folder / spec.data.captures
        if rows is not None:
            folder = store_rows(rows, place, reporter)
        with CaptureStore.open_to_read(folder) as store:
            snapshot = take(store, split_rule(spec, request))
        _demand_pack(spec, snapshot)
        for name, data in snapshot.files().items():  # rather than after hours of training
            kind_of(name).limit.hold(len(data), where=name)
    except KolmError as error:
        problems.append(("captures", error))
    else:
        reporter.finished(
            "snapshot",
            captures=snapshot.header["captures"],
            images=snapshot.header["images"],
            eval_images_with_a_near_twin=len(snapshot.near_pairs),
        )
    return Parts(spec, place, base, folder, snapshot, request, tuple(problems))


def settle(source: SpecSource, parts: Parts, measure: Measure, reporter: Reporter) -> Prepared:
    """The lock over parts that have no problems.

    Raises:
        KolmError: the base's files, or a training to go on from, are not as they should be.
    """
    base, folder, snapshot, asked = parts.base, parts.store_folder, parts.snapshot, parts.request
    if base is None or folder is None or snapshot is None:
        raise AssertionError("parts with problems make no lock")
    environment = _environment(parts.spec)  # what is not here is told before the base is read
    reporter.started("measure base", None, "tensors")
    with staying(base.folder) as stamp:
        facts = measure(base.folder)
    reporter.finished("measure base", tensors=len(facts.tensors), parameters=facts.parameters)
    lock = resolve(
        parts.spec,
        base=describe_base(base, facts),
        snapshot=snapshot.header,
        training=snapshot.training_root,
        cases=digest.of_bytes(snapshot.files()[CASES]),
        continued=_continued(parts.spec, parts.project),
        asked=None if asked is None else Asked(asked.digest, asked.said["nonce"]),
        environment=environment,
    )
    return Prepared(
        spec=parts.spec,
        spec_digest=_digest_of(source),
        project=parts.project,
        store_folder=folder,
        snapshot=snapshot,
        base=base,
        facts=facts,
        stamp=stamp,
        lock=lock,
        request=asked,
    )


def _environment(spec: Spec) -> LockEnvironment:
    """The environment that this machine offers a spec.

    Raises:
        Lacking: the device that it asks for is not here, or lacks its number format.
        Refused: its number format is not trained in.
    """
    processes = spec.train.processes
    threads = spec.train.threads or default_threads(processes)
    wanted = devices.wanted(spec.train.device)
    profile.demand_precision(spec.train.precision, threads, wanted)
    used = uses_bitsandbytes(spec.train.optimizer, spec.train.quantisation)
    return profile.environment_class(threads, wanted, bitsandbytes=used, processes=processes)


def _sound_base(
    spec: Spec, place: Project, problems: list[tuple[str, KolmError]]
) -> BaseRef | None:
    """The base, or None when files of it are not as expected, which are then listed."""
    name = base_name(spec, place)
    wrong = folders.findings(find_folder(name).folder)
    problems += [("base", error) for error in wrong]
    return None if wrong else resolve_base(name)


def _continued(spec: Spec, place: Project) -> LockTrainContinues | None:
    """State and chain of the training that a spec goes on from."""
    if spec.train.continues is None:
        return None
    found = find_state(state_places(spec, place), spec.train.continues)
    return {"state": found.state, "chain": found.chain}


def state_places(spec: Spec, place: Project) -> list[Path]:
    """Where the training is looked for that a spec goes on from.

    Raises:
        Unreadable: what ``train.continues_from`` names is not there.
    """
    places = [place.runs_folder]
    if spec.train.continues_from is not None:
        named = place.folder / spec.train.continues_from
        system.demand_there(named)
        places.append(Project(folder=named).runs_folder if named.is_dir() else named)
    return places


def demand_reachable(prepared: Prepared, *, too_long: int = 0) -> None:
    """Refuse a floor that even right answers to all eval cases would miss.

    Args:
        prepared: with the floor.
        too_long: cases that cannot be right, because no answer may be as long as theirs.

    Raises:
        Refused: ``E_FLOOR_OUT_OF_REACH``.
    """
    cases = prepared.snapshot.header["splits"]["eval"]["captures"]
    floor = prepared.lock["evaluation"]["floors"]["accuracy_lower_bound"]
    best = wilson(cases - too_long, cases)["low"]
    if floor is None or Decimal(best) >= Decimal(floor):
        return
    found = f"{counted(cases, 'eval case')}, whose lower bound is at most {best}"
    if too_long:
        message = "answers longer than evaluation.max_new_tokens put the floor out of reach"
        found += f": {counted(too_long, 'reference')} too long"
        hint = "raise evaluation.max_new_tokens, or lower the floor"
    else:
        message = "so few eval cases cannot reach the floor, even if every answer is right"
        hint = "add captures, hold out more of them (data.split), or lower the floor"
        more = range(cases, _MANY_CASES)
        place = bisect_left(more, Decimal(floor), key=lambda n: Decimal(wilson(n, n)["low"]))
        if place < len(more):
            found += f"; {more[place]} right answers would reach it"
    raise Refused(
        "E_FLOOR_OUT_OF_REACH",
        message,
        where="evaluation.floors.accuracy_lower_bound",
        expected=f"a lower bound of at least {floor}",
        found=found,
        hint=hint,
    )


def raise_together(errors: Sequence[KolmError]) -> None:
    """Raise what stands in the way of a compile, if anything does.

    Raises:
        KolmError: the one error, or ``E_COMPILE_PRECHECKS`` with all of them.
    """
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise type(errors[0])(
            "E_COMPILE_PRECHECKS",
            f"{len(errors)} problems stop this compile",
            found="\n".join(map(str, errors)),
            hint="kolm check shows each of them with what to do",
        )


def base_name(spec: Spec, place: Project) -> str:
    """What the spec calls its base: a folder beside it, or any other name."""
    beside = place.folder / spec.base
    return str(beside) if beside.is_dir() else spec.base


def _digest_of(source: SpecSource) -> Digest:
    if isinstance(source, Mapping):
        return digest.of_value(asdict(load_spec(source)))
    return file_digests.of_file(Path(source))


def default_threads(processes: int = 1) -> int:
    """Threads of a compile when the spec names none: the cores that this process may use.

    Of several that train together each has its share of them.
    """
    return min(max(1, len(os.sched_getaffinity(0)) // processes), _MOST_THREADS)


def _request(spec: Spec, place: Project) -> Request | None:
    """The request that a spec answers.

    Raises:
        KolmError: its file cannot be read, or asks for another pack.
    """
    if spec.request is None:
        return None
    from kolm.verify.requests import load_request  # few compiles answer one

    request = load_request(place.folder / spec.request)
    if request.pack not in (None, spec.evaluation.pack):
        raise Refused(
            "E_REQUEST_PACK",
            "the request asks for a score on another pack",
            where="evaluation.pack",
            expected=request.pack or "",
            found=spec.evaluation.pack or "none",
            hint=f"import the buyer's pack into the store, and write  pack: {request.pack}",
        )
    return request


def _demand_pack(spec: Spec, snapshot: Snapshot) -> None:
    """Demand that the eval side is the pack that the spec names, whole and alone.

    Raises:
        Refused: ``E_PACK_DIFFERS``.
    """
    wanted, found = spec.evaluation.pack, snapshot.pack_root
    if wanted in (None, found):
        return
    held = snapshot.header["splits"]["eval"]["captures"]
    raise Refused(
        "E_PACK_DIFFERS",
        "the eval side is not the pack that is to be scored",
        where="evaluation.pack",
        expected=str(wanted),
        found=f"{found}, of {counted(held, 'capture')}",
        hint="import the pack as it was handed over, and let no other capture state the side eval: "
        "kolm capture list shows what each states",
    )


def split_rule(spec: Spec, request: Request | None = None) -> SplitRule:
    """The split that a spec asks for; a request's nonce draws it."""
    split = spec.data.split
    held_out = {} if split.eval is None else {"eval": Decimal(split.eval)}
    return SplitRule(
        kind=split.kind,
        validation=Decimal(split.validation),
        near_duplicates=spec.data.near_duplicates,
        nonce=None if request is None else request.said["nonce"],
        **held_out,
    )


def describe_base(base: BaseRef, facts: BaseFacts) -> LockBase:
    """The lock's ``base`` object: who the base is, and the root over everything it consists of."""
    return {
        "id": base.id,
        "family": base.family,
        "revision": base.revision,
        "root": facts.root,
        "tensors": len(facts.tensors),
        "parameters": facts.parameters,
        "dtype": facts.dtype,
        "license": base.license,
        "papers": list(base.papers),
        "files": [{"digest": file.digest, "name": file.name} for file in facts.files],
        "template": _template(base),
    }


def _template(base: BaseRef) -> LockBaseTemplate:
    """The chat template to train and answer with; most families take the base's own unasked."""
    own = own_template(base.folder) or ""
    if not roles.family(base.family).training_templates:
        return {"digest": digest.of_bytes(own.encode()), "source": "base"}
    from kolm.encode.skeleton import choose_template, name_template
    from kolm.models.pictures import picture_processor  # loads transformers

    pictures = picture_processor(base.folder)
    return name_template(pictures, choose_template(pictures))


def store_rows(rows: Iterable[Mapping[str, object]], place: Project, reporter: Reporter) -> Path:
    """Put rows from Python into a store of their own; equal rows give the same folder.

    Raises:
        Refused: a row cannot be taken; nothing is kept then.
    """
    place.rows_folder.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=place.rows_folder))
    try:
        with CaptureStore.open(making / "store", create=True) as store:
            take_in(store, from_python(rows), reporter=reporter)
            ids = digest.merkle_root(digest.raw_of(row.id) for row in store.rows())
        kept = place.rows_folder / digest.hex_of(ids)[:16]
        if not kept.exists():
            (making / "store").rename(kept)
        return kept
    finally:
        shutil.rmtree(making)
