"""The compositions: preference pairs made from the answers of a model to captures."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm import canonical, digest, paths, system
from kolm.actions import asking, ranking
from kolm.actions.asking import How, Model
from kolm.actions.judges import RUNS, JudgeOptions, demand_other_store
from kolm.actions.ranking import Ranking
from kolm.actions.signing import Trust
from kolm.capture import pairing
from kolm.capture.pairing import Better, Outcome, Sample
from kolm.capture.store import CaptureStore
from kolm.counting import counted
from kolm.digest import Digest
from kolm.errors import Refused, Usage
from kolm.evaluate.answering import key_of
from kolm.evaluate.partial import Answers
from kolm.events import Reporter, Silent
from kolm.models.generation import STOP
from kolm.records.capture import Source
from kolm.records.sides import Split
from kolm.verify.policy import Demands

if TYPE_CHECKING:
    from kolm.records.documents import Pairs, PairsCounts

MADE: Final = "made"  # of a store: how its captures were made, a document a run
SCHEMA: Final = "urn:kolm:pairs:v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made.

    Attributes:
        captures: that are new in the store.
        total: that it holds now.
        record: the document that says how, and its file.
    """

    captures: int
    total: int
    record: Pairs
    file: Path


def make_pairs(
    store: str | Path,
    *,
    model: str | Path,
    into: str | Path,
    how: How,
    by: str = "exact",
    better: Better | None = None,
    judge: JudgeOptions | None = None,
    split: Split | None = None,
    tags: Collection[str] = (),
    base: str | Path | None = None,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    reporter: Reporter | None = None,
) -> Made:
    """Let a model answer every capture several times, and keep a better and a worse answer.

    Args:
        store: the folder of the captures.
        model: a bundle's file, or a base by folder or name.
        into: the folder of the store that gets the pairs; made where there is none.
        how: the model answers; with noise the worse answer is one to distorted pictures.
        by: a metric, which holds answers against the captures' own, or ``judge``.
        better: the better answer is the capture's own (``reference``, the default of a metric), or
            the best of the model's (``sample``, the default of a judge).
        judge: who judges, for ``judge``.
        split, tags: only captures of that side, with all of these tags.
        base, trust, policy, allow_below_gate: of a bundle.
        reporter: hears how far it is, and warnings.

    Raises:
        KolmError: the store, the model or the judge fails. What the model has answered is kept.
    """
    told, place, target = reporter or Silent(), Path(store), Path(into)
    chosen: Better = better or ("sample" if by == ranking.JUDGE else "reference")
    if (by == ranking.JUDGE) != (judge is not None):
        raise Usage("E_JUDGE_OPTION", "--by judge needs a judge, and no other way has one")
    if how.noise and chosen == "sample":
        raise Usage(
            "E_SAMPLE_OPTION",
            "answers to distorted pictures are worse ones: with --noise the better answer is the "
            "reference",
        )
    demand_other_store(place, target)
    with CaptureStore.open_to_read(place) as opened:
        rows = [row for row in opened.rows(tags=tags) if split in (None, row.capture.split)]
        asked = {row.id: row.data for row in rows if row.capture.images or not how.noise}
        if not asked:
            raise Refused("E_SNAPSHOT_EMPTY", "the store holds no such captures", where=str(store))
        if len(asked) < len(rows):
            told.warned(f"{counted(len(rows) - len(asked), 'capture')} without a picture left out")
        rows = [row for row in rows if row.id in asked]
        with contextlib.ExitStack() as stack:
            of = stack.enter_context(
                asking.model(
                    model,
                    base=base,
                    trust=trust,
                    policy=policy,
                    allow_below_gate=allow_below_gate,
                    reporter=told,
                )
            )
            answers = stack.enter_context(
                asking.answers(asked, of, how, store=place, runs=target / RUNS, told=told)
            )
            samples = {row.id: _samples(answers, row.id, how.samples) for row in rows}
            ranked = (
                ranking.by_metric(by, rows)
                if judge is None
                else ranking.by_judge(rows, samples, chosen, judge, place, target, told)
            )
            outcomes = {
                row.id: pairing.choose(
                    samples[row.id], ranking.reference_of(row), chosen, ranked.scores(row)
                )
                for row in rows
            }
            counts = _counts(samples, outcomes)
            environment = asking.environment(of, how.device)["class"]
            record = _record(of, how, chosen, ranked, asked, environment, counts)
            return _put(opened, target, outcomes, record, ranked.told)


def _samples(answers: Answers, case: Digest, count: int) -> list[Sample]:
    said = [answers[key_of(case, number)] for number in range(count)]
    return [Sample(text=one.output, ended=one.finish == STOP) for one in said]


def _counts(
    samples: Mapping[Digest, Sequence[Sample]], outcomes: Mapping[Digest, Outcome]
) -> PairsCounts:
    dropped, reasons = Counter[str](), Counter[str]()
    for outcome in outcomes.values():
        dropped += outcome.dropped
        reasons[outcome.reason or "pairs"] += 1
    pairs = [outcome.pair for outcome in outcomes.values() if outcome.pair]
    return {
        "captures": len(outcomes),
        "samples": sum(map(len, samples.values())),
        "cut": dropped["cut"],
        "unusable": dropped["unusable"],
        "equal": dropped["equal"],
        "unscored": dropped["unscored"],
        "no_candidates": reasons["no_candidates"],
        "none_worse": reasons["none_worse"],
        "pairs": len(pairs),
        "longer": sum(len(pair.chosen) > len(pair.rejected) for pair in pairs),
    }


def _record(
    of: Model, how: How, better: Better, ranked: Ranking, asked: Mapping[Digest, bytes],
    environment: Digest, counts: PairsCounts,
) -> Pairs:  # fmt: skip
    return {
        "schema": SCHEMA,
        "better": better,
        "by": ranked.by,
        "captures": digest.merkle_root(asked[name] for name in sorted(asked)),
        "counts": counts,
        "environment": environment,
        "judge": ranked.judge,
        "model": {"kind": of.kind, "name": of.name, "digest": of.digest},
        "settings": {
            "batch_size": how.batch_size,
            "max_new_tokens": how.max_new_tokens,
            "max_seq_length": None if of.bundle else how.max_seq_length,
            "noise": how.noise,
            "samples": how.samples,
            "seed": how.seed,
            "temperature": canonical.decimal(how.temperature, None),
        },
    }


def source_name(record: Pairs, by: str) -> str:
    """How a capture was made, in the 128 characters of a source's name.

    The model's digest, the number of samples, temperature, most new tokens, seed, noise, and by
    what the answers were ranked.
    """
    said = record["settings"]
    noise = f" noise={said['noise']}" if said["noise"] else ""
    return (
        f"{digest.hex_of(record['model']['digest'])} n={said['samples']} t={said['temperature']} "
        f"m={said['max_new_tokens']} seed={said['seed']}{noise} by={by}"
    )


def _put(
    opened: CaptureStore, into: Path, outcomes: Mapping[Digest, Outcome], record: Pairs, by: str
) -> Made:
    """Put the pairs into their store, all of them or none, once it is written how they were made.

    Raises:
        Refused: ``E_PAIRS_NONE``: there is none.
    """
    counts = record["counts"]
    if not counts["pairs"]:
        told = ", ".join(f"{value} {name}" for name, value in counts.items() if value)
        raise Refused(
            "E_PAIRS_NONE",
            "no two answers make a pair",
            found=told.replace("_", " "),
            hint="a higher --temperature, more --samples or --noise make answers differ more; "
            "--max-new-tokens lets them end",
        )
    data, names = canonical.dumps(record), opened.names()
    source = Source(kind=pairing.KIND, name=source_name(record, by))
    file = into / MADE / f"{digest.hex_of(digest.of_bytes(data))[:16]}.json"
    with CaptureStore.open(into, create=True) as other:
        with system.naming(file):
            file.parent.mkdir(exist_ok=True)
            paths.atomic_write(file, data)
        with other.adding() as addition:
            for name, outcome in outcomes.items():
                if outcome.pair is None:
                    continue
                capture = opened.read(name).capture
                for image in capture.images:
                    addition.image(opened.read_image(image.file), where=image.file)
                made = pairing.paired(capture, outcome.pair, source)
                addition.capture(made, where=name, origin=names.get(name))
            added = addition.commit()
        return Made(captures=added.captures, total=len(other), record=record, file=file)
