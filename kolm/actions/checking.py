"""The compositions: does a spec fit its data and this machine? Trains nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from kolm.actions import prechecks
from kolm.actions.ahead import Ahead
from kolm.actions.findings import Found, failed
from kolm.actions.preparing import SpecSource, find_base, prepare, project_of
from kolm.errors import KolmError
from kolm.events import Reporter, Silent
from kolm.models import folder as folders
from kolm.spec.load import load_spec


def check(spec: SpecSource, *, reporter: Reporter | None = None) -> list[dict[str, Any]]:
    """Check a spec against its captures, its base and this machine.

    Returns:
        Findings: ``name``, ``verdict`` (ok, warning, failed) and ``message``, for a failure the
        fields of its error and their ``family``, and for a warning what it is about (``found``).
    """
    return [found.to_document() for found in _findings(spec, reporter or Silent())]


def _findings(spec: SpecSource, told: Reporter) -> list[Found]:
    key = list(_guarded("key", prechecks.look_at_key))
    try:
        prepared = prepare(spec, rows=None, project=None, reporter=told)
    except KolmError as error:
        return [*_without_lock(spec, error), *key]
    ahead = Ahead(
        prepared=prepared,
        target=prepared.project.folder / f"{prepared.spec.name}.kolm",
        force=False,
        allow_below_gate=False,
        reporter=told,
    )
    return [*prechecks.look(ahead), *key]


def _without_lock(spec: SpecSource, error: KolmError) -> Iterator[Found]:
    """What can still be told when there is no lock: why, and all about base and disk."""
    place = project_of(spec, None)
    base = list(_guarded("base", partial(_base, spec)))
    codes = {finding.error.code for finding in base if finding.error is not None}
    if error.code not in (*codes, "E_COMPILE_PRECHECKS"):  # which is those of the base together
        yield failed("data", error)
    yield from base
    yield from _guarded("disk", partial(prechecks.look_at_disk, place.folder))


def _base(spec: SpecSource) -> Iterator[Found]:
    base = find_base(load_spec(spec), project_of(spec, None))
    for error in folders.findings(base):
        yield failed("base", error)


def _guarded(name: str, look: Callable[[], Iterator[Found]]) -> Iterator[Found]:
    try:
        yield from look()
    except KolmError as error:
        yield failed(name, error)
