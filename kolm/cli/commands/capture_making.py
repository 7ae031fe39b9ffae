"""``kolm capture template|pairs|judge``: captures made: by a person, by a model, and judged."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm import whole_schema
from kolm.cli import output
from kolm.cli.options import (
    BASE,
    BELOW_GATE,
    DEVICE,
    FILE,
    FOLDER,
    POLICY,
    STORE,
    TRUST,
    output_option,
)
from kolm.counting import counted

if TYPE_CHECKING:
    from kolm.actions.judges import JudgeOptions
    from kolm.records.answers import CaptureJudgeAgreement

# Those whose options all have defaults: a metric is chosen by its name alone.
METRICS = tuple(whole_schema.load("metric")["$defs"]["chosen"]["anyOf"][0]["enum"])
SPLITS = click.Choice(["train", "validation", "eval"])


@click.command("template")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--prompt", "prompts", multiple=True, required=True, help="The question; may be repeated."
)
@output_option("The file, .jsonl or .csv. Default: annotate.jsonl in FOLDER.")
@click.option("--in-turn", is_flag=True, help="One prompt a picture, in turn, instead of all.")
@click.option("--answer", default="the answer", show_default=True, help="What is to be filled in.")
@click.option("--rejected", is_flag=True, help="Ask for a worse answer too.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Of every row; repeatable.")
@click.option("--license", default="", help="SPDX id of every row's licence.")
@click.option("--split", type=SPLITS, help="The side of the split for every row.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def template(folder: Path, **asked: Any) -> None:
    """Write rows about the pictures of FOLDER for a person to fill in.

    Fill in each [ANNOTATE: …], or delete the row; an import refuses the file until then.
    """
    from kolm.actions import templating

    done = templating.write_template(folder, **asked)
    words = ["kolm", "capture", "import", str(done.file)]
    words += [] if done.images is None else ["--images", str(done.images)]
    document = {
        "file": str(done.file),
        "images_folder": None if done.images is None else str(done.images),
        "left_out": done.left_out,
        "pictures": done.pictures,
        "rows": done.rows,
    }
    out = output.current()
    if done.left_out:
        out.reporter.warned(
            f"{counted(done.left_out, 'picture')} left out: only PNG, JPEG and WebP are taken"
        )
    text = (
        f"{counted(done.rows, 'row')} to fill in, about {counted(done.pictures, 'picture')}: "
        f"{done.file}\nthen: {shlex.join(words)}"
    )
    out.answer("cli-capture-template", document, text, brief=str(done.file), wrote=done.file)


def _judge_options(function: Callable[..., None]) -> Callable[..., None]:
    """Who judges, and how."""
    for option in reversed((
        click.option("--endpoint", metavar="URL", help="An OpenAI-compatible API."),
        click.option("--endpoint-model", metavar="NAME", help="Its model."),
        click.option("--with-reference", is_flag=True, help="Show the judge the right answers."),
        click.option("--reply-tokens", type=click.IntRange(1, 4096), default=128, show_default=True,
                     help="Most tokens of a reply."),
        click.option("--timeout", "timeout_seconds", type=click.FloatRange(1, 3600), default=60.0,
                     show_default=True, metavar="SECONDS", help="Of one try at the endpoint."),
    )):  # fmt: skip
        function = option(function)
    return function


BATCH = click.option(
    "--batch-size", type=click.IntRange(1, 1024), default=8, show_default=True,
    help="Answers that a model here makes together.",
)  # fmt: skip
WITH_TAGS = click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Only captures with all of these tags."
)


@click.command("pairs")
@STORE
@click.option("--model", required=True, metavar="MODEL", help="A bundle's file, or a base.")
@click.option("--into", required=True, type=FOLDER, help="The store that gets the pairs.")
@click.option("--samples", type=click.IntRange(1, 64), default=4, show_default=True,
              help="Answers to each capture.")  # fmt: skip
@click.option("--temperature", default="1", show_default=True, help="Of the draws.")
@click.option("--max-new-tokens", type=click.IntRange(1, 4096), default=64, show_default=True,
              help="An answer that has not ended by then is left out.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Of the draws and of the noise.")  # fmt: skip
@click.option("--noise", type=click.IntRange(0, 1000), default=0, show_default=True,
              help="Answer distorted pictures: the step of diffusion noise, of 1000.")  # fmt: skip
@click.option("--by", default="exact", show_default=True,
              type=click.Choice([*METRICS, "judge"]), metavar="METRIC|judge",
              help="What says which answer is worse: kolm help concepts/metrics.")  # fmt: skip
@click.option("--better", type=click.Choice(["reference", "sample"]),
              help="The better answer. Default: reference; with a judge, sample.")  # fmt: skip
@click.option("--judge", "judge_model", metavar="MODEL", help="For --by judge: a bundle or a base.")
@_judge_options
@click.option("--split", type=SPLITS, help="Only captures of this side.")
@WITH_TAGS
@BATCH
@click.option("--max-seq-length", type=click.IntRange(16), default=2048, show_default=True,
              help="Tokens of a prompt, for a base.")  # fmt: skip
@DEVICE
@BASE
@TRUST
@POLICY
@BELOW_GATE
def pairs(store: Path, into: Path, model: str, by: str, **asked: Any) -> None:
    """Make preference pairs: let MODEL answer captures, and keep a better and a worse answer.

    A killed run is gone on with. The pairs' source says how they were made, and a document in the
    store says the rest.
    """
    from kolm import actions

    out = output.current()
    judge = {name: asked.pop(name) for name in (*_JUDGED, "judge_model")}
    how = {name: asked.pop(name) for name in _SAMPLED}
    if by != "judge":
        _demand_no_judge(judge)
    made = actions.make_pairs(
        store,
        into=into,
        model=model,
        by=by,
        how=actions.How(**{**how, "temperature": _decimal(how["temperature"])}),
        judge=_judge({**asked, **how, "base": None}, **judge) if by == "judge" else None,
        reporter=out.reporter,
        **asked,
    )
    document = {
        "store": str(store),
        "into": str(into),
        "captures": made.captures,
        "total": made.total,
        "file": str(made.file),
        "record": made.record,
    }
    out.answer(
        "cli-capture-pairs", document, lambda: _pairs_text(document), brief=str(made.captures)
    )


@click.command("judge")
@STORE
@click.option("--model", metavar="MODEL", help="The judge: a bundle's file, or a base.")
@_judge_options
@click.option("--rejected", is_flag=True, help="Judge rejected answers too.")
@click.option("--floor", type=click.IntRange(1, 5), help="The lowest score that is good enough.")
@click.option("--into", type=FOLDER, help="A store that gets the captures at or above the floor.")
@click.option("--labels", type=FILE, help="Scores of people (JSON Lines), to measure the judge.")
@WITH_TAGS
@BATCH
@DEVICE
@BASE
@TRUST
@POLICY
@BELOW_GATE
def judge(store: Path, **asked: Any) -> None:
    """Let a model score answers from 1 to 5: accuracy, completeness, relevance.

    Every question and every reply is kept beside the captures. A reply that cannot be read is
    counted, and no score is made of it.
    """
    from kolm import actions

    out = output.current()
    options = {name: asked.pop(name) for name in (*_JUDGED, *_OF_MODEL, "model")}
    judged = actions.judge_captures(
        store,
        judge=_judge(options, judge_model=options["model"], **{n: options[n] for n in _JUDGED}),
        reporter=out.reporter,
        **asked,
    )
    found = judged.found
    into = asked["into"]
    document = {
        "store": str(store),
        "answers": judged.answers,
        "new": found.new,
        "unread": judged.unread,
        "too_long": found.too_long,
        "file": str(found.file),
        "judge": found.judge,
        "means": judged.means,
        "floor": asked["floor"],
        "below": judged.below,
        "into": None if into is None else str(into),
        "kept": judged.kept,
        "people": judged.agreement,
        "preferred": judged.preferred,
    }
    out.answer("cli-capture-judge", document, lambda: _judge_text(document), brief=str(found.file))


COMMANDS = (template, pairs, judge)
_SAMPLED = (
    "samples", "temperature", "max_new_tokens", "seed", "noise", "batch_size", "max_seq_length",
    "device",
)  # fmt: skip
_JUDGED = ("endpoint", "endpoint_model", "with_reference", "reply_tokens", "timeout_seconds")
_OF_MODEL = ("batch_size", "device", "base", "trust", "policy", "allow_below_gate")


def _judge(
    of_model: Mapping[str, Any],
    *,
    judge_model: str | None,
    with_reference: bool,
    reply_tokens: int,
    **named: Any,
) -> JudgeOptions:
    from kolm import actions

    own = {name: of_model[name] for name in _OF_MODEL if name in of_model}
    return actions.JudgeOptions(
        model=judge_model, reference=with_reference, max_new_tokens=reply_tokens, **named, **own
    )


def _demand_no_judge(given: Mapping[str, Any]) -> None:
    for name in ("judge_model", "endpoint"):
        if given[name] is not None:
            flag = {"judge_model": "--judge"}.get(name, f"--{name}")
            raise click.UsageError(f"{flag} needs --by judge")


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise click.BadParameter(f"{text!r} is not a number", param_hint="--temperature")
    return value


def _pairs_text(document: Mapping[str, Any]) -> str:
    counts = document["record"]["counts"]
    samples, captures = counts["samples"], counted(counts["captures"], "capture")
    return (
        f"{counted(document['captures'], 'pair')} added to {document['into']}; "
        f"{document['total']} in all\n"
        f"answers    {samples} to {captures}: {counts['cut']} cut, {counts['equal']} equal to "
        f"another or to the reference, {counts['unusable']} empty, {counts['unscored']} without a "
        "score\n"
        f"no pair    {counts['no_candidates']} captures without a usable answer, "
        f"{counts['none_worse']} without a worse one\n"
        f"longer     the better answer in {counts['longer']} of {counts['pairs']}\n"
        f"record     {document['file']}"
    )


def _judge_text(document: Mapping[str, Any]) -> str:
    read = document["answers"] - document["unread"] - document["too_long"]
    lines = [
        f"{read} of {counted(document['answers'], 'answer')} scored; {document['new']} asked now"
    ]
    if document["unread"]:
        lines.append(f"unread     {counted(document['unread'], 'reply')}: no score")
    if document["too_long"]:
        lines.append(f"too long   {counted(document['too_long'], 'answer')}")
    for name, mean in (document["means"] or {}).items():
        lines.append(f"{name:<13}{mean}")
    if document["floor"] is not None:
        lines.append(f"below {document['floor']}    {counted(document['below'], 'capture')}")
    if document["kept"] is not None:
        lines.append(f"kept       {counted(document['kept'], 'capture')} in {document['into']}")
    for name, found in (document["people"] or {}).items():
        lines.append(_agreement_text(name, found))
    if document["preferred"] is not None:
        found = document["preferred"]
        lines.append(
            f"prefers    the better answer in {found['right']} of {counted(found['pairs'], 'pair')}"
            f" ({found['ties']} ties): {found['agreement']} "
            f"({found['interval']['low']} to {found['interval']['high']})"
        )
    return "\n".join([*lines, f"judgements {document['file']}"])


def _agreement_text(name: str, found: CaptureJudgeAgreement) -> str:
    near = found["interval"]
    told = f"agrees with people on {name} in {found['agreement']} ({near['low']} to {near['high']})"
    told += f" of {counted(found['cases'], 'label')}"
    if found["kappa"] is None:
        return f"{told}; kappa is not defined: all labels are the same"
    return f"{told}; kappa {found['kappa']} ({found['kappa_low']} to {found['kappa_high']})"
