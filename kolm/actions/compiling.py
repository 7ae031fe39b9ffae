"""The compositions: the whole line from a spec to a signed bundle.

check -> train -> evaluate -> gate -> seal -> sign. Training and evaluation run in children under
the strict profile, each in a folder named after what it depends on, so that the same compile
resumes there after a kill, and one that changes a floor finds what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kolm import canonical, digest
from kolm.actions import children, prechecks, sealing
from kolm.actions.acceptance import Acceptance, acceptance
from kolm.actions.ahead import Ahead
from kolm.actions.computing import compute_claim
from kolm.actions.measuring import measure, measure_now
from kolm.actions.preparing import Prepared, prepare
from kolm.actions.project import SpecSource, project_of
from kolm.actions.signing import AskPassphrase, choose_key, passphrase_from_environment
from kolm.actions.stages import Finished, finished, sides_read
from kolm.actions.target import demand_place, foreseen
from kolm.bundle import cid
from kolm.digest import Digest
from kolm.events import Reporter, Silent
from kolm.format import names
from kolm.run import folder as files
from kolm.run.names import CHECKPOINTS, FACTS, MEASUREMENTS, RESULT, SEALED
from kolm.score import kscore
from kolm.score.cases import read_cases, reference_of
from kolm.score.evaluation import evaluate
from kolm.sign.private_keys import PrivateKey
from kolm.spec.load import load_spec
from kolm.verify.policy import Demands, policy_of

if TYPE_CHECKING:
    from kolm.records.documents import Capture, Evaluation, Kscore, Lock, PredictionsRow


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileResult:
    """What a compile gives.

    Attributes:
        bundle: the file, or None when nothing was sealed.
        content_id: digest of the manifest, or None when nothing was sealed.
        cid: the content id as a CID.
        lock: the resolved spec.
        evaluation: the evaluation document; None for a dry run.
        kscore: the K-score document; None for a dry run.
        gate_passed: whether K and every floor passed.
        failing_cases: cases with a wrong answer: file and row, prompt, reference, output.
        state: the last state of the training; ``train.continues`` of another spec goes on from it.
        states: folder of the training's states, for an auditor's ``--states``; None for a dry run.
        seconds: wall time of this call.
        peak_memory_bytes: of the largest process.
    """

    bundle: Path | None = None
    content_id: Digest | None = None
    cid: str | None = None
    lock: Lock
    evaluation: Evaluation | None = None
    kscore: Kscore | None = None
    gate_passed: bool = False
    failing_cases: Sequence[Mapping[str, str]] = ()
    state: Digest | None = None
    states: Path | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0


def compile_bundle(
    spec: SpecSource,
    *,
    rows: Iterable[Mapping[str, object]] | None = None,
    project: Path | None = None,
    output: Path | None = None,
    force: bool = False,
    dry_run: bool = False,
    allow_below_gate: bool = False,
    key: str | None = None,
    policy: Demands = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    reporter: Reporter | None = None,
) -> CompileResult:
    """Compile a spec and captures into a signed bundle.

    Args:
        spec: path of the YAML file, or the same content as a dict.
        rows: train on exactly these instead of the spec's capture store:
            ``{"image": PIL image | path | base64, "prompt": str, "response": str}``.
        project: the folder that relative paths mean and that run state goes into.
        output: the file to write; ``<name>.kolm`` in the project without it. A bundle of the same
            content that is there keeps its claims.
        force: replace whatever is at `output`.
        dry_run: stop where training would begin; whatever would stop a compile before stops this.
        allow_below_gate: seal a bundle whose claim says that the gate failed.
        key: name of the signing key; the only one, or ``default``, without it.
        policy: what the bundle must pass before it is written, beside its own checks: a policy or
            its file.
        ask_passphrase: called with the name of an encrypted key.
        reporter: hears progress.

    Raises:
        KolmError: what the stages raise. Whatever was finished is found again by the next call.
    """
    told = reporter or Silent()
    began = time.monotonic()
    started = datetime.now(UTC)  # noqa: TID251 - actions read the clock for the provenance claim
    # Spec, target and key come first: nobody should wait for an hour to learn that one is wrong.
    wanted = load_spec(spec)
    target = output or project_of(spec, project).folder / f"{wanted.name}.kolm"
    demand_place(target, partial(foreseen, wanted), force=force)
    demanded = None if policy is None else policy_of(policy)
    signer = None if dry_run else choose_key(key, ask_passphrase)
    prepared = prepare(
        spec,
        rows=rows,
        project=project,
        measure=measure if dry_run else measure_now,
        reporter=told,
    )
    prechecks.demand(
        Ahead(
            prepared=prepared,
            target=target,
            force=force,
            allow_below_gate=allow_below_gate,
            policy=demanded,
            known=sides_read(prepared),
            reporter=told,
        )
    )
    if signer is None:
        return CompileResult(lock=prepared.lock)
    demands = acceptance(demanded, key=signer.public, prepared=prepared)
    with finished(prepared, told) as done:
        return _judge_and_seal(
            done,
            prepared,
            signer,
            target=target,
            force=force,
            demands=demands,
            allow_below_gate=allow_below_gate,
            started=started,
            began=began,
            reporter=told,
        )


def _judge_and_seal(
    done: Finished,
    prepared: Prepared,
    signer: PrivateKey,
    *,
    target: Path,
    force: bool,
    demands: Acceptance,
    allow_below_gate: bool,
    started: datetime,
    began: float,
    reporter: Reporter,
) -> CompileResult:
    lock = prepared.lock
    predictions = files.read_rows(done.evaluated, names.PREDICTIONS)
    cases = prepared.snapshot.files()[names.CASES]
    evaluation = evaluate(predictions, read_cases(cases), lock["evaluation"])
    measurements = files.read_document(done.evaluated, MEASUREMENTS)
    facts = files.read_document(done.trained, FACTS)
    content = sealing.gather_content(done, prepared, evaluation)
    report = sealing.score_report(
        lock,
        evaluation,
        measurements,
        size_bytes=content.size_of(kscore.SIZED_MEMBERS),
        pack={"root": prepared.snapshot.pack_root, "owner": "publisher"},
    )
    passed = report["gate"]["verdict"] == "passed"
    result: dict[str, Any] = {
        "lock": lock,
        "evaluation": evaluation,
        "kscore": report,
        "gate_passed": passed,
        "failing_cases": wrong_answers(cases, predictions, prepared.snapshot.names),
        "state": Digest(facts["state_last"]),
        "states": done.trained / CHECKPOINTS,
    }
    if passed or allow_below_gate:
        reporter.started("seal", None, "bytes")
        compute = compute_claim(done.trained, lock)
        times = sealing.Times(
            # A training that was found done began with an earlier call, and the build with it.
            started=min(started, datetime.fromisoformat(facts["measured"]["started_on"])),
            finished=datetime.now(UTC),  # noqa: TID251 - for the provenance claim
            measured={
                "compile_seconds": canonical.decimal(time.monotonic() - began, 1),
                "evaluate_seconds": measurements["wall_seconds"],
                "peak_memory_bytes": children.peak_memory_bytes(),
                "train_observed_peak_bytes": compute["measured"]["observed_peak_bytes"],
                "train_predicted_peak_bytes": compute["predicted_peak_bytes"],
                "train_seconds": facts["measured"]["train_seconds"],
                "train_tokens_per_second": facts["measured"]["tokens_per_second"],
            },
            compute=compute,
        )
        sealing.seal_bundle(
            target,
            content,
            prepared,
            force=force,
            evaluation=evaluation,
            report=report,
            key=signer,
            times=times,
            accept=demands,
        )
        reporter.finished("seal", content=content.content_id)
        named = cid.cid_of(content.content_id)
        for folder in done:
            files.write(folder, SEALED, named.encode())
        result |= {"bundle": target, "content_id": content.content_id, "cid": named}
    elif all(floor["passed"] is not False for floor in evaluation["floors"]):
        # Only K is below, for which this machine may have been busy: the next call takes the
        # answers as they are, and measures their latency anew.
        (done.evaluated / RESULT).unlink()
    return CompileResult(
        **result,
        seconds=time.monotonic() - began,
        peak_memory_bytes=children.peak_memory_bytes(),
    )


def wrong_answers(
    cases: bytes, predictions: Sequence[PredictionsRow], places: Mapping[Digest, str]
) -> list[dict[str, str]]:
    """The cases that the adapter did not get wholly right, in the order of the cases."""
    wrong = {
        row["case"]: row["adapter"]["output"]
        for row in predictions
        if row["adapter"]["score"] != "1"
    }
    found = []
    for _, line, row in canonical.read_lines(cases, where=names.CASES):
        case, capture = digest.of_bytes(line), cast("Capture", row)
        if case in wrong:
            asked = capture["messages"][-2]["content"]
            found.append(
                {
                    "case": case,
                    "name": places.get(case, ""),
                    "prompt": " ".join(part["text"] for part in asked if part["type"] == "text"),
                    "reference": reference_of(capture, where=case),
                    "output": wrong[case],
                }
            )
    return found
