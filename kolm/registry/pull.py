"""Pulling: what an entry points to is copied, held to its digests, verified, and only then kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kolm import paths
from kolm.errors import Refused, Usage
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check
from kolm.registry.entries import SignedEntry
from kolm.registry.references import Reference
from kolm.registry.resolve import resolve
from kolm.registry.staging import Staged, errors_name, staged
from kolm.sign.trust import TrustStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A bundle that was pulled, and the entry that it came by."""

    path: Path
    signed: SignedEntry


def pull(
    backend: Backend,
    reference: Reference,
    *,
    trust: TrustStore,
    check: Check,
    target: Path | None = None,
    replace: bool = False,
) -> Pulled:
    """Fetch a bundle, verify it, and write its file whole or not at all.

    Args:
        backend: the registry.
        reference: what is wanted.
        trust: who may say what the name means.
        check: how bundles are verified.
        target: the file to write; by default ``NAME-VERSION.kolm`` in the current folder.
        replace: overwrite an existing file.

    Raises:
        Unreadable: the registry has no such thing, or its signer is unknown.
        Refused: the history, the file or the bundle is wrong.
        Usage: the target exists.
    """
    signed = resolve(backend, reference, trust)
    path = target if target is not None else Path(default_file_name(signed))
    if path.exists() and not replace:
        raise _exists(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = signed.entry.file
    with staged(backend.blob(file.digest), path.parent, size=file.size) as copy:
        demand_entry_holds(signed, copy, check)
        if replace:
            copy.path.replace(path)
        else:
            try:
                os.link(copy.path, path)  # unlike a rename, never replaces a file made meanwhile
            except FileExistsError:
                raise _exists(path) from None
        paths.sync_folder(path.parent)
    return Pulled(path=path, signed=signed)


def default_file_name(signed: SignedEntry) -> str:
    """The file name for a pulled bundle, such as ``owner-demo-1.0.0.kolm``."""
    return f"{signed.entry.name.replace('/', '-')}-{signed.version}.kolm"


def demand_entry_holds(signed: SignedEntry, copy: Staged, check: Check) -> None:
    """Demand that a file is the very file, and the very bundle, that an entry names.

    Raises:
        Refused: other bytes, another bundle, or the bundle does not verify.
        Unreadable: the bundle could not be verified.
    """
    where = f"{signed.entry.name}@{signed.version}"
    if (copy.digest, copy.size) != (signed.entry.file.digest, signed.entry.file.size):
        raise Refused(
            "E_BLOB_DIGEST",
            "the registry hands out other bytes than its entry names",
            where=where,
            expected=f"{signed.entry.file.digest}, {signed.entry.file.size} bytes",
            found=f"{copy.digest}, {copy.size} bytes",
        )
    with errors_name(copy, where):
        bundle = check(copy.path)
    if bundle != signed.entry.bundle:
        raise Refused(
            "E_ENTRY_BUNDLE",
            "the file carries another bundle than its entry names",
            where=where,
            expected=signed.entry.bundle,
            found=bundle,
        )


def _exists(path: Path) -> Usage:
    return Usage(
        "E_PULL_TARGET",
        "the target exists and is not overwritten",
        where=str(path),
        hint="choose another --output, or pass --force",
    )
