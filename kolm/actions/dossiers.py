"""The compositions: a bundle that verifies, as the documents that regulators and buyers ask for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from kolm import outputs
from kolm.actions.earlier import audit_of
from kolm.actions.verification import Looking
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.dossier.documents import write_all
from kolm.dossier.table import gather
from kolm.registry.check import demand_passed
from kolm.report.facts import Facts

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
    bundle: str | Path, *, audit: str | Path | None = None, **looking: Unpack[Looking]
) -> MadeDossier:
    """Verify a bundle, and make its documents. The same audit gives the same bytes.

    Args:
        bundle: the file; it is read once, and what is audited is what is described.
        audit: what ``kolm verify --json`` printed about this file, in place of a new audit.
        looking: as in `verify`: what was looked at is recomputed.

    Raises:
        KolmError: as `audit_of`.
        Refused: ``E_BUNDLE_NOT_VERIFIED``.
        Unreadable: ``E_BUNDLE_NOT_CHECKED``, ``E_DOSSIER_NO_TIME``, or it is no bundle.
    """
    container = open_container(Path(bundle))
    audited = audit_of(container, audit, looking)
    demand_passed(audited)
    return MadeDossier(gather(Facts(Bundle.of(container), audited, lambda _: None)))
