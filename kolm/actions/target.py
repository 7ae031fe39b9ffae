"""The compositions: may a compile write its bundle where it is to go? Asked before the work."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kolm import outputs
from kolm.actions.grounds import default_threads
from kolm.bundle.reader import Bundle
from kolm.errors import Refused, Unreadable, Usage
from kolm.format import names
from kolm.records.spec import Spec
from kolm.spec.diff import diff
from kolm.spec.resolve import Asked, resolve

if TYPE_CHECKING:
    from kolm.records.documents import Lock

_DERIVED = ("environment.class", "seeds.")  # they differ because something else does
_SHOWN_KEYS = 3
_SHOWN_CHARACTERS = 30  # of a value; digests and lists tell nothing


def demand_place(target: Path, due: Callable[[Bundle], Lock], *, force: bool) -> None:
    """Refuse a target that `sealing.seal_bundle` would refuse.

    A bundle of the same lock may stay: what a lock gives has one content.

    Args:
        target: the file that would be written.
        due: the lock of what would be written, asked when a bundle is at `target`.
        force: whatever is there may be replaced.

    Raises:
        Usage: ``E_TARGET_EXISTS``, with the settings that differ where a bundle is there.
    """
    differs = ""
    with contextlib.suppress(Refused, Unreadable):  # no bundle is there: a file like any other
        if not force and target.is_file():
            there = Bundle.open(target)
            differs = ", ".join(_differences(there.document(names.LOCK), due(there)))
            if not differs:
                return
    try:
        outputs.demand_free(target, force=force)
    except Usage as error:
        if differs:
            error.found = f"a bundle compiled otherwise: {differs}"
        raise


def foreseen(spec: Spec, there: Bundle) -> Lock:
    """The lock that a spec gets if captures, base and machine are those of a bundle.

    Takes no time, so that a compile that only other settings tell apart is refused before captures
    and base are read. Settings that do not fit that bundle's data tell nothing: its own lock then.
    """
    lock = there.document(names.LOCK)
    asked = None
    if spec.request is not None and lock["request"] is not None:
        asked = Asked(lock["request"], lock["nonce"])
    try:
        return resolve(
            spec,
            base=lock["base"],
            snapshot=there.document(names.SNAPSHOT),
            training=lock["data"]["training"],
            cases=lock["data"]["cases"],
            environment={
                **lock["environment"],
                "threads": default_threads(spec.train.processes),
            },
            continued=None if spec.train.continues is None else lock["train"]["continues"],
            asked=asked,
        )
    except Refused:
        return lock


def _differences(there: Lock, due: Lock) -> Iterator[str]:
    found = [one for one in diff(there, due) if not one.path.startswith(_DERIVED)]
    for one in found[:_SHOWN_KEYS]:
        values = f"{one.left} there, {one.right} here"
        yield one.path if len(values) > 2 * _SHOWN_CHARACTERS else f"{one.path} ({values})"
    if len(found) > _SHOWN_KEYS:
        yield f"and {len(found) - _SHOWN_KEYS} more"
