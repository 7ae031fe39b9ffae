"""The compositions: a judge, here or behind an endpoint, is asked about answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import canonical, digest
from kolm.actions.signing import Trust
from kolm.capture.store import CaptureStore
from kolm.digest import Digest
from kolm.errors import Usage
from kolm.events import Reporter
from kolm.judging import rubric
from kolm.judging.endpoint import TIMEOUT_SECONDS, Endpoint
from kolm.judging.judgements import Item, Judgements, fits
from kolm.models.device import AUTO
from kolm.verify.policy import Demands

if TYPE_CHECKING:
    from kolm.actions.asking import Model
    from kolm.records.documents import JudgementRow, JudgementRowJudge

RUNS: Final = "unfinished"  # of a store: what a killed run goes on from
MAX_NEW_TOKENS: Final = 128  # of a reply: the scores take about 30
STAGE: Final = "judge"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeOptions:
    """Who judges, and how.

    Attributes:
        model: a bundle's file, or a base by folder or name; None for an endpoint.
        endpoint: address of an OpenAI-compatible API; None for a model here.
        endpoint_model: its model.
        reference: whether the judge sees the captures' own answers.
        max_new_tokens: of a reply.
        timeout_seconds: of one try at the endpoint.
        batch_size: questions that a model here answers together.
        device: that computes it.
        base, trust, policy, allow_below_gate: of a bundle.
    """

    model: str | Path | None = None
    endpoint: str | None = None
    endpoint_model: str | None = None
    reference: bool = False
    max_new_tokens: int = MAX_NEW_TOKENS
    timeout_seconds: float = TIMEOUT_SECONDS
    batch_size: int = 8
    device: str = AUTO
    base: str | Path | None = None
    trust: Trust = None
    policy: Demands = None
    allow_below_gate: bool = False


class Found(NamedTuple):
    """What judging gave: the judgement of each answer that has one, and how many have none.

    Attributes:
        rows: by the answers' places.
        new: how many were asked for now.
        too_long: answers whose question does not fit into a row, or into the judge's budget.
        file: of the judgements.
        judge: who judged.
    """

    rows: dict[int, JudgementRow]
    new: int
    too_long: int
    file: Path
    judge: JudgementRowJudge


def demand_other_store(store: Path, into: str | Path | None) -> None:
    """Demand that captures which are made go into a store of their own.

    Raises:
        Usage: ``E_JUDGE_OPTION``.
    """
    if into is not None and Path(into).resolve() == store.resolve():
        raise Usage(
            "E_JUDGE_OPTION",
            "captures that are made go into a store of their own",
            where=str(into),
            hint="two captures that ask the same of the same pictures contradict each other",
        )


def judge_items(
    items: Sequence[Item],
    options: JudgeOptions,
    *,
    store: Path,
    beside: Path,
    reporter: Reporter,
) -> Found:
    """Judge answers that have no judgement yet.

    Args:
        items: the answers.
        options: who judges.
        store: the folder of the store that holds the pictures.
        beside: the folder of the store that keeps the judgements.
        reporter: hears how far it is.

    Raises:
        KolmError: as `judge_captures`.
    """
    if (options.model is None) == (options.endpoint is None):
        raise Usage(
            "E_JUDGE_OPTION",
            "a judge is a --model here, or a model at an --endpoint",
            found="both" if options.model else "neither",
            hint="give one of the two: kolm capture judge --help",
        )
    if options.endpoint is not None:
        return _at_endpoint(items, options, store, beside, reporter)
    from kolm.actions import asking

    assert options.model is not None
    with asking.model(
        options.model,
        base=options.base,
        trust=options.trust,
        policy=options.policy,
        allow_below_gate=options.allow_below_gate,
        reporter=reporter,
    ) as model:
        return _here(items, options, model, store, beside, reporter)


def _at_endpoint(
    items: Sequence[Item], options: JudgeOptions, store: Path, beside: Path, told: Reporter
) -> Found:
    if not options.endpoint_model:
        raise Usage("E_JUDGE_OPTION", "an endpoint has many models: --endpoint-model NAME")
    endpoint = Endpoint.named(
        str(options.endpoint), options.endpoint_model, timeout_seconds=options.timeout_seconds
    )
    who: JudgementRowJudge = {
        "kind": "endpoint",
        "name": endpoint.model,
        "digest": None,
        "url": endpoint.url,
    }
    with _judgements(beside, who, options) as kept, CaptureStore.open_to_read(store) as opened:
        left = _left(items, kept)
        told.started(STAGE, len(left), "answers")
        for number, item in enumerate(left, 1):
            pictures = [
                (image["media_type"], opened.read_image(Digest(image["file"])))
                for image in item.document["images"]
            ]
            text = item.prompt(reference=options.reference)
            reply = endpoint.ask(text, pictures, max_tokens=options.max_new_tokens)
            kept.add(item, reply.text, finish=reply.finish, said_by=reply.model)
            told.advanced(STAGE, number)
        told.finished(STAGE)
        return _found(items, kept, len(left))


def _here(
    items: Sequence[Item],
    options: JudgeOptions,
    model: Model,
    store: Path,
    beside: Path,
    told: Reporter,
) -> Found:
    from kolm.actions import asking
    from kolm.evaluate.answering import key_of

    who: JudgementRowJudge = {
        "kind": model.kind,
        "name": model.name,
        "digest": model.digest,
        "url": None,
    }
    how = asking.How(
        max_new_tokens=options.max_new_tokens,
        batch_size=options.batch_size,
        device=options.device,
        whole=True,  # a judgement says what was asked, all of it
    )
    with _judgements(beside, who, options) as kept:
        left = _left(items, kept)
        asked: dict[Digest, bytes] = {}
        ids: list[Digest] = []
        for item in left:
            document = rubric.as_capture(item.document, item.prompt(reference=options.reference))
            data = canonical.dumps(document)
            ids.append(digest.of_bytes(data))
            asked[ids[-1]] = data
        if asked:
            runs = beside / RUNS
            with asking.answers(asked, model, how, store=store, runs=runs, told=told) as answers:
                for item, name in zip(left, ids, strict=True):
                    reply = answers.get(key_of(name, 0))
                    if reply is not None:
                        kept.add(item, reply.output, finish=reply.finish, said_by="")
        return _found(items, kept, len(left))


def _judgements(beside: Path, who: JudgementRowJudge, options: JudgeOptions) -> Judgements:
    return Judgements(
        beside, who, reference=options.reference, max_new_tokens=options.max_new_tokens
    )


def _left(items: Sequence[Item], kept: Judgements) -> list[Item]:
    """The answers that have no judgement yet, each once."""
    left = {
        (item.capture, item.prompt(reference=kept.reference)): item
        for item in items
        if fits(item, reference=kept.reference) and kept.of(item) is None
    }
    return list(left.values())


def _found(items: Sequence[Item], kept: Judgements, new: int) -> Found:
    rows = {number: row for number, item in enumerate(items) if (row := kept.of(item)) is not None}
    return Found(
        rows=rows, new=new, too_long=len(items) - len(rows), file=kept.path, judge=kept.judge
    )
