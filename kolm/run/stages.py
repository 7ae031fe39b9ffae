"""Run: the stages of a compile and of a sweep, and the key over what each one's result depends on.

A result is found by its key, not by the lock that asked for it: a changed floor, name, price or
`publish` is in no key, so nothing is trained or answered again for it. The reasons are in
docs/adr/0052-seeds-and-stage-keys.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from kolm import canonical, digest, system
from kolm.digest import Digest
from kolm.errors import KolmError
from kolm.format import names
from kolm.format.seeds import training_facts, training_root
from kolm.run import folder as files
from kolm.run.names import FACTS, HOLD, MEASUREMENTS, RESULT, VALIDATED

if TYPE_CHECKING:
    from kolm.records.documents import Lock
    from kolm.run.documents import Result


_SCHEMA = "urn:kolm:result:v2"
_NAME_HEX_DIGITS = 16  # of a stage's folder: 64 bits tell one project's runs apart
# Decided on a finished evaluation; of the pack, the cases themselves are in the key.
_JUDGED_LATER: Final = frozenset({"floors", "cost", "pack"})


class Stage(NamedTuple):
    """A stage: its name, and the files that its result consists of."""

    name: str
    leaves: tuple[str, ...]

    def folder_name(self, key: Digest) -> str:
        """The name of the folder of one result."""
        return f"{self.name}-{digest.hex_of(key)[:_NAME_HEX_DIGITS]}"


TRAIN: Final = Stage(
    "train",
    (names.WEIGHTS, names.CONFIG, names.MODULES, names.EXAMPLES, names.TRACE, FACTS),
)
EVALUATE: Final = Stage("evaluate", (names.PREDICTIONS, MEASUREMENTS))
VALIDATE: Final = Stage("validate", (VALIDATED,))  # of a sweep: the validation side alone
STAGES: Final = {stage.name: stage for stage in (TRAIN, EVALUATE, VALIDATE)}


def train_key(lock: Lock) -> Digest:
    """The key of a training: what the weights rest on, and the class that rounds them."""
    return _key(TRAIN, {**training_facts(lock), "environment": lock["environment"]["class"]})


def evaluate_key(lock: Lock, *, weights: Digest, cases: Digest, stage: Stage = EVALUATE) -> Digest:
    """The key of an evaluation.

    Args:
        lock: says how answers are made and judged; floors and price are applied afterwards.
        weights: digest of the adapter's tensors.
        cases: digest of evalcases.jsonl.
        stage: what is asked: the eval cases beside the controls, or the validation side.
    """
    how = {name: value for name, value in lock["evaluation"].items() if name not in _JUDGED_LATER}
    facts = {
        **training_facts(lock),
        "adapter": weights,
        "cases": cases,
        "environment": lock["environment"]["class"],
        "evaluation": how,
    }
    return _key(stage, facts)


def record(stage: Stage, folder: Path) -> None:
    """Say that a stage's files are whole: its key and the digest of each, written last."""
    document: Result = {
        "schema": _SCHEMA,
        "stage": stage.name,
        "key": _key_of_inputs(stage, folder),
        "files": {name: digest.of_bytes(files.read(folder, name)) for name in stage.leaves},
    }
    files.write_document(folder, RESULT, document)


def is_done(stage: Stage, folder: Path, key: Digest) -> bool:
    """Whether a folder holds the whole result with this key.

    Nothing is taken on the record's word: the key is computed again from the folder's own inputs,
    and every file is hashed again. What does not hold is made again.
    """
    if not (folder / RESULT).is_file():
        return False
    try:
        stated = files.read_document(folder, RESULT)
        here = {name: digest.of_bytes(files.read(folder, name)) for name in stage.leaves}
        found = {
            "schema": _SCHEMA,
            "stage": stage.name,
            "key": _key_of_inputs(stage, folder),
            "files": here,
        }
    except (KolmError, KeyError):  # another kolm's documents may lack what this one's have
        return False
    return found["key"] == key and stated == found


def make_ready(stage: Stage, folder: Path, key: Digest) -> None:
    """Remove what was left in a folder by work on other inputs, so that it is not gone on with."""
    try:
        if _key_of_inputs(stage, folder) == key:
            return
    except (KolmError, KeyError):
        pass  # inputs that are missing, broken or another kolm's: believe nothing beside them
    with system.naming(folder):
        for path in folder.iterdir():
            if path.name == HOLD:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _key_of_inputs(stage: Stage, folder: Path) -> Digest:
    """The key of a folder, from the files that the stage read there."""
    lock = files.read_lock(folder)
    if stage is TRAIN:
        lock["data"]["training"] = _training_root(folder)
        return train_key(lock)
    adapter = files.read_places(folder).adapter or folder
    return evaluate_key(
        lock,
        weights=digest.of_bytes(files.read(adapter, names.WEIGHTS)),
        cases=digest.of_bytes(files.read(folder, names.CASES)),
        stage=stage,
    )


def _training_root(folder: Path) -> Digest:
    data = files.read(folder, names.LINES)
    lines = canonical.read_lines(data, where=names.LINES)
    return training_root((row["split"], line) for _, line, row in lines)


def _key(stage: Stage, facts: Mapping[str, object]) -> Digest:
    return digest.derive(stage.name, digest.of_value(dict(facts)))
