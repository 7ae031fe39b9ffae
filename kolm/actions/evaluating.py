"""The compositions: a bundle scored on somebody's own captures, as a signed claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kolm import canonical, digest, paths
from kolm.actions import children, rivals, sealing
from kolm.actions.measuring import measure_now
from kolm.actions.rivals import Rival
from kolm.actions.signing import (
    AskPassphrase,
    Trust,
    choose_key,
    demand_clock,
    passphrase_from_environment,
)
from kolm.actions.usable import usable
from kolm.bundle import writer
from kolm.bundle.reader import Bundle
from kolm.capture.packs import root_of
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Refused, Unreadable
from kolm.events import Reporter, Silent
from kolm.format import names
from kolm.models import device as devices
from kolm.models.device import AUTO
from kolm.records import kinds
from kolm.run import folder as files
from kolm.run.names import MEASUREMENTS
from kolm.score import kscore
from kolm.score.cases import Case, read_cases
from kolm.score.evaluation import evaluate
from kolm.score.overlap import learned, measure_overlap, seen_images
from kolm.score.rivals import measure_rival
from kolm.sign import making, predicates
from kolm.train.profile import child_environment
from kolm.verify.policy import Demands

if TYPE_CHECKING:
    from kolm.records.documents import (
        Capture,
        Evaluation,
        Kscore,
        KscorePackOverlap,
        KscoreRival,
        Lock,
    )


_OWN_PACK = "evaluator"  # whose cases they are; the publisher's own say "publisher"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """What an evaluation on one's own pack gave, and the bundle that carries the claim."""

    bundle: Path
    content_id: Digest
    gate_passed: bool
    evaluation: Evaluation
    kscore: Kscore


def evaluate_bundle(
    bundle: str | Path,
    *,
    captures: str | Path,
    rival: Rival | None = None,
    trained_on: str | Path | None = None,
    base: str | Path | None = None,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    device: str = AUTO,
    spread: bool = False,
    key: str | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    output: Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
) -> EvaluationResult:
    """Score a bundle on every capture of a store, and add the K-score as a signed claim.

    Args:
        bundle: the file; verified first.
        captures: folder of the capture store.
        rival: somebody else who answers the same cases, beside whom the bundle is put.
        trained_on: folder of the store that the bundle was trained on; near twins between its
            pictures and those of `captures` are then counted.
        base: the base's folder, when it is not an embedded or cached one.
        trust: whose keys are believed: a store or its file; without one this user's own.
        policy: what the bundle must pass: a policy or its file.
        allow_below_gate: score it too when it misses what the policy demands of its scores.
        device: ``cpu``, ``cuda`` or ``mps``; ``auto`` is the one that it was evaluated on, where
            that is here, else the best that is. The claim names it; a rival base is on it too.
        spread: over all devices of that kind, and the host's memory where they do not suffice.
        key: name of the signing key.
        output: write a copy with the claim here; without it the claim is added in place. A bundle
            of the same content that is there keeps its claims.
        force: replace whatever is at `output`.
        ask_passphrase: called with the name of an encrypted key.
        reporter: hears progress.

    Raises:
        Usage: ``E_TARGET_EXISTS``: another file is at `output`.
        Lacking: the device is not here or too small; ``E_CLOCK_BEHIND``.
        KolmError: the bundle does not pass, the store is empty, or the run fails.
    """
    told = reporter or Silent()
    if rival is not None:
        rivals.prepare(rival)
    signer = choose_key(key, ask_passphrase)
    opened = Bundle.open(Path(bundle))
    now = datetime.now(UTC)  # noqa: TID251 - the composition reads the clock
    demand_clock(opened, now, scores=True)
    if output is not None:
        writer.demand_place(output, opened.content_id, force=force)
    lock = opened.document(names.LOCK)
    asked = usable(
        opened,
        base=base,
        measure=measure_now,
        trust=trust,
        policy=policy,
        allow_below_gate=allow_below_gate,
        reporter=told,
    )
    with asked as passed, paths.scratch_folder("kolm-eval-") as place:
        content_id = passed.content_id
        run = place / "run"
        opened.unpack(run)
        places = files.Places(
            base=passed.base.absolute(),
            captures=Path(captures).absolute(),
            devices=devices.wanted(device, lock),
            spread=spread,
        )
        cases, root = _write_pack(run, places)
        overlap = _overlap(opened, read_cases(cases), Path(captures), trained_on)
        if overlap["seen_cases"]:
            told.warned(
                f"{overlap['seen_cases']} of {overlap['cases']} cases show what the bundle was "
                "trained on: the score says less about new pictures"
            )
        with CaptureStore.open_to_read(Path(captures)):  # an error names captures as it does
            children.run(
                "evaluate",
                run,
                environment=child_environment(lock["environment"]["threads"]),
                reporter=told,
            )
        predictions = files.read_rows(run, names.PREDICTIONS)
        evaluation = evaluate(predictions, read_cases(cases), lock["evaluation"])
        measured = files.read_document(run, MEASUREMENTS)
        report = sealing.score_report(
            lock,
            evaluation,
            measured,
            size_bytes=sum(len(opened.member(member)) for member in kscore.SIZED_MEMBERS),
            pack={"root": root, "owner": _OWN_PACK, "overlap": overlap},
        )
        if rival is not None:
            report["rivals"] = [
                _beside(
                    rival, run, place, cases, lock, device=measured["machine"]["device"], told=told
                )
            ]
    said = making.statement(content_id, lock["name"], predicates.KSCORE, report)
    claim = making.seal(said, signer)
    if output is None:
        writer.add_claims(Path(bundle), [claim], content_id=content_id)
    else:
        writer.write_with_claims(output, opened, [claim], force=force)
    return EvaluationResult(
        bundle=output or Path(bundle),
        content_id=content_id,
        gate_passed=report["gate"]["verdict"] == "passed",
        evaluation=evaluation,
        kscore=report,
    )


def _write_pack(run: Path, places: files.Places) -> tuple[bytes, Digest]:
    """Put every capture of the store into the run folder as a case; gives them, and their root."""
    with CaptureStore.open_to_read(places.captures) as store:
        rows = sorted(store.rows(), key=lambda row: row.id)
    if not rows:
        raise Refused("E_SNAPSHOT_EMPTY", "the store holds no captures", where=str(places.captures))
    cases = b"".join(row.data + b"\n" for row in rows)
    files.write(run, names.CASES, cases)
    files.write_places(run, places)
    # The bundle's own answers must not be taken for this pack's.
    (run / names.PREDICTIONS).unlink()
    return cases, root_of(rows)


def _beside(
    rival: Rival,
    run: Path,
    place: Path,
    cases: bytes,
    lock: Lock,
    *,
    device: str,
    told: Reporter,
) -> KscoreRival:
    """The bundle's answers beside those of somebody else to the same cases."""
    rows = canonical.read_lines(cases, where=names.CASES)
    asked = {digest.of_bytes(line): cast("Capture", row) for _, line, row in rows}
    places = files.read_places(run)
    answered = rivals.ask(
        rival,
        asked,
        lock["evaluation"],
        store=places.captures,
        place=place / "rival",
        device=device,
        spread=places.spread,
        reporter=told,
    )
    return measure_rival(
        answered.who,
        answered.said,
        files.read_rows(run, names.PREDICTIONS, kinds.PREDICTIONS_ROW),
        read_cases(cases),
        lock["evaluation"],
        answers=answered.digest,
    )


def _overlap(
    opened: Bundle, cases: Sequence[Case], captures: Path, trained_on: str | Path | None
) -> KscorePackOverlap:
    """What of the pack was learned from: by digest, and by likeness where pictures are at hand."""
    seen = learned(opened.rows(names.LINES))
    found = measure_overlap(cases, seen)
    if trained_on is None:
        return found
    from kolm.capture import likeness

    equal = seen_images(cases, seen)
    shown = {image for case in cases for image in case.images} - equal
    with CaptureStore.open_to_read(captures) as store:
        mine = {i.file for i in store.image_records().values() if i.pixels in shown}
        left = store.signatures(mine)
        pixels = {i.file: i.pixels for i in store.image_records().values()}
    with CaptureStore.open_to_read(Path(trained_on)) as store:
        right = store.signatures(set(map(Digest, seen.pictures.values())))
    if len(right) < len(seen.pictures):
        raise Unreadable(
            "E_EVAL_TRAINED_ON",
            "the store does not hold all pictures that the bundle was trained on",
            where=str(trained_on),
            expected=counted(len(seen.pictures), "picture"),
            found=f"{len(right)} of them",
            hint="give the store that it was compiled from, or leave --trained-on out",
        )
    near = {pixels[file] for file, _ in likeness.twins(left, right)}
    found["near_twins"] = len(near)
    return found
