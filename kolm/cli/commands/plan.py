"""``kolm plan``: what a training will need, before a weight is loaded. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output
from kolm.cli.exit_codes import ExitCode
from kolm.cli.failure import remedy
from kolm.cli.options import SPEC
from kolm.counting import counted
from kolm.errors import Usage

if TYPE_CHECKING:
    from kolm.records.answers import Plan, PlanHistogram, PlanMemory

_TERMS = ("weights", "state", "activations", "logits", "tower", "context", "kept")
_BAR = 32  # characters of the longest bar


@click.command(short_help="Predict memory, tokens, operations and disk before a weight is loaded.")
@SPEC
@click.option("--memory", metavar="GIB", help="Memory of your device: does this spec fit?")
@click.option(
    "--throughput",
    metavar="TFLOPS",
    help="Operations that your device sustains, in 10^12 a second, for the time.",
)
def command(spec: Path, memory: str | None, throughput: str | None) -> int:
    """Predict what the training of SPEC will need: parameters by role, tokens, memory by term,
    operations, disk. No weight is loaded, and nothing is changed.

    The base need not be here: sizes of common published ones are known, and others follow from a
    folder with a config.json. Where captures or processor are not here, lengths are the spec's
    limits. The exit code is 1 if the spec does not fit into --memory.
    """
    from kolm.actions.planning import Asked, plan

    out = output.current()
    asked = Asked(
        memory_gib=_number(memory, "--memory"), teraflops=_number(throughput, "--throughput")
    )
    made = plan(spec, asked=asked, reporter=out.reporter)
    need = str(made["memory"]["with_margin"])
    out.answer("cli-plan", made, lambda: "\n".join(_lines(made, out)), brief=need)
    fits = made["fits"]
    return ExitCode.DONE if fits is None or fits["fits"] else ExitCode.NO


def _number(text: str | None, flag: str) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not (value.is_finite() and 0 < value < 10**9):
        raise Usage(
            "E_PLAN_NUMBER",
            "this option takes a number above 0",
            where=flag,
            expected="a number such as 24 or 80.5",
            found=text[:80],
        )
    return value


def _lines(made: Plan, out: output.Output) -> Iterator[str]:
    base, trained, batch = made["base"], made["trained"], made["batch"]
    source = {"weights": "its checkpoint", "published": "kolm's table", "config": "its config"}
    yield f"{base['id']} ({base['family']}, sizes from {source[base['sizes_from']]})"
    roles = ", ".join(
        f"{role} {_million(count)}" for role, count in made["parameters"].items() if role != "total"
    )
    yield f"parameters   {_million(made['parameters']['total'])}: {roles}"
    adapted = ", vision adapted" if trained["vision"] else ""
    numbers = _million(trained["numbers"])
    projector = trained["projector"] or "none"
    yield f"trained      {numbers}: {trained['method']}; projector {projector}{adapted}"
    yield from _data(made)
    limits = "as the data has it" if batch["lengths_from"] == "data" else "by the spec's limits"
    yield (
        f"batch        {batch['rows']} x {batch['length']} tokens, of them "
        f"{batch['image_tokens']:,} of pictures, {batch['labels']:,} labels ({limits})"
    )
    yield ""
    each = f", in each of {batch['processes']} processes" if batch["processes"] > 1 else ""
    yield f"memory of this training, at its largest batch{each}"
    yield from _memory(made["memory"])
    yield from _verdict(made, out)
    yield ""
    yield from _compared(made)
    yield ""
    yield from _cost(made)
    for note in made["notes"]:
        yield f"note         {output.one_line(note)}"


def _data(made: Plan) -> Iterator[str]:
    data = made["data"]
    if data is None:
        if not made["unread"]:
            yield "data         not read"
        for number, why in enumerate(made["unread"]):
            told = f"{'' if number else 'not read: '}{output.one_line(why['message'])}"
            yield f"{'' if number else 'data':13}{told}"
            yield from remedy(why, margin=f"{'':4}")
        return
    lost = "".join(f", {count:,} left out: {why}" for why, count in data["dropped"].items())
    stopped = f", {data['refused']:,} refused" if data["refused"] else ""
    yield f"data         {counted(data['examples'], 'example')}, {data['cut']:,} cut{lost}{stopped}"
    for name, shown in (
        ("tokens", data["tokens"]),
        ("of pictures", data["image_tokens"]),
        ("labels", data["labels"]),
    ):
        yield from _histogram(name, shown)


def _histogram(name: str, shown: PlanHistogram) -> Iterator[str]:
    yield f"  {name}: mean {shown['mean']:,}, longest {shown['longest']:,}"
    most = max((one["examples"] for one in shown["bins"]), default=1)
    for one in shown["bins"]:
        bar = "#" * max(1, round(_BAR * one["examples"] / most))
        yield f"    up to {one['up_to']:>7,}  {one['examples']:>9,}  {bar}"


def _memory(memory: PlanMemory) -> Iterator[str]:
    for term in _TERMS:
        if size := memory[term]:  # type: ignore[literal-required]
            yield f"  {term:12}{_gib(size):>10}"
    yield f"  {'total':12}{_gib(memory['total']):>10}, with a tenth to spare " + (
        _gib(memory["with_margin"])
    )


def _verdict(made: Plan, out: output.Output) -> Iterator[str]:
    need, fits = made["memory"]["with_margin"], made["fits"]
    limit = None if fits is None else fits["memory_bytes"]
    if fits is not None:
        word = out.paint("fits", "good") if fits["fits"] else out.paint("does not fit", "bad")
        yield f"  {word} into {_gib(fits['memory_bytes'])}"
    first = next((one for one in made["devices"] if one["fits"]), None)
    yield f"  smallest device of kolm's table: {first['name'] if first else 'none of them'}"
    if (limit is not None and need > limit) or first is None:
        yield "  to need less, each with those before:"
        for change in made["changes"]:
            enough = limit is not None and change["need_bytes"] <= limit
            yield f"    {change['line']:56}{_gib(change['need_bytes']):>10}" + (
                "  fits" if enough else ""
            )
            if enough:
                return


def _compared(made: Plan) -> Iterator[str]:
    ways = made["compared"]
    counts = sorted({way["devices"] for way in ways})
    yield "the same batch in bfloat16 with fused kernels, by any software: GiB a device,"
    yield "operations (FLOPs) of each in a step, on a batch of its own, without the tower;"
    yield "* with checkpointing"
    timed = made["time"] is not None
    heads = "".join(f"{f'on {count}':>9}" for count in counts)
    yield f"  {'':23}{heads}{'FLOPs':>10}{'s a step' if timed else '':>9}".rstrip()
    for way in ways:
        if way["devices"] == counts[0]:
            row = [
                other["memory"]["total"]
                for other in ways
                if (other["method"], other["checkpointing"])
                == (way["method"], way["checkpointing"])
            ]
            name = way["method"] + (" *" if way["checkpointing"] else "")
            yield f"  {name:23}" + "".join(
                [
                    *(f"{size / 2**30:>9,.2f}" for size in row),
                    f"{float(way['flops']):>10.3g}",
                    f"{way['step_seconds']:>9}" if timed else "",
                ]
            )


def _cost(made: Plan) -> Iterator[str]:
    flops, steps, time, disk = made["flops"], made["batch"]["steps"], made["time"], made["disk"]
    run = f", {float(flops['run']):.3g} in {steps:,} steps" if flops["run"] and steps else ""
    yield f"operations   {float(flops['step']):.3g} in a step of that batch at most{run}"
    before = int(flops["reference"] or 0)
    if before:
        yield f"             {before:.3g} of them for the reference, before the first step"
    if time is not None:
        whole = f", {time['run_seconds']} s in all" if time["run_seconds"] else ""
        yield f"time         {time['step_seconds']} s a step at the stated throughput{whole}"
    features = disk["features_bytes"]
    kept = "" if features is None else f", vision features {_gib(features)} in the cache"
    written = disk["states_bytes"] + disk["adapter_bytes"] + disk["other_bytes"]
    yield f"disk         {_gib(written)} in the project{kept}"


def _gib(size: int) -> str:
    return f"{size / 2**30:,.2f} GiB"


def _million(count: int) -> str:
    return f"{count / 10**6:,.2f} M"
