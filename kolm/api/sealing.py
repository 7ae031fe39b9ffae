"""The compositions: a finished run becomes content, claims about it, and one file.

Content is a function of the run folder alone. Claims carry what was measured and when, and are
signed with the builder's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kolm import canonical, digest, outputs
from kolm.api.preparing import Prepared
from kolm.bundle import card, writer
from kolm.bundle.manifest import Member, build_manifest
from kolm.bundle.members import RECEIPT
from kolm.bundle.reader import Bundle
from kolm.bundle.receipt import RunFacts, derive_receipt
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.records.kscore import Machine, Pack
from kolm.score import kscore
from kolm.sign import envelope, predicates, statement
from kolm.sign.keys import PrivateKey, PublicKey

Source = bytes | Path

# Members that a run leaves as files of the same name.
_FILES = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "modules.jsonl",
    "spec.lock.json",
    "snapshot.json",
    "snapshot.jsonl",
    "trace.jsonl",
    "predictions.jsonl",
)
_CASES = "evalcases.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything that has the content id: the receipt and the layers."""

    receipt: bytes
    members: Mapping[str, Source]
    content_id: Digest


def gather_content(run: Path, prepared: Prepared, evaluation: Mapping[str, Any]) -> Content:
    """The content of a bundle from a finished run folder.

    Raises:
        KolmError: a document of the run cannot be read.
    """
    members: dict[str, Source] = {name: run / name for name in _FILES}
    members["evaluation.json"] = canonical.dumps(evaluation)
    publish = prepared.lock["publish"]
    if publish["text"]:
        members[_CASES] = run / _CASES
    if publish["checkpoints"]:
        members |= _checkpoints(run)
    if publish["images"]:
        members |= _eval_images(prepared)
    receipt = _receipt(run, prepared, members)
    members["README.md"] = card.render(
        receipt=receipt, lock=prepared.lock, evaluation=dict(evaluation)
    )
    stored = canonical.dumps(receipt)
    manifest = build_manifest([_measure(RECEIPT, stored), *_measure_all(members)])
    return Content(receipt=stored, members=members, content_id=digest.of_bytes(manifest))


def _receipt(run: Path, prepared: Prepared, members: Mapping[str, Source]) -> dict[str, Any]:
    facts = canonical.loads_canonical((run / "train.json").read_bytes(), where="train.json")
    return derive_receipt(
        lock=prepared.lock,
        snapshot=prepared.snapshot.document(),
        modules=_rows(run, "modules.jsonl"),
        trace=_rows(run, "trace.jsonl"),
        members={m.name: (m.digest, m.size) for m in _measure_all(members)},
        facts=RunFacts(
            optimizer=facts["optimizer"],
            dropped_examples=facts["dropped_examples"],
            cut_prompts=facts["cut_prompts"],
        ),
    )


def _rows(run: Path, name: str) -> list[dict[str, Any]]:
    return [row for _, _, row in canonical.read_lines((run / name).read_bytes(), where=name)]


def _measure_all(members: Mapping[str, Source]) -> list[Member]:
    return [_measure(name, source) for name, source in members.items()]


def _measure(name: str, source: Source) -> Member:
    if isinstance(source, bytes):
        return Member(name=name, digest=digest.of_bytes(source), size=len(source))
    return Member(name=name, digest=digest.of_file(source), size=source.stat().st_size)


def _checkpoints(run: Path) -> dict[str, Source]:
    return {
        f"checkpoint-{path.name.removeprefix('step-')}": path
        for suffix in ("json", "safetensors")
        for path in sorted((run / "checkpoints").glob(f"step-*.{suffix}"))
    }


def _eval_images(prepared: Prepared) -> dict[str, Source]:
    files = {
        image.file for row in prepared.snapshot.rows if row.split == "eval" for image in row.images
    }
    with CaptureStore.open_to_read(prepared.store_folder) as store:
        return {f"evalimage-{digest.hex_of(f)}": store.blobs.path(f) for f in sorted(files)}


def pack_root(snapshot_lines: Sequence[bytes]) -> Digest:
    """The Merkle root of the eval lines of a snapshot: which cases were scored."""
    return digest.merkle_root(line for line in snapshot_lines if line.endswith(b'"split":"eval"}'))


def score_report(
    lock: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    measurements: Mapping[str, Any],
    *,
    size_bytes: int,
    pack: Pack,
) -> dict[str, Any]:
    """The K-score document of an evaluation and the measurements beside it."""
    settings = lock["evaluation"]
    return kscore.claim(
        evaluation,
        evaluation_digest=digest.of_value(dict(evaluation)),
        size_bytes=size_bytes,
        p50_latency_us=measurements["p50_latency_us"],
        p95_latency_us=measurements["p95_latency_us"],
        latency_calls=measurements["latency_calls"],
        cost_usd_per_call=kscore.cost_usd_per_call(
            settings["cost"], measurements["tokens_per_call"]
        ),
        gate_k=settings["floors"]["k"],
        pack=pack,
        machine=Machine(**measurements["machine"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When the compile ran, and what was measured on the way."""

    started: datetime
    finished: datetime
    measured: Mapping[str, str | int]


def demand_place(target: Path, lock: Mapping[str, Any], *, force: bool) -> None:
    """Refuse a target that `seal_bundle` would refuse, before anything is trained.

    A bundle of the same lock may stay: what a lock gives has one content.

    Raises:
        Usage: ``E_TARGET_EXISTS``.
    """
    try:
        there = target.is_file() and bytes(Bundle.open(target).member("spec.lock.json"))
    except (Refused, Unreadable):
        there = False
    if there != canonical.dumps(lock):
        outputs.demand_free(target, force=force)


def seal_bundle(
    target: Path,
    content: Content,
    prepared: Prepared,
    *,
    force: bool,
    evaluation: Mapping[str, Any],
    report: Mapping[str, Any],
    key: PrivateKey,
    times: Times,
) -> None:
    """Write the bundle with its four claims: provenance, modules, K-score, test result.

    A bundle of the same content at `target` keeps its claims, and gets what this key has not yet
    said there.

    Raises:
        Usage: ``E_TARGET_EXISTS``: something else is at `target`, and `force` is off.
    """
    there = () if force else writer.claims_at(target, content.content_id) or ()
    said = _said_by(key.public, there)
    claims = [
        envelope.seal(
            statement.statement(content.content_id, prepared.lock["name"], kind, predicate), key
        )
        for kind, predicate in _predicates(content, prepared, evaluation, report, times).items()
        if not _is_said(kind, predicate, said)
    ]
    writer.seal(
        target, receipt=content.receipt, members=content.members, claims=claims, force=force
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


def _is_said(kind: str, predicate: Mapping[str, Any], said: Sequence[statement.Statement]) -> bool:
    """Two provenances of one key for one content differ in times alone: the first one stays."""
    return any(
        old.predicate_type == kind and (kind == predicates.PROVENANCE or old.predicate == predicate)
        for old in said
    )


def _predicates(
    content: Content,
    prepared: Prepared,
    evaluation: Mapping[str, Any],
    report: Mapping[str, Any],
    times: Times,
) -> dict[str, dict[str, Any]]:
    lock, members = prepared.lock, content.members
    named = {m.name: m.digest for m in _measure_all(members)}
    modules = members["modules.jsonl"]
    assert isinstance(modules, Path)  # gather_content names the run's own file
    build = predicates.Build(
        name=lock["name"],
        spec=prepared.spec_digest,
        lock=named["spec.lock.json"],
        base_id=lock["base"]["id"],
        base_root=lock["base"]["root"],
        snapshot=named["snapshot.json"],
        snapshot_root=lock["data"]["root"],
        environment=lock["environment"],
        version=lock["environment"]["kolm"],
        started=times.started,
        finished=times.finished,
        measured=times.measured,
    )
    tests = [(floor["name"], floor["passed"]) for floor in evaluation["floors"]]
    tests.append(("k", report["gate"]["k_passed"]))
    return {
        predicates.PROVENANCE: predicates.provenance(build),
        predicates.MODULES: predicates.modules(
            modules=named["modules.jsonl"],
            base_root=lock["base"]["root"],
            words=predicates.claimed_words(_rows(modules.parent, modules.name)),
        ),
        predicates.KSCORE: predicates.kscore(report),
        predicates.TEST_RESULT: predicates.test_result(
            passed=[name for name, passed in tests if passed],
            failed=[name for name, passed in tests if not passed],
            configuration={name: named[name] for name in ("evaluation.json", "spec.lock.json")},
        ),
    }
