"""The compositions: a bundle that verifies, as the documents that regulators and buyers ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kolm import outputs
from kolm.actions.signing import Trust
from kolm.actions.verification import verify
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.dossier.documents import write_all
from kolm.dossier.table import gather
from kolm.events import Reporter
from kolm.registry.check import demand_passed
from kolm.report.facts import Facts
from kolm.verify.policy import Demands

if TYPE_CHECKING:
    from kolm.dossier.fields import Dossier


class MadeDossier:
    """The documents of one bundle.

    Attributes:
        fields: what is stated, how it is known, and what is not stated.
        files: the documents by name.
    """

    def __init__(self, fields: Dossier) -> None:
        self.fields = fields
        self.files: Mapping[str, bytes] = write_all(fields)

    def write(self, folder: str | Path, *, force: bool = False) -> None:
        """Write every document; where one may not be written, none is.

        Raises:
            Usage: ``E_TARGET_EXISTS``: another file has the name of one, and `force` is off.
        """
        places = {Path(folder) / name: data for name, data in self.files.items()}
        for place, data in places.items():
            if not (place.is_file() and place.read_bytes() == data):
                outputs.demand_free(place, force=force)
        for place, data in places.items():
            outputs.write(place, data, force=force)


def dossier(
    bundle: str | Path,
    *,
    policy: Demands = None,
    trust: Trust = None,
    base: str | Path | None = None,
    captures: str | Path | None = None,
    replay: int | Literal["all"] | None = None,
    states: Sequence[str | Path] = (),
    reporter: Reporter | None = None,
) -> MadeDossier:
    """Verify a bundle, and make its documents. The same audit gives the same bytes.

    Args:
        bundle: the file; it is read once, and what is audited is what is described.
        policy: what is demanded: a policy or its file; without one the built-in policy.
        trust: whose keys are believed: a store or its file; without one this user's own.
        base, captures, replay, states: as in `verify`: what was looked at is recomputed.
        reporter: hears of the child's progress.

    Raises:
        Refused: ``E_BUNDLE_NOT_VERIFIED``.
        Unreadable: ``E_BUNDLE_NOT_CHECKED``, ``E_DOSSIER_NO_TIME``, or it is no bundle.
    """
    container = open_container(Path(bundle))
    audit = verify(
        container,
        policy=policy,
        trust=trust,
        base=base,
        captures=captures,
        replay=replay,
        states=states,
        reporter=reporter,
    )
    demand_passed(audit)
    return MadeDossier(gather(Facts(Bundle.of(container), audit, lambda _: None)))
