"""The compositions: does a spec fit its data and this machine? Trains nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from kolm.actions import prechecks
from kolm.actions.ahead import Ahead
from kolm.actions.findings import Found, failed
from kolm.actions.measuring import measure
from kolm.actions.preparing import SpecSource, gather, project_of, settle
from kolm.errors import KolmError
from kolm.events import Reporter, Silent

if TYPE_CHECKING:
    from kolm.records.answers import CheckFinding


def check(spec: SpecSource, *, reporter: Reporter | None = None) -> list[CheckFinding]:
    """Check a spec against its captures, its base and this machine.

    Returns:
        Findings: ``name``, ``verdict`` (ok, warning, failed) and ``message``, for a failure the
        fields of its error and their ``family``, and for a warning what it is about (``found``).
    """
    return [found.to_document() for found in _findings(spec, reporter or Silent())]


def _findings(spec: SpecSource, told: Reporter) -> list[Found]:
    key = list(_guarded("key", prechecks.look_at_key))
    disk = partial(prechecks.look_at_disk, project_of(spec, None).folder)
    try:
        parts = gather(spec, rows=None, project=None, reporter=told)
        if parts.problems:
            wrong = [failed(name, error) for name, error in parts.problems]
            return [*wrong, *_guarded("disk", disk), *key]
        prepared = settle(spec, parts, measure, told)
    except KolmError as error:
        return [failed("spec", error), *_guarded("disk", disk), *key]
    ahead = Ahead(
        prepared=prepared,
        target=prepared.project.folder / f"{prepared.spec.name}.kolm",
        force=False,
        allow_below_gate=False,
        reporter=told,
    )
    return [*prechecks.look(ahead), *key]


def _guarded(name: str, look: Callable[[], Iterator[Found]]) -> Iterator[Found]:
    try:
        yield from look()
    except KolmError as error:
        yield failed(name, error)
