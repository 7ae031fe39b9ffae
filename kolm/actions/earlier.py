"""The compositions: an audit of a file, made now, or made before and kept as `verify --json`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from kolm import canonical, digest, schema, system
from kolm.actions.verification import Looking, verify
from kolm.bundle.layout import INDEX_NAME
from kolm.errors import Refused, Usage, broken_file
from kolm.records import codec, kinds
from kolm.records.verification import Verdict, Verification
from kolm.sign import own_files
from kolm.version import VERSION

if TYPE_CHECKING:
    from kolm.bundle.container import Container

# What says where to look once more, and demands nothing that an audit answers.
_AIDS: Final = frozenset({"reporter", "captures"})


def audit_of(container: Container, before: str | Path | None, looking: Looking) -> Verification:
    """Audit an open bundle, or take the audit that was made of this very file before.

    The file is held to what was audited: to its index, from which every byte of it follows by
    digests that opening it as a bundle compares. Whether the audit was made is known to whoever
    kept it: no one has signed the file.

    Args:
        container: of the bundle.
        before: what ``kolm verify --json`` printed; None audits now.
        looking: as in `verify`; with `before` only reporter and captures.

    Raises:
        Usage: ``E_AUDIT_TWICE``: both an audit and what a new one should look at were given.
        Unreadable: ``E_AUDIT_BROKEN``: the file holds no audit.
        Refused: ``E_AUDIT_ANOTHER``: of another file, or by another version of kolm.
    """
    if before is None:
        return verify(container, **looking)
    given = sorted(name for name, value in looking.items() if value and name not in _AIDS)
    if given:
        raise Usage(
            "E_AUDIT_TWICE",
            "an audit that was made before is taken as it is",
            where="--audit",
            found=", ".join(f"--{name}" for name in given),
            hint="give these to kolm verify --json, and its answer here; or leave --audit out",
        )
    audit = _read(Path(before))
    index = container.file(INDEX_NAME)
    file = None if index is None else digest.of_bytes(index)
    stated = audit.bundle.digest
    content = None if stated is None else digest.of_bytes(container.subject)
    for message, value, found in (
        (
            "the audit is of another file: a bundle's claims are part of what is audited",
            file,
            audit.bundle.index_digest,
        ),
        ("the audit names another bundle than the file that it is of", content, stated),
        ("the audit was made by another version of kolm", VERSION, audit.kolm),
    ):
        if found != value:
            raise Refused(
                "E_AUDIT_ANOTHER",
                message,
                where=str(before),
                expected=str(value),
                found=str(found),
                hint=f"kolm verify {container.path} --json   audits it again",
            )
    return audit


def _read(path: Path) -> Verification:
    try:
        data = own_files.read(path, max_bytes=canonical.MAX_DOCUMENT_BYTES, named=True)
    except FileNotFoundError as error:
        raise system.error_of(error, where=path) from None
    try:
        value = canonical.loads(data, where=path.name)
        checked = schema.check(kinds.VERIFICATION, value, where=path.name)
        audit = codec.from_document(Verification, checked)
        _demand_consistency(audit, path.name)
    except Refused as error:
        hint = "kolm verify BUNDLE --json > FILE   writes one"
        raise broken_file(error, "E_AUDIT_BROKEN", "an audit", hint=hint) from None
    return audit


def _demand_consistency(audit: Verification, where: str) -> None:
    """Each check has one answer, and the overall one follows from them, as `verify` gives it."""
    verdicts = {check.verdict for check in audit.checks}
    due = next((v for v in (Verdict.FAILED, Verdict.COULD_NOT_LOOK) if v in verdicts), Verdict.OK)
    said = audit.conclusions.overall.verdict
    if said is not due or len({check.id for check in audit.checks}) < len(audit.checks):
        raise Refused(
            "E_AUDIT_BROKEN",
            "its overall answer does not follow from its checks, each of which stands once",
            where=where,
            expected=due.value,
            found=said.value,
        )
