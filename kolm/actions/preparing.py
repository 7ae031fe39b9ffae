"""The compositions: from a spec and captures to a lock. Trains nothing and writes no bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import digest, file_digests
from kolm.actions.freezing import demand_fit, freeze
from kolm.actions.grounds import describe_base, environment_of, sound_base
from kolm.actions.measuring import Measure
from kolm.actions.project import Project, SpecSource, base_name, project_of, state_places
from kolm.bundle.base_root import BaseFacts, staying
from kolm.capture.snapshot import Snapshot
from kolm.digest import Digest
from kolm.errors import KolmError, Refused
from kolm.events import Reporter
from kolm.format.names import CASES
from kolm.models.resolve import BaseRef
from kolm.records.spec import Spec
from kolm.run.earlier import find_state
from kolm.spec.load import load_spec
from kolm.spec.resolve import Asked, resolve

if TYPE_CHECKING:
    from kolm.records.documents import (
        Lock,
        LockTrainContinues,
    )
    from kolm.verify.requests import Request


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
        base = sound_base(base_name(spec, place), problems)
    except KolmError as error:
        problems.append(("base", error))
    reporter.started("snapshot", None, "captures")
    try:
        folder, snapshot = freeze(spec, place, request, rows, reporter)
        demand_fit(spec, snapshot)
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
    environment = environment_of(parts.spec)  # what is not here is told before the base is read
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


def _continued(spec: Spec, place: Project) -> LockTrainContinues | None:
    """State and chain of the training that a spec goes on from."""
    if spec.train.continues is None:
        return None
    found = find_state(state_places(spec, place), spec.train.continues)
    return {"state": found.state, "chain": found.chain}


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


def _digest_of(source: SpecSource) -> Digest:
    if isinstance(source, Mapping):
        return digest.of_value(asdict(load_spec(source)))
    return file_digests.of_file(Path(source))


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
