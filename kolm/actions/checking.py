"""The compositions: does a spec fit its data and this machine? Trains nothing, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from kolm.actions import learning, prechecks
from kolm.actions.ahead import Ahead
from kolm.actions.disk import look_at_disk
from kolm.actions.findings import Found, failed, ok, warning
from kolm.actions.measuring import measure
from kolm.actions.preparing import gather, settle
from kolm.actions.project import SpecSource, base_name, project_of
from kolm.errors import KolmError
from kolm.events import Reporter, Silent
from kolm.methods import method_of
from kolm.methods.prompt import demand_rows
from kolm.models.shapes import Sizes, sizes_of
from kolm.spec.load import load_spec
from kolm.spec.resolve import MANY_EXAMPLES, advice_on, train_block

if TYPE_CHECKING:
    from kolm.records.answers import CheckFinding
    from kolm.records.documents import LockTrain


def check(
    spec: SpecSource, *, key: str | None = None, reporter: Reporter | None = None
) -> list[CheckFinding]:
    """Check a spec against its captures, its base and this machine.

    Args:
        spec: path of the YAML file, or the same content as a dict.
        key: the one that will sign, by its name; without it the only one or ``default``.
        reporter: hears progress.

    Returns:
        Findings: ``name``, ``verdict`` (ok, warning, failed) and ``message``, for a failure the
        fields of its error and their ``family``, and for a warning what it is about (``found``).
    """
    return [found.to_document() for found in _findings(spec, key, reporter or Silent())]


def check_spec(spec: SpecSource) -> list[CheckFinding]:
    """Check a spec against what is known of its base, without weights and without captures.

    Returns:
        Findings, as `check` gives them.
    """
    wanted = load_spec(spec)
    try:
        sizes = sizes_of(base_name(wanted, project_of(spec, None)))
        examples, family = MANY_EXAMPLES, sizes.family.model_type
        advice = advice_on(wanted.train, sizes.base, family)
        block = train_block(
            wanted.train, advice, wanted.evaluation, examples=examples, family_name=family
        )
        train = cast("LockTrain", block)
        if method_of(train["method"]).front:
            demand_rows(sizes.family, sizes.config)
        found = [_sizes(sizes), ok("settings", _told(train, sizes))]
        if sizes.parameters is not None:
            found += prechecks.parameters(train, sizes.family, sizes.parameters, sizes.config)
        found += list(learning.far_rates(train, sizes.base, family))
    except KolmError as error:
        found = [failed("spec", error)]
    return [one.to_document() for one in found]


def _sizes(sizes: Sizes) -> Found:
    if sizes.place is None:
        return warning("base", f"{sizes.base} is not here; its sizes are known to kolm")
    return ok("base", f"{sizes.base} is here")


def _told(train: LockTrain, sizes: Sizes) -> str:
    method = method_of(train["method"])
    kinds = "1 kind" if len(method.targets) == 1 else f"{len(method.targets)} kinds"
    quantised = "" if train["quantisation"] is None else ", the base in 4 bits"
    return (
        f"{method.card()} on {kinds} of layers of {sizes.family.model_type}"
        f"{quantised}, projector {train['projector']}"
    )


def _findings(spec: SpecSource, named: str | None, told: Reporter) -> list[Found]:
    key = list(_guarded("key", partial(prechecks.look_at_key, named)))
    disk = partial(look_at_disk, project_of(spec, None).folder)
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
