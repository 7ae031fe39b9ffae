"""Evaluate: a finished run of one control, kept so that a killed evaluation goes on after it.

A partial file is trusted only with its own digest and for the key of the evaluation that it was
made in; anything else is made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kolm import canonical, digest, paths
from kolm.digest import Digest
from kolm.encode.answers import Answer
from kolm.run.names import ANSWERS

Answers = dict[str, Answer]


def partial_path(folder: Path, run: str) -> Path:
    """Where the answers of a finished run are kept."""
    return folder / ANSWERS / f"{run}.jsonl"


def save_partial(folder: Path, run: str, identity: Digest, answers: Mapping[str, Answer]) -> None:
    """Keep the answers of a finished run."""
    rows = [{"case": case, **asdict(answers[case])} for case in sorted(answers)]
    body = canonical.dump_lines(rows)
    head = {"answers": digest.of_bytes(body), "identity": identity, "run": run}
    paths.atomic_write(partial_path(folder, run), canonical.dump_lines([head]) + body)


def load_partial(folder: Path, run: str, identity: Digest) -> Answers | None:
    """The answers of a finished run, or None when there are none that can be used."""
    path = partial_path(folder, run)
    if not path.is_file():
        return None
    head, newline, body = path.read_bytes().partition(b"\n")
    expected = {"answers": digest.of_bytes(body), "identity": identity, "run": run}
    if not newline or head != canonical.dumps(expected):
        return None
    rows = canonical.read_lines(body, where=path.name)
    return {row["case"]: _answer(row) for _, _, row in rows}


def _answer(row: Mapping[str, Any]) -> Answer:
    return Answer(output=row["output"], tokens=row["tokens"], finish=row["finish"])
