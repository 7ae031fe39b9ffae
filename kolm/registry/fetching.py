"""The file of an entry, out of a registry: held to the entry before anything is read of it."""

from __future__ import annotations

from kolm.bundle.held import Held
from kolm.bundle.streams import hold_stream, other_bytes
from kolm.errors import Refused
from kolm.registry.backends.backend import Backend
from kolm.registry.check import Check, Passed
from kolm.registry.entries import SignedEntry
from kolm.registry.staging import errors_name


def fetch(backend: Backend, signed: SignedEntry) -> Held:
    """The very file that an entry names, as a private copy.

    No more is read than the size that the entry states: whoever can write a registry's folder can
    make a file of any size at no cost.

    Raises:
        Unreadable: the registry does not hold it, or it cannot be read.
        Refused: other bytes than the entry names.
    """
    file = signed.entry["file"]
    with backend.blob(file["digest"]) as stream:
        held = hold_stream(stream, size=file["size"], where=signed.label)
    if held.digest != file["digest"]:
        raise other_bytes(signed.label, file["digest"], held.digest)
    return held


def demand_bundle(signed: SignedEntry, held: Held, check: Check) -> Passed:
    """Demand that a file verifies, and is the bundle with the claims that its entry names.

    Returns:
        What the file carries.

    Raises:
        Refused: another bundle, other claims, or the bundle is not accepted.
        Unreadable: the bundle is undecided.
    """
    with errors_name(held, signed.label):
        passed = check(held)
    bundle, carried = passed.bundle, passed.claims
    if bundle != signed.entry["bundle"]:
        raise another_bundle(signed, bundle)
    named = set(signed.entry["claims"])
    if carried != named:
        raise Refused(
            "E_ENTRY_CLAIMS",
            "the file carries other claims than its entry names",
            where=signed.label,
            expected=", ".join(sorted(named)) or "no claims",
            found=", ".join(sorted(carried)) or "no claims",
        )
    return passed


def another_bundle(signed: SignedEntry, found: str) -> Refused:
    """The error of a file that carries another bundle than its entry names."""
    return Refused(
        "E_ENTRY_BUNDLE",
        "the file carries another bundle than its entry names",
        where=signed.label,
        expected=signed.entry["bundle"],
        found=found,
    )
