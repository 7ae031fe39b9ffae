"""The compositions: a file of rows to fill in, from a folder of pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kolm import outputs, system
from kolm.capture import template
from kolm.errors import Usage
from kolm.records.sides import Split

NAME = "annotate.jsonl"


class Written(NamedTuple):
    """What was written.

    Attributes:
        file: of the rows.
        rows: how many.
        pictures: that they show.
        left_out: pictures of formats that are not taken.
        images: the folder that an import has to be told; None where it is the file's own.
    """

    file: Path
    rows: int
    pictures: int
    left_out: int
    images: Path | None


def write_template(
    folder: str | Path,
    *,
    prompts: Sequence[str],
    output: str | Path | None = None,
    answer: str = template.ANSWER,
    rejected: bool = False,
    in_turn: bool = False,
    tags: Sequence[str] = (),
    license: str = "",  # noqa: A002 - the row's word
    split: Split | None = None,
    force: bool = False,
) -> Written:
    """Write rows about the pictures of a folder for a person to fill in.

    Args:
        folder: of the pictures; folders in it count.
        prompts: what is asked about each picture.
        output: the file, JSON Lines or CSV by its name; `NAME` in the folder without it.
        answer: what the person is asked to write.
        rejected: ask for a worse answer too.
        in_turn: one prompt a picture, in turn, instead of all.
        tags, license, split: that every row states.
        force: replace another file.

    Raises:
        Usage: another file is there, or no prompt is given.
        Refused: the folder holds no picture.
        KolmError: what the operating system says.
    """
    place = Path(folder)
    system.demand_there(place)
    target = place / NAME if output is None else Path(output)
    if not prompts or not all(prompt.strip() for prompt in prompts):
        raise Usage("E_TEMPLATE_TEXT", "a prompt is missing or empty", hint="--prompt TEXT")
    outputs.demand_free(target, force=force)
    shown = template.pictures(place)
    lead, images = _from(target, place)
    as_table = target.suffix.lower() == ".csv"
    if as_table and any("," in tag for tag in tags):
        raise Usage("E_TEMPLATE_TEXT", "a tag of a table has no comma", found=", ".join(tags)[:80])
    stated = {"license": license, "split": split, "tags": list(tags)}
    given = template.rows(
        [f"{lead}{name}" for name in shown.names],
        prompts,
        in_turn=in_turn,
        answer=answer,
        rejected=rejected,
        stated={key: value for key, value in stated.items() if value},
    )
    with outputs.writing(target, force=force) as stream:
        for piece in template.FORMATS["csv" if as_table else "jsonl"](given):
            stream.write(piece)
    return Written(
        file=target,
        rows=len(shown.names) * (1 if in_turn else len(prompts)),
        pictures=len(shown.names),
        left_out=shown.left_out,
        images=images,
    )


def _from(target: Path, folder: Path) -> tuple[str, Path | None]:
    """What a picture's name is led by in the file, and the folder that an import has to be told."""
    with system.naming(target):
        own, pictures = (Path(os.path.realpath(path)) for path in (target.parent, folder))
    if not pictures.is_relative_to(own):
        return "", folder
    lead = pictures.relative_to(own).as_posix()
    return ("" if lead == "." else f"{lead}/"), None
