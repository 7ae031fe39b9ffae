"""``kolm diff``: what differs between two bundles, read without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output as _output
from kolm.cli.options import FILE, FOLDER, output_option

if TYPE_CHECKING:
    from kolm.records.answers import Diff, DiffCase, DiffSetting

_SHOWN = 10
_WIDE = 60


@click.command(short_help="Show what differs between two bundles.")
@click.argument("left", type=FILE)
@click.argument("right", type=FILE)
@output_option("Write it as one page of HTML too, with the pictures of the cases that differ.")
@click.option("--force", is_flag=True, help="Replace another file of that name.")
@click.option(
    "--captures", type=FOLDER, help="A capture store, for pictures that no bundle publishes."
)
def command(
    left: Path, right: Path, output: Path | None, force: bool, captures: Path | None
) -> None:
    """Show what differs between LEFT and RIGHT: settings, captures, modules, scores, cases.

    Containers and schemas are checked; what the bundles say is taken as said. Whether it is true is
    the question of `kolm verify`. The exit code is 0 however much differs.
    """
    from kolm import outputs
    from kolm.actions import comparing

    out = _output.current()
    if output is None:
        found = comparing.diff(left, right)
    else:
        found, page = comparing.diff_page(left, right, captures=captures)
        outputs.write(output, page, force=force)
    out.answer(
        "cli-diff",
        found,
        lambda: "\n".join(_for_people(_output.in_lines(found))),
        brief=found["right"]["cid"],
        wrote=output,
    )


def _for_people(found: Diff) -> Iterator[str]:
    from kolm.report.comparison import count_captures, split_cases

    for side in ("left", "right"):
        one = found[side]
        accuracy = found["accuracy"][side]
        yield f"{side:6} {one['name']}   {one['cid']}"
        yield f"       accuracy {accuracy['accuracy']} ({accuracy['low']} to {accuracy['high']})"
    if found["left"]["content_id"] == found["right"]["content_id"]:
        yield "The content is the same."
        return
    paired = found["paired"]
    yield ""
    if paired is None:
        yield f"cases     not compared: {found['not_paired']}"
    else:
        yield (
            f"cases     {paired['cases']} in both: left better on {paired['left_only']}, right "
            f"better on {paired['right_only']} (p = {paired['p']})"
        )
    worse, better = split_cases(found["cases"])
    yield from _cases("worse", worse)
    yield from _cases("better", better)
    yield from _rows("settings", [_setting(row) for row in sorted(found["spec"], key=_follows)])
    moves = found["captures"]
    yield (
        f"captures  {count_captures(moves['added'])} on the right alone, "
        f"{count_captures(moves['removed'])} on the left alone, "
        f"{count_captures(moves['moved'])} on another side"
    )
    yield from _rows(
        "modules",
        [
            f"{row['module']}: {row['left'] or '–'} → {row['right'] or '–'}"
            for row in found["modules"]
        ],
    )
    tensors = found["tensors"]
    yield (
        f"tensors   {tensors['same']} the same, {len(tensors['changed'])} changed, "
        f"{len(tensors['added'])} on the right alone, {len(tensors['removed'])} on the left alone"
    )


def _cases(word: str, cases: list[DiffCase]) -> Iterator[str]:
    lines = [
        f"{_digits(case)}  {_short(case['prompt'] or 'text withheld')}  "
        f"expected {_short(case['reference'] or '?')}: "
        f"{_short(case['left']['output'])} → {_short(case['right']['output'])}"
        for case in cases
    ]
    yield from _rows(word, lines)


def _digits(case: DiffCase) -> str:
    """As much of a capture's id as `kolm capture show` needs."""
    return case["case"].removeprefix("sha256:")[:12]


def _follows(row: DiffSetting) -> bool:
    """Digests, seeds and the reasons of rates follow from other settings, and are shown last."""
    digests = all((row[side] or "").startswith("sha256:") for side in ("left", "right"))
    return digests or row["path"].startswith(("rates.", "seeds."))


def _setting(row: DiffSetting) -> str:
    return f"{row['path']}: {_short(row['left'] or '–')} → {_short(row['right'] or '–')}"


def _rows(label: str, lines: list[str]) -> Iterator[str]:
    """Lines behind a label, as many as a screen holds."""
    for number, line in enumerate(lines[:_SHOWN]):
        yield f"{label if number == 0 else '':9} {line}"
    if len(lines) > _SHOWN:
        yield f"{'':9} and {len(lines) - _SHOWN} more: --json"


def _short(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"
