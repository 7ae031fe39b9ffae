"""The compositions: publish to a registry, pull from it, look through it, and check all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kolm import paths
from kolm.actions.signing import (
    AskPassphrase,
    Trust,
    choose_key,
    passphrase_from_environment,
    trust_of,
)
from kolm.bundle.documents import Documents
from kolm.bundle.held import Held
from kolm.bundle.streams import container_of
from kolm.errors import Denied, Lacking, Unreadable, Usage
from kolm.events import Reporter, Silent
from kolm.format.names import LOCK
from kolm.registry import audit as audits
from kolm.registry import pull as pulling
from kolm.registry.backends import kind_of, open_registry
from kolm.registry.catalog import browse, describe, listing_to_document, summarise
from kolm.registry.check import ALLOW_BELOW_GATE, Check, Passed, verified
from kolm.registry.publish import Published, Publisher
from kolm.registry.references import parse_name, parse_reference, parse_target
from kolm.registry.resolve import resolve
from kolm.registry.seen import Seen
from kolm.sign.trust import TrustStore
from kolm.verify.policy import Demands, policy_of

if TYPE_CHECKING:
    from kolm.records.answers import RegistryListListing
    from kolm.registry.backends.backend import Backend
    from kolm.registry.catalog import Shown


class Made(NamedTuple):
    """A new registry, and whether another one was seen at its place before."""

    where: str
    forgot: bool


def create_registry(folder: str | Path) -> Made:
    """Make an empty registry in a new or empty folder; what was seen there before is forgotten.

    Raises:
        Usage: something is in the folder.
    """
    backend = kind_of(folder).create(folder)
    return Made(backend.where, Seen.of(paths.config_folder(), backend).forget())


def publish(
    bundle: str | Path,
    target: str,
    *,
    registry: str | Path,
    key: str | None = None,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    states: str | Path | None = None,
    ask_passphrase: AskPassphrase = passphrase_from_environment,
    reporter: Reporter | None = None,
) -> Published:
    """Verify a bundle and publish it.

    Args:
        bundle: the file.
        target: ``NAME@VERSION``.
        registry: its folder.
        key: name of the signing key.
        trust: whose keys are believed: a store or its file; without one this user's own.
        policy: what the bundle must pass; without one the built-in policy.
        allow_below_gate: publish it too when it misses what the policy demands of its scores.
        states: folder with the states of its training, which are then kept beside it.
        ask_passphrase: called with the name of an encrypted key.
        reporter: hears warnings.

    Raises:
        KolmError: it does not pass, the version is taken, or the registry is not as it was seen.
    """
    told = reporter or Silent()
    name, version = parse_target(target)
    backend = open_registry(registry)
    signer = choose_key(key, ask_passphrase)
    believed = trust_of(trust)
    check = _check(believed, policy, told, allow_below_gate=allow_below_gate)
    with _seen(backend, told) as seen:
        publisher = Publisher(key=signer, trust=believed, check=check, seen=seen)
        return publisher.publish(backend, Path(bundle), name, version, beside=_beside(states))


def _beside(place: str | Path | None) -> Callable[[Held, Passed], Iterable[Held]]:
    """What is kept beside a bundle: the states of its training, all of them or none.

    Raises:
        Usage: ``E_PUBLISH_STATES``, the bundle says that they are here, and they were not given.
    """

    def states(held: Held, passed: Passed) -> Iterator[Held]:
        if place is not None:
            from kolm.actions.states import all_states  # few bundles have any

            yield from all_states(Documents.of(container_of(held)), Path(place))
        elif passed.states:
            raise Usage(
                "E_PUBLISH_STATES",
                "the bundle says that the registry keeps the states of its training",
                where=f"{LOCK}#/publish/checkpoints",
                hint="add --states FOLDER, the folder checkpoints of the training",
            )

    return states


def pull(
    reference: str,
    *,
    registry: str | Path,
    output: Path | None = None,
    force: bool = False,
    trust: Trust = None,
    policy: Demands = None,
    allow_below_gate: bool = False,
    reporter: Reporter | None = None,
) -> pulling.Pulled:
    """Fetch a bundle, verify it, and write its file.

    Args:
        reference: ``NAME``, ``NAME@VERSION`` or a CID; a bare name means its highest release.
        output: the file to write; ``NAME-VERSION.kolm`` in the current folder without it.
        force: replace an existing file.
        registry, trust, policy, allow_below_gate, reporter: as of `publish`.

    Raises:
        KolmError: nothing has this reference, it does not pass, or the file cannot be written.
    """
    told = reporter or Silent()
    believed, backend = trust_of(trust), open_registry(registry)
    with _seen(backend, told) as seen:
        return pulling.pull(
            backend,
            parse_reference(reference),
            trust=believed,
            check=_check(believed, policy, told, allow_below_gate=allow_below_gate),
            target=output,
            replace=force,
            seen=seen,
            reporter=told,
        )


def list_registry(
    registry: str | Path,
    *,
    name: str | None = None,
    words: Sequence[str] = (),
    trust: Trust = None,
    reporter: Reporter | None = None,
) -> list[RegistryListListing]:
    """The names of a registry, or one of them with all its versions.

    What a bundle says is read for the versions that are shown: the highest of each name, or all.

    Raises:
        Unreadable: ``E_REFERENCE_UNKNOWN``, the name is not there.
    """
    wanted = None if name is None else parse_name(name)
    backend, believed = open_registry(registry), trust_of(trust)
    with _seen(backend, reporter or Silent()) as seen:
        found = browse(backend, believed, words=tuple(words), seen=seen)
    listed = []
    for listing in found:
        if wanted not in (None, listing.name):
            continue
        document = listing_to_document(listing)
        shown = listing.versions if wanted else listing.versions[:1]
        for signed, entry in zip(shown, document["versions"], strict=False):
            if signed.counts:
                entry["summary"] = summarise(backend, signed, believed)
        listed.append(document)
    if wanted is not None and not listed:
        raise Unreadable(
            "E_REFERENCE_UNKNOWN",
            "the registry has no bundle of this name, version or id",
            where=str(registry),
            found=wanted,
            hint=f"kolm registry list --registry {registry}",
        )
    return listed


def show(
    reference: str,
    *,
    registry: str | Path,
    trust: Trust = None,
    reporter: Reporter | None = None,
) -> Shown:
    """What a published bundle says: its entry, receipt, evaluation and K-scores. Runs nothing.

    Raises:
        KolmError: nothing has this reference, or what it names cannot be read.
    """
    told = reporter or Silent()
    backend, believed = open_registry(registry), trust_of(trust)
    with _seen(backend, told) as seen:
        signed = resolve(backend, parse_reference(reference), believed, seen=seen, reporter=told)
    return describe(backend, signed, believed)


def verify_registry(
    registry: str | Path,
    *,
    trust: Trust = None,
    policy: Demands = None,
    reporter: Reporter | None = None,
) -> audits.Audit:
    """Check every history, signature, file and bundle of a registry again."""
    told = reporter or Silent()
    believed, backend = trust_of(trust), open_registry(registry)
    with _seen(backend, told) as seen:
        return audits.audit(
            backend,
            trust=believed,
            check=_check(believed, policy, told),
            seen=seen,
            reporter=told,
        )


def _check(
    trust: TrustStore, policy: Demands, told: Reporter, *, allow_below_gate: bool | None = None
) -> Check:
    """The check of an action; `allow_below_gate` is None where nobody could ask for that."""
    return verified(
        trust=trust,
        now=datetime.now(UTC),  # noqa: TID251 - actions read the clock
        policy=policy_of(policy),
        below_gate=told.warned if allow_below_gate else None,
        way_out="" if allow_below_gate is None else ALLOW_BELOW_GATE,
    )


@contextlib.contextmanager
def _seen(backend: Backend, told: Reporter) -> Iterator[Seen]:
    """What this user has seen in a registry; what is seen meanwhile is kept, refused or not."""
    seen = Seen.of(paths.config_folder(), backend)
    try:
        yield seen
    finally:
        try:
            seen.save()
        except (Denied, Lacking) as error:
            lost = (
                "what was seen in this registry cannot be saved, so a rollback would go unnoticed"
            )
            told.warned(f"{lost}: {error}")
