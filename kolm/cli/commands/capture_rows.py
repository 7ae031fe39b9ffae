"""``kolm capture list|show|remove|verify``: single captures of a store, by name or id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kolm.cli import output
from kolm.cli.options import STORE
from kolm.counting import counted

if TYPE_CHECKING:
    from kolm.records.answers import CaptureListCapture, CaptureShow

SHOWN_ROWS = 50  # of a list, unless more are asked for
SHOWN_TEXT = 60  # characters of a prompt or an answer in a list


@click.command("list")
@STORE
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only with all of these tags.")
@click.option("--limit", type=click.IntRange(0), default=SHOWN_ROWS, show_default=True,
              help="Lines to show; 0: all. JSON has all.")  # fmt: skip
def list_(store: Path, tags: tuple[str, ...], limit: int) -> None:
    """List captures: id, file and row, side, prompt and answer, and the rejected one."""
    from kolm.actions import stored_captures

    rows = stored_captures.list_captures(store, tags=tags)
    output.current().answer(
        "cli-capture-list",
        {"store": str(store), "captures": rows},
        lambda: _list_text(output.in_lines(rows), limit),
        brief="\n".join(row["id"] for row in rows),
    )


@click.command("show")
@click.argument("capture", metavar="CAPTURE")
@STORE
def show(capture: str, store: Path) -> None:
    """Show one capture in full.

    CAPTURE is its file and row as kolm capture list shows it (pairs.jsonl:7), its id, or the first
    digits of the id.
    """
    from kolm.actions import stored_captures

    found = stored_captures.show_capture(capture, store=store)
    output.current().answer(
        "cli-capture-show", found, lambda: _show_text(output.in_lines(found)), brief=found["id"]
    )


@click.command("remove")
@click.argument("captures", metavar="CAPTURE...", nargs=-1, required=True)
@STORE
def remove(captures: tuple[str, ...], store: Path) -> None:
    """Remove captures, and images that no other capture shows.

    CAPTURE is a file and row, an id, or the first digits of an id, as for kolm capture show. All
    are removed, or none. Snapshots that were kept stay as they are.
    """
    from kolm.actions import stored_captures

    removed = stored_captures.remove_captures(captures, store=store)
    text = (
        f"{counted(removed['captures'], 'capture')} and "
        f"{counted(removed['images'], 'image')} removed from {store}; "
        f"{counted(removed['total'], 'capture')} in the store now"
    )
    output.current().answer("cli-capture-remove", removed, text, brief=str(removed["captures"]))


@click.command("verify")
@STORE
def verify(store: Path) -> None:
    """Read everything again: captures hash to their ids, image files to their names."""
    from kolm.actions import stored_captures

    found = stored_captures.verify_captures(store)
    captures, files = found["captures"], found["image_files"]
    text = f"{counted(captures, 'capture')} and {counted(files, 'image file')} are intact"
    output.current().answer("cli-capture-verify", found, text, brief=str(captures))


COMMANDS = (list_, show, remove, verify)


def _list_text(rows: list[CaptureListCapture], limit: int) -> str:
    shown = rows[: limit or None]
    called = [row["name"] or "no name" for row in shown]
    width = max(map(len, called), default=0)
    lines = [
        f"{row['id'].removeprefix('sha256:')[:12]}  {name:<{width}}  {row['split'] or '-':<10}  "
        f"{_short(row['prompt'])} -> {_short(row['response'])}"
        + (f" (not {_short(row['rejected'])})" if row["rejected"] is not None else "")
        for row, name in zip(shown, called, strict=True)
    ]
    if len(rows) > len(shown):
        lines.append(f"and {len(rows) - len(shown)} more (--limit 0 shows all)")
    return "\n".join(lines or ["no captures"])


def _show_text(document: CaptureShow) -> str:
    content = document["capture"]
    lines = [
        f"id         {document['id']}",
        f"from       {document['name'] or 'not known'}",
        f"split      {content['split'] or 'none stated'}",
        f"source     {content['source']['kind']}: {content['source']['name']}",
        f"license    {content['license'] or 'not stated'}",
        f"tags       {', '.join(content['tags']) or 'none'}",
    ]
    pictures = zip(content["images"], document["image_files"], strict=True)
    for number, (image, file) in enumerate(pictures):
        lines.append(f"image {number:<4} {image['width']} x {image['height']}, {file}")
    for message in content["messages"]:
        parts = (
            part["text"] if part["type"] == "text" else f"[image {part['image']}]"
            for part in message["content"]
        )
        lines.append(f"{message['role']:<10} {' '.join(parts)}")
    lines += [f"reference  {text}" for text in content.get("references", ())]
    if "rejected" in content:
        lines.append(f"rejected   {content['rejected']}")
    for edit in content.get("corrections", ()):
        place = f"{edit['start']} to {edit['end']}"
        lines.append(f"corrected  {place}: {edit['replacement'] or '(left out)'}")
    return "\n".join(lines)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_TEXT else text[: SHOWN_TEXT - 1] + "…"
