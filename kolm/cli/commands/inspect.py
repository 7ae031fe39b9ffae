"""``kolm inspect``: what a bundle holds and claims, read without running anything."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output
from kolm.cli.options import BUNDLE, FOLDER
from kolm.cli.scores import accuracy_text, training_text
from kolm.counting import counted
from kolm.format.compute import energy_text, short
from kolm.format.names import EVAL_IMAGE
from kolm.planning.parameters import Group, OfRole

if TYPE_CHECKING:
    from kolm.records.answers import (
        Inspect,
        InspectClaim,
        InspectCompute,
        InspectKscore,
        InspectMember,
        InspectParameter,
    )
    from kolm.records.documents import EvaluationSlice


_VISION = {None: "none: the base reads text alone", True: "frozen", False: "adapted"}
_SHOWN_SLICES = 8  # the worst ones tell the most


@click.command(short_help="Show what a bundle holds and claims, without running anything.")
@BUNDLE
@click.option(
    "--unpack",
    type=FOLDER,
    help="Write the members into this folder, e.g. for PeftModel.from_pretrained.",
)
def command(bundle: Path, unpack: Path | None) -> None:
    """Show what BUNDLE holds and claims, without running anything.

    Container and schemas are checked; what the bundle says is shown as said. Whether it is true is
    the question of `kolm verify`.
    """
    from kolm.actions import inspecting

    out = output.current()
    out.reporter.noted(f"reading {bundle}")
    found = inspecting.inspect(bundle, unpack=unpack)
    out.answer(
        "cli-inspect",
        found,
        lambda: _for_people(output.in_lines(found), output.one_line(str(bundle))),
        brief=found["cid"],
    )


def _for_people(found: Inspect, name: str) -> str:
    receipt, scores = found["receipt"], found["evaluation"]
    trained = receipt["vlm_train"]
    parameters = f"{trained['trained_parameters']} of {trained['base_parameters']} parameters"
    held = trained["quantisation"]
    numbers = f", language role in {held['kind']}" if held else ""
    blind = scores["blind"]
    unseeing = f"without the picture {blind['accuracy']}, " if blind else ""
    controls = (
        f"base {scores['base']['accuracy']}, {unseeing}"
        f"most frequent answer {scores['majority']['accuracy']}, "
        f"swapped {scores['swapped']['accuracy']}"
    )
    lines = [
        f"{name}   {receipt['name']}",
        f"  cid        {found['cid']}",
        f"  content    {found['content_id']}",
        f"  base       {receipt['base']['id']} ({receipt['base']['family']}{numbers})",
        f"  base root  {receipt['base']['root']}",
        f"  method     {training_text(receipt)}, {parameters}",
        f"  vision     {_VISION[trained['freeze_vision']]}, as the bundle says",
        *_parameter_lines(found["parameters"]),
        f"  accuracy   {accuracy_text(scores)}",
        f"  controls   {controls}",
        f"  floors     {'passed' if scores['floors_passed'] else 'not passed'}, as the bundle says",
        *(_score_line(row) for row in found["kscores"]),
        *(line for row in found["computes"] for line in _compute_lines(row)),
        *_slice_lines(scores["slices"]),
        "",
        *_member_lines(found["members"]),
        "",
        *map(_claim_line, found["claims"]),
        "",
        f"None of this has been checked:  kolm verify {name}",
    ]
    return "\n".join(lines)


def _member_lines(members: list[InspectMember]) -> list[str]:
    """A line a member; one for all the pictures, of which a bundle may publish thousands."""
    shown = [
        (row["bytes"], row["name"]) for row in members if not row["name"].startswith(EVAL_IMAGE)
    ]
    sizes = [row["bytes"] for row in members if row["name"].startswith(EVAL_IMAGE)]
    if sizes:
        shown.append((sum(sizes), counted(len(sizes), "picture")))
    return [f"  {size:>11,}  {name}" for size, name in shown]


def _claim_line(row: InspectClaim) -> str:
    """A claim's kind and who made it, or why it cannot be read."""
    by = f"by key {row['key']}" if "key" in row else "by nobody who is named"
    wrong = f": cannot be read: {row['error']['message']}" if "error" in row else ""
    return f"  claim      {row['predicate_type']}  {by}{wrong}"


def _parameter_lines(roles: list[InspectParameter]) -> list[str]:
    """A line a role, and below it one for each kind of module in which something is trained."""
    lines = []
    for number, of in enumerate(roles):
        groups = tuple(Group(**group) for group in of["modules"])
        role = OfRole(of["role"], of["base"], of["trained"], groups)
        lines.append(f"  {'' if number else 'parameters':10} {role.words()}")
        lines += [f"{'':15}{group.words()}" for group in groups]
    return lines


def _score_line(row: InspectKscore) -> str:
    score = row["kscore"]
    of_bundle = score["pack"]["owner"] == "publisher"
    pack = "the bundle's eval cases" if of_bundle else "cases that this key brought"
    return (
        f"  K          {score['composite']} on {pack}, gate {score['gate']['verdict']}, "
        f"by key {row['key'][:16]}"
    )


def _compute_lines(row: InspectCompute) -> list[str]:
    compute, key = row["compute"], row["key"][:16]
    spent, test = compute["measured"], compute["modifier_test"]
    base = test["base_flops"]
    answer = "exceeded" if test["exceeds"] else "not exceeded"
    limit = f"it is {short(int(test['limit']))} operations"
    third = f"a third of {'1e23' if base is None else short(int(base))}"
    known = "as nobody declared what the base took" if base is None else "declared for the base"
    took = f"{short(int(compute['flops']['total']))} operations in {spent['seconds']} s"
    return [
        f"  compute    {took}, {energy_text(spent)}, by key {key}",
        f"  EU limit   {answer}: {limit}, {third}, {known} (kolm help format/compute)",
    ]


def _slice_lines(slices: list[EvaluationSlice]) -> list[str]:
    """Slices from the worst on, as far as a screen holds them."""
    ordered = sorted(
        slices, key=lambda part: (Decimal(part["accuracy"]), part["kind"], part["value"])
    )
    lines = [
        f"  {'slices' if number == 0 else '':10} {part['accuracy']:9} "
        f"{part['kind'].replace('_', ' ')} {part['value'] or 'none'}   on "
        f"{counted(part['cases'], 'case')}"
        for number, part in enumerate(ordered[:_SHOWN_SLICES])
    ]
    rest = len(ordered) - _SHOWN_SLICES
    return [*lines, f"  {'':10} and {rest} better ones: --json"] if rest > 0 else lines
