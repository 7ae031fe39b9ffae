"""Pulling: what an entry points to is copied, held to its digests, verified, and only then kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kolm import paths
from kolm.errors import Usage
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check
from kolm.registry.entries import SignedEntry
from kolm.registry.fetching import demand_bundle, fetch
from kolm.registry.references import Reference
from kolm.registry.resolve import resolve
from kolm.registry.staging import written
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
    held = fetch(backend, signed)
    demand_bundle(signed, held, check)
    with written(held.view, path.parent) as copy:
        if replace:
            copy.replace(path)
        else:
            try:
                os.link(copy, path)  # unlike a rename, never replaces a file made meanwhile
            except FileExistsError:
                raise _exists(path) from None
        paths.sync_folder(path.parent)
    return Pulled(path=path, signed=signed)


def default_file_name(signed: SignedEntry) -> str:
    """The file name for a pulled bundle, such as ``owner-demo-1.0.0.kolm``."""
    return f"{signed.entry.name.replace('/', '-')}-{signed.version}.kolm"


def _exists(path: Path) -> Usage:
    return Usage(
        "E_PULL_TARGET",
        "the target exists and is not overwritten",
        where=str(path),
        hint="choose another --output, or pass --force",
    )
