"""``kolm capture``: keep (image, prompt, response) pairs; import, export and freeze them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kolm.capture import exporters, importers
from kolm.cli import output
from kolm.cli.commands import capture_making, capture_rows
from kolm.cli.group import VerbGroup
from kolm.cli.options import FILE, STORE
from kolm.counting import counted

if TYPE_CHECKING:
    from kolm.actions.capturing import TakenIn
    from kolm.records.answers import CaptureSnapshot, CaptureStats


FORMATS = tuple(name for name, form in importers.TABLE.items() if not form.packaged)
PACKAGES = tuple(name for name, form in importers.TABLE.items() if form.packaged)
TAGS = click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given repeatedly.")
SHOWN_NAMES = 10  # of captures that are on no side
SPLITS = click.Choice(["train", "validation", "eval"])


def _format_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options that formats have of their own, as one mapping `options`."""
    told = {
        option.name: (option, [form for form in FORMATS if option in importers.TABLE[form].options])
        for form in FORMATS
        for option in importers.TABLE[form].options
    }

    @functools.wraps(function)
    def command(**given: Any) -> None:
        options = {name: given.pop(name) for name in told}
        function(options={name: text for name, text in options.items() if text}, **given)

    for option, forms in reversed(told.values()):
        told_of = f"For {' and '.join(forms)}: {option.help}."
        command = click.option(option.flag, option.name, metavar=option.metavar, help=told_of)(
            command
        )
    return command


@click.group(
    cls=VerbGroup, short_help="Keep (image, prompt, response) pairs: import, export, snapshot."
)
def command() -> None:
    """Keep (image, prompt, response) pairs in a store, and freeze them for a compile."""


for _command in (*capture_rows.COMMANDS, *capture_making.COMMANDS):
    command.add_command(_command)


@command.command("add")
@STORE
@click.option("--image", "images", multiple=True, help="A file, data URI or base64; repeatable.")
@click.option("--prompt", required=True, help="The question about the images.")
@click.option("--response", required=True, help="The correct answer.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    help="A further correct answer, as another person gave it; repeatable. Only scores use it.",
)
@click.option("--rejected", help="A worse answer, stored beside it.")
@TAGS
@click.option("--license", default="", help="SPDX id of the row's licence.")
@click.option("--split", type=SPLITS, help="The side of the split for this row.")
def add(store: Path, **asked: Any) -> None:
    """Add one capture."""
    from kolm.actions import capturing

    _answer_taken("add", store, capturing.add_capture(store, **asked))


def _listed(table: Mapping[str, importers.Importer | exporters.Exporter]) -> str:
    """The formats of a table with what they are, as a command's help shows them."""
    return "\n".join(("\b", "Formats:", *(f"  {name:<14} {table[name].help}" for name in table)))


@command.command("import", epilog=_listed(importers.TABLE))
@click.argument("source", metavar="|".join(("FILE", "FOLDER", "-", *PACKAGES)))
@STORE
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    metavar="FORMAT",
    help="One of those below. Default: by name.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="What image paths are relative to; default: the folder of FILE.",
)
@click.option("--skip-bad", is_flag=True, help="Leave bad rows out and list them.")
@click.option(
    "--refused",
    type=FILE,
    metavar="FILE",
    help="Where --skip-bad lists them; default: refused/NAME.jsonl in the store.",
)
@click.option("--force", is_flag=True, help="Overwrite the file that --refused names.")
@TAGS
@click.option("--license", default="", help="Licence (SPDX id) of rows that state none.")
@click.option("--split", type=SPLITS, help="Side of the split for rows that state none.")
@click.option("--coerce", is_flag=True, help="Take numbers, true and false as answers.")
@click.option(
    "--ignore-key",
    "ignored",
    multiple=True,
    metavar="KEY",
    help="Ignore this key of the rows; repeatable.",
)
@click.option(
    "--rename", "renamed", multiple=True, metavar="KEY=NAME", help="Read KEY as NAME; repeatable."
)
@_format_options
def import_(source: str, store: Path, renamed: tuple[str, ...], **asked: Any) -> None:
    """Import rows from a file, a folder, standard input (-), or an installed package.

    Rows are prompt and response, chat messages, or conversations; text files may be packed with
    gzip. All rows are taken or none; importing the same rows again adds nothing.
    """
    from kolm.actions import capturing

    taken = capturing.import_captures(
        source,
        store=store,
        renamed=dict(map(_renaming, renamed)),
        reporter=output.current().reporter,
        **asked,
    )
    _answer_taken("import", store, taken)


@command.command("export", epilog=_listed(exporters.TABLE))
@click.argument("target", type=FILE, metavar="FILE")
@STORE
@click.option(
    "--format", "form", type=click.Choice(tuple(exporters.TABLE)), help="Default: by name."
)
@TAGS
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def export(target: Path, form: str | None, **asked: Any) -> None:
    """Write captures to FILE, and their images into it or into a folder beside it.

    Importing FILE gives the same captures again.
    """
    from kolm.actions import capturing

    out = output.current()
    form = form or exporters.guess(target)
    done = capturing.export_captures(target, form=form, reporter=out.reporter, **asked)
    document = {
        "captures": done.captures,
        "file": str(done.file),
        "format": form,
        "images": done.images,
        "left_out": done.left_out,
        "images_folder": None if done.folder is None else str(done.folder),
    }
    text = f"{counted(done.captures, 'capture')} in {done.file}"
    if done.images:
        text += f", {counted(done.images, 'image')} in {done.folder or 'it'}"
    out.answer("cli-capture-export", document, text, brief=str(done.file), wrote=target)


@command.command("stats")
@STORE
def stats(store: Path) -> None:
    """Count what the store holds: captures, pairs, images, sides, sources, licences, tags."""
    from kolm.actions import stored_captures

    found = stored_captures.count_captures(store)
    output.current().answer(
        "cli-capture-stats",
        found,
        lambda: _stats_text(output.in_lines(found)),
        brief=str(found["captures"]),
    )


@command.command("snapshot")
@STORE
@click.option(
    "--split",
    "kind",
    type=click.Choice(["official", "hash"]),
    default="official",
    show_default=True,
    help="The rows' own split, or one by hash of the images.",
)
@click.option("--eval", "eval_share", default="0.1", show_default=True, help="For a hash split.")
@click.option(
    "--validation",
    default="0.05",
    show_default=True,
    help="Held out of train, unless the rows name their own.",
)
@click.option(
    "--near-duplicates",
    type=click.Choice(["refuse", "report", "drop", "group"]),
    help="Across sides: refuse, count, leave out of train and validation, or keep on one "
    "side (hash split only). Default: refuse for a hash split, report for an official one.",
)
def snapshot(store: Path, **asked: Any) -> None:
    """Freeze the store's captures under one root, split so that no image is on two sides."""
    from kolm.actions import capturing

    frozen = capturing.take_snapshot(store, reporter=output.current().reporter, **asked)
    taken, target = frozen.snapshot, None if frozen.folder is None else str(frozen.folder)
    document: CaptureSnapshot = {
        "digest": taken.digest,
        "on_no_side": list(taken.on_no_side()),
        "folder": target,
        "snapshot": taken.header,
    }
    brief = target or taken.digest
    output.current().answer(
        "cli-capture-snapshot", document, lambda: _snapshot_text(document), brief=brief
    )


def _renaming(text: str) -> tuple[str, str]:
    key, equals, name = text.partition("=")
    if not (key and equals and name):
        raise click.BadParameter(f"{text!r} is not KEY=NAME", param_hint="--rename")
    return key, name


def _answer_taken(verb: str, store: Path, answer: TakenIn) -> None:
    taken, total, listed = answer
    document = {"store": str(store), "total": total, **taken.to_document()}
    if listed is not None:
        document["refused_file"] = str(listed)
    text = (
        f"{counted(taken.captures, 'capture')} and "
        f"{counted(taken.images, 'image')} added to {store}, "
        f"{taken.known} known already; {total} in all"
    )
    output.current().answer(f"cli-capture-{verb}", document, text, brief=str(taken.captures))


def _stats_text(counts: CaptureStats) -> str:
    pictures = f"{counted(counts['pictures'], 'different picture')}, {counts['image_bytes']} bytes"
    lines = [
        f"captures    {counts['captures']}  ({counts['several_turns']} with several turns)",
        f"images      {counts['images']}  ({pictures})",
    ]
    pairs = counts["pairs"]
    if pairs["captures"]:
        told = f"{pairs['corrected']} with corrections, the better answer longer in "
        told += f"{pairs['longer']}"
        lines.insert(1, f"pairs       {pairs['captures']}  ({told})")
    for name, numbers in (
        ("media types", counts["media_types"]),
        ("splits", counts["splits"]),
        ("sources", counts["sources"]),
        ("licenses", counts["licenses"]),
        ("tags", counts["tags"]),
    ):
        told = "  ".join(f"{key} {value}" for key, value in sorted(numbers.items()))
        lines.append(f"{name:<12}{told or 'none'}")
    return "\n".join(lines)


def _snapshot_text(document: CaptureSnapshot) -> str:
    header = document["snapshot"]
    kept = document["folder"] or document["digest"]
    lines = [f"snapshot   {kept}", f"root       {header['root']}"]
    for side in ("train", "validation", "eval"):
        stated = header["splits"][side]
        lines.append(
            f"{side:<11}{counted(stated['captures'], 'capture')}, "
            f"{counted(stated['images'], 'image')}"
        )
    near, none = header["near_duplicates"], header["splits"]["none"]["captures"]
    images = counted(near["across_splits"], "eval image")
    lines.append(f"near twins {images} with one in train or validation")
    if near["dropped"]:
        lines.append(f"dropped    {counted(near['dropped'], 'capture')} with a near twin in eval")
    if none > near["dropped"]:
        lines.append(
            f"left out   {counted(none - near['dropped'], 'capture')} that would join many groups"
        )
    out = output.in_lines(document["on_no_side"])
    lines += [f"           {name}" for name in out[:SHOWN_NAMES]]
    if len(out) > SHOWN_NAMES:
        lines.append(f"           and {len(out) - SHOWN_NAMES} more")
    return "\n".join(lines)
