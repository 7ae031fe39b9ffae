"""Pulling: what an entry points to is copied, held to its digests, verified, and only then kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kolm import outputs
from kolm.bundle import writer
from kolm.bundle.reader import Bundle
from kolm.bundle.streams import container_of, write_out
from kolm.events import Reporter
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check
from kolm.registry.entries import SignedEntry
from kolm.registry.fetching import demand_bundle, fetch
from kolm.registry.references import Reference
from kolm.registry.resolve import resolve
from kolm.registry.seen import Seen
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
    seen: Seen | None = None,
    reporter: Reporter | None = None,
) -> Pulled:
    """Fetch a bundle, verify it, and write its file whole or not at all.

    A bundle of the same content that is at the target keeps its claims, beside those that came.

    Args:
        backend: the registry.
        reference: what is wanted.
        trust: who may say what the name means.
        check: how bundles are verified.
        target: the file to write; by default ``NAME-VERSION.kolm`` in the current folder.
        replace: replace whatever is at the target.
        seen: what this reader has seen in the registry before.
        reporter: hears what is wrong with the name but changes no answer.

    Raises:
        Unreadable: the registry has no such thing, or its signer is unknown.
        Refused: the history, the file or the bundle is wrong.
        Usage: ``E_TARGET_EXISTS``: another file is at the target.
    """
    signed = resolve(backend, reference, trust, seen=seen, reporter=reporter)
    path = target if target is not None else Path(default_file_name(signed))
    writer.demand_place(path, signed.entry["bundle"], force=replace)
    held = fetch(backend, signed)
    demand_bundle(signed, held, check)
    if not replace and writer.claims_at(path, signed.entry["bundle"]) is not None:
        writer.write_with_claims(path, Bundle.of(container_of(held)), ())
    else:
        with outputs.writing(path, force=replace) as stream:
            write_out(stream, held.view)
    return Pulled(path=path, signed=signed)


def default_file_name(signed: SignedEntry) -> str:
    """The file name for a pulled bundle, such as ``owner-demo-1.0.0.kolm``."""
    return f"{signed.entry['name'].replace('/', '-')}-{signed.version}.kolm"
