"""``kolm compile``: the product verb, from a spec and captures to a signed bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.options import FILE, KEY, SPEC, output_option

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kolm.actions.compiling import CompileResult
    from kolm.records.documents import EvaluationFloor, Lock

SHOWN_CASES = 10  # enough to see what kind of question fails; all are in predictions.jsonl


@click.command(short_help="Check, train, evaluate, seal and sign: spec and captures to a bundle.")
@SPEC
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check all that kolm check does, print the lock and stop; nothing is trained.",
)
@output_option("The bundle to write. Default: NAME.kolm beside the spec.")
@click.option("--force", is_flag=True, help="Replace another file at the output.")
@KEY
@click.option(
    "--allow-below-gate",
    is_flag=True,
    help="Seal even below the gate; the bundle's claim then says that the gate failed.",
)
@click.option(
    "--policy",
    type=FILE,
    help="Seal only what passes these demands (YAML or JSON), as a buyer's kolm verify will ask.",
)
def command(spec: Path, dry_run: bool, **asked: Any) -> int:
    """Compile SPEC: check, train, evaluate, seal and sign. A killed run resumes.

    Below the gate (K-score and every floor) nothing is sealed, and the exit code is 1. A bundle of
    the same content at the output keeps its claims; anything else there asks for --force. What
    kolm verify would refuse is not sealed either.
    """
    from kolm import actions
    from kolm.cli.passphrase import ask_passphrase

    out = output.current()
    result = actions.compile(
        spec, dry_run=dry_run, ask_passphrase=ask_passphrase, reporter=out.reporter, **asked
    )
    if dry_run:
        document = {"dry_run": True, "lock": result.lock}
        out.answer("cli-compile", document, lambda: show_lock(result.lock), verbatim=True)
        return ExitCode.DONE
    out.answer(
        "cli-compile",
        describe(result),
        lambda: _for_people(result, out),
        brief=result.cid or "",
        wrote=asked["output"],
    )
    sealed = result.bundle is not None
    return ExitCode.DONE if sealed else ExitCode.NO


def show_lock(lock: Lock) -> str:
    """A lock for people: indented JSON."""
    import json

    return json.dumps(lock, ensure_ascii=False, indent=2, sort_keys=True)


def describe(result: CompileResult) -> dict[str, object]:
    """The answer as a document."""
    return {
        "dry_run": False,
        "bundle": None if result.bundle is None else str(result.bundle),
        "content_id": result.content_id,
        "cid": result.cid,
        "gate_passed": result.gate_passed,
        "state": result.state,
        "states": None if result.states is None else str(result.states),
        "lock": result.lock,
        "evaluation": result.evaluation,
        "kscore": result.kscore,
        "failing_cases": [dict(case) for case in result.failing_cases[:SHOWN_CASES]],
        "seconds": f"{result.seconds:.1f}",
        "peak_memory_bytes": result.peak_memory_bytes,
    }


def _for_people(result: CompileResult, out: output.Output) -> str:
    from kolm.cli.scores import failing_lines, score_lines

    lines = _headline(result, out)
    if result.evaluation and result.kscore:
        lines += score_lines(result.evaluation, result.kscore, out)
    memory = result.peak_memory_bytes / 2**30
    lines.append(f"took       {result.seconds:.0f} s, {memory:.1f} GiB of memory at most")
    if not result.gate_passed or out.verbose:
        lines.append(f"state      {result.state}   train.continues goes on from it")
        lines += failing_lines(result.failing_cases[:SHOWN_CASES])
    if result.bundle is not None:
        lines.append(f"states     {result.states}   kolm verify --states")
        lines.append(f"opens in   {', '.join(_loaders(result.lock))}")
        lines.append(f"next       kolm verify {result.bundle}")
    else:
        floors = result.evaluation["floors"] if result.evaluation else ()
        helps = _what_helps(floors, wrong=bool(result.failing_cases))
        lines.append(f"next       {helps}")
    return "\n".join(lines)


def _loaders(lock: Lock) -> tuple[str, ...]:
    from kolm.methods import method_of

    return method_of(lock["train"]["method"]).loaders(lock["train"]["projector"])


# More steps are no advice: a small training may answer worse after five hundred than after sixty.
_BETTER = """\
look at the wrong answers above: are the references right, is their kind in training?
           kolm sweep SPEC --grid KEY=V1,V2 tries other settings, judged on the validation side
           train.validate_every with early_stopping keeps the best state, not the last
           more captures like those that were answered wrongly
           last, other evaluation.floors: that decides anew what is good enough"""

_ALL_RIGHT = """\
no answer is wrong, and what FAILED compares them: more cases, or cases that the base
           and the blind control cannot answer, would tell more
           last, other evaluation.floors: that decides anew what is good enough"""


def _what_helps(floors: Iterable[EvaluationFloor], *, wrong: bool) -> str:
    """Below the gate: answers that are good enough may still have come too slowly for K."""
    if all(floor["passed"] is not False for floor in floors):
        return (
            "only K is below, which also counts latency and size (kolm help kscore): compile "
            "again on an idle machine, or set evaluation.floors.k"
        )
    return _BETTER if wrong else _ALL_RIGHT


def _headline(result: CompileResult, out: output.Output) -> list[str]:
    if result.bundle is None:
        return [f"{out.paint('not sealed', 'bad')} the score is below the gate"]
    label = out.paint("sealed", "good" if result.gate_passed else "warn")
    below = "" if result.gate_passed else "   (below the gate, as its claim says)"
    return [
        f"{label}     {result.bundle}{below}",
        f"cid        {result.cid}",
        f"content    {result.content_id}",
    ]
