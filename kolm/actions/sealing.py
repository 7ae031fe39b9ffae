"""The compositions: a finished run becomes content, claims about it, and one file.

Content is a function of the lock, the captures and the finished stages alone. Claims carry what
was measured and when, and are signed with the builder's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kolm import canonical, digest, file_digests
from kolm.actions.acceptance import Acceptance
from kolm.actions.preparing import Prepared
from kolm.actions.stages import Finished
from kolm.bundle import writer
from kolm.bundle.manifest import Member, build_manifest
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format import adapter_config, card, names
from kolm.format.receipt import derive_receipt
from kolm.format.words import claimed_words
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS
from kolm.score import kscore, kscore_claim
from kolm.sign import envelope, making, predicates, statement
from kolm.sign.keys import PublicKey
from kolm.sign.private_keys import PrivateKey

if TYPE_CHECKING:
    from kolm.records.documents import (
        Evaluation,
        Kscore,
        KscorePack,
        Lock,
        ModulesRow,
        PredicateCompute,
        Receipt,
    )
    from kolm.run.documents import Measurements


Source = bytes | Path

# Members that the stages leave as files of the same name.
_TRAINED = (names.WEIGHTS, names.MODULES, names.EXAMPLES, names.TRACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything that has the content id: the receipt and the layers."""

    receipt: bytes
    members: Mapping[str, Source]
    content_id: Digest

    def size_of(self, names: Iterable[str]) -> int:
        """Bytes of some members together."""
        return sum(_measure(name, self.members[name]).size for name in names)


def gather_content(done: Finished, prepared: Prepared, evaluation: Evaluation) -> Content:
    """The content of a bundle from the finished stages and the lock that asks for them.

    Raises:
        KolmError: a document of a stage cannot be read.
    """
    lock = prepared.lock
    files_of_snapshot = prepared.snapshot.files()
    members: dict[str, Source] = {name: done.trained / name for name in _TRAINED}
    modules = files.read_rows(done.trained, names.MODULES)
    members[names.CONFIG] = adapter_config.derive(lock, modules)
    members[names.LOCK] = canonical.dumps(lock)
    members |= {name: files_of_snapshot[name] for name in (names.SNAPSHOT, names.LINES)}
    members[names.PREDICTIONS] = done.evaluated / names.PREDICTIONS
    members[names.EVALUATION] = canonical.dumps(evaluation)
    publish = lock["publish"]
    if publish["text"]:
        members[names.CASES] = files_of_snapshot[names.CASES]
    if publish["checkpoints"] == "bundle":
        members |= _checkpoints(done.trained)
    if publish["images"]:
        members |= _eval_images(prepared)
    receipt = _receipt(done, prepared, modules, members)
    members[names.CARD] = card.render(receipt=receipt, lock=lock, evaluation=evaluation)
    stored = canonical.dumps(receipt)
    manifest = build_manifest([_measure(names.RECEIPT, stored), *_measure_all(members)])
    return Content(receipt=stored, members=members, content_id=digest.of_bytes(manifest))


def _receipt(
    done: Finished,
    prepared: Prepared,
    modules: list[ModulesRow],
    members: Mapping[str, Source],
) -> Receipt:
    return derive_receipt(
        lock=prepared.lock,
        snapshot=prepared.snapshot.header,
        modules=modules,
        examples=files.read_rows(done.trained, names.EXAMPLES),
        trace=files.read_rows(done.trained, names.TRACE),
        members={m.name: (m.digest, m.size) for m in _measure_all(members)},
    )


def _measure_all(members: Mapping[str, Source]) -> list[Member]:
    return [_measure(name, source) for name, source in members.items()]


def _measure(name: str, source: Source) -> Member:
    if isinstance(source, bytes):
        return Member(name=name, digest=digest.of_bytes(source), size=len(source))
    return Member(name=name, digest=file_digests.of_file(source), size=source.stat().st_size)


def _checkpoints(run: Path) -> dict[str, Source]:
    return {path.name: path for path in sorted((run / CHECKPOINTS).glob("checkpoint-*.*"))}


def _eval_images(prepared: Prepared) -> dict[str, Source]:
    files = {
        file for row in prepared.snapshot.rows if row.split == "eval" for file, *_ in row.images
    }
    with CaptureStore.open_to_read(prepared.store_folder) as store:
        return {names.eval_image(f): store.blobs.path(f) for f in sorted(files)}


def score_report(
    lock: Lock,
    evaluation: Evaluation,
    measurements: Measurements,
    *,
    size_bytes: int,
    pack: KscorePack,
) -> Kscore:
    """The K-score document of an evaluation and the measurements beside it."""
    settings = lock["evaluation"]
    return kscore_claim.claim(
        evaluation,
        evaluation_digest=digest.of_value(evaluation),
        size_bytes=size_bytes,
        p50_latency_us=measurements["p50_latency_us"],
        p95_latency_us=measurements["p95_latency_us"],
        latency_calls=measurements["latency_calls"],
        cost_usd_per_call=kscore.cost_usd_per_call(
            settings["cost"], measurements["tokens_per_call"]
        ),
        gate_k=settings["floors"]["k"],
        pack=pack,
        machine=measurements["machine"],
        measured_on=measurements["measured_on"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When the compile ran, what was measured on the way, and what the training took."""

    started: datetime
    finished: datetime
    measured: Mapping[str, str | int]
    compute: PredicateCompute


def seal_bundle(
    target: Path,
    content: Content,
    prepared: Prepared,
    *,
    force: bool,
    evaluation: Evaluation,
    report: Kscore,
    key: PrivateKey,
    times: Times,
    accept: Acceptance,
) -> None:
    """Write the bundle with its five claims: provenance, modules, compute, K-score, test result.

    A bundle of the same content at `target` keeps its claims, and gets what this key has not yet
    said there.

    Raises:
        Usage: ``E_TARGET_EXISTS``: something else is at `target`, and `force` is off.
        Refused: ``E_COMPILE_NOT_VERIFIED``: the made file does not pass; nothing is written then.
    """
    there = () if force else writer.claims_at(target, content.content_id) or ()
    said = _said_by(key.public, there)
    claims = [
        making.seal(
            making.statement(content.content_id, prepared.lock["name"], kind, predicate), key
        )
        for kind, predicate in _predicates(content, prepared, evaluation, report, times).items()
        if not _is_said(kind, predicate, said)
    ]
    writer.seal(
        target,
        receipt=content.receipt,
        members=content.members,
        claims=claims,
        force=force,
        accept=accept.demand,
    )


def _said_by(key: PublicKey, claims: Sequence[bytes]) -> list[statement.Statement]:
    """What a key has said in claims that are there already."""
    said = []
    for data in claims:
        try:
            found = envelope.open_envelope(data)
            if found.keyid == key.keyid:
                envelope.demand_signature(found, key, where="claim")
                said.append(statement.parse(found.payload))
        except Refused:  # whoever made it, this key did not: it stays, and counts for nothing here
            continue
    return said


def _is_said(
    kind: str, predicate: Mapping[str, object], said: Sequence[statement.Statement]
) -> bool:
    """Whether a key has said this already, perhaps at another time: then the first one stays."""
    return any(
        old.predicate_type == kind
        and _without_times(kind, old.predicate) == _without_times(kind, predicate)
        for old in said
    )


def _without_times(kind: str, predicate: Mapping[str, object]) -> dict[str, object]:
    if kind == predicates.PROVENANCE:  # of one content: it differs in times and what took how long
        return {}
    measured = ("measured_on", "measured")  # a K-score's time; what a compute claim's meters said
    return {name: value for name, value in predicate.items() if name not in measured}


def _predicates(
    content: Content,
    prepared: Prepared,
    evaluation: Evaluation,
    report: Kscore,
    times: Times,
) -> dict[str, Mapping[str, object]]:
    lock, members = prepared.lock, content.members
    named = {m.name: m.digest for m in _measure_all(members)}
    modules = members[names.MODULES]
    assert isinstance(modules, Path)  # gather_content names the stage's own file
    rows = files.read_rows(modules.parent, names.MODULES)
    build = making.Build(
        name=lock["name"],
        spec=prepared.spec_digest,
        lock=named[names.LOCK],
        base_id=lock["base"]["id"],
        base_root=lock["base"]["root"],
        snapshot=named[names.SNAPSHOT],
        snapshot_root=lock["data"]["root"],
        environment=cast("Mapping[str, Any]", lock["environment"]),
        version=lock["environment"]["kolm"],
        started=times.started,
        finished=times.finished,
        measured=times.measured,
    )
    tests: list[tuple[str, bool | None]] = [
        (floor["name"], floor["passed"]) for floor in evaluation["floors"]
    ]
    tests.append(("k", report["gate"]["k_passed"]))
    return {
        predicates.PROVENANCE: making.provenance(build),
        predicates.MODULES: making.modules(
            modules=named[names.MODULES],
            base_root=lock["base"]["root"],
            words=claimed_words((row["role"], row["state"]) for row in rows),
        ),
        predicates.COMPUTE: times.compute,
        predicates.KSCORE: report,
        predicates.TEST_RESULT: making.test_result(
            passed=[name for name, passed in tests if passed is True],
            failed=[name for name, passed in tests if passed is False],
            configuration={name: named[name] for name in (names.EVALUATION, names.LOCK)},
        ),
    }
