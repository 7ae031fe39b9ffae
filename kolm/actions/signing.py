"""The compositions: which key signs, how its passphrase is found, and whose keys are believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from kolm import paths, settings
from kolm.errors import Lacking
from kolm.sign.keys import PublicKey
from kolm.sign.predicates import PROVENANCE, instant
from kolm.sign.trust import TrustStore

if TYPE_CHECKING:
    from datetime import datetime

    from kolm.bundle.reader import Bundle
    from kolm.sign.keystore import KeyStore
    from kolm.sign.private_keys import PrivateKey

Trust = TrustStore | str | Path | None  # a store, its file, or this user's own
AskPassphrase = Callable[[str], str | None]  # the key's name to its passphrase; None: there is none


def passphrase_from_environment(_name: str) -> str | None:
    """What a program without a terminal can know of a passphrase."""
    return settings.text("KOLM_KEY_PASSPHRASE")


def choose_key(name: str | None, ask: AskPassphrase = passphrase_from_environment) -> PrivateKey:
    """The signing key of this machine: the named one, the only one, or ``default``.

    Args:
        name: of the key, or the URI of one on a token (``pkcs11:``); None leaves the choice to the
            store.
        ask: called for the passphrase of an encrypted key; commands ask on the terminal.

    Raises:
        Unreadable: there is none.
        Usage: there are several and none was chosen.
        Denied: the passphrase is missing or wrong.
    """
    if _on_token(name):
        from kolm.sign import token_keys  # few have one

        return token_keys.load(name, ask)
    store = own_keys()
    return store.load(store.choose(name), ask)


def demand_clock(bundle: Bundle, moment: datetime, *, scores: bool = False) -> None:
    """Demand that a claim made now can count: nobody judges a bundle before its build (C17, C21).

    Args:
        bundle: that the claim is about.
        moment: that the claim will state.
        scores: it states a score, for which the build must have begun; else it must have ended.

    Raises:
        Lacking: ``E_CLOCK_BEHIND``: this machine's clock is behind that of every builder.
    """
    from kolm.verify.claim_states import read_claims

    made = read_claims(bundle.container.claims[0], TrustStore(), bundle.content_id)
    builds = [state.said(PROVENANCE) for state in made.states if state.about_this]
    times = [said["runDetails"]["metadata"] for said in builds if said is not None]
    due = min((time["startedOn"] if scores else time["finishedOn"] for time in times), default="")
    if instant(moment) < due:
        raise Lacking(
            "E_CLOCK_BEHIND",
            "by this machine's clock the bundle is not built yet, so the claim would not count",
            where=str(bundle.container.path),
            expected=f"{due} or later",
            found=instant(moment),
            hint="set the clock, then run the command again; nothing was signed",
        )


def public_half(name: str | None) -> PublicKey:
    """The public half of the key that `choose_key` gives; only a token asks for a PIN for it.

    Raises:
        Unreadable, Usage, Denied: as in `choose_key`.
    """
    if _on_token(name):
        return choose_key(name).public
    store = own_keys()
    return store.public(store.choose(name))


def _on_token(name: str | None) -> TypeGuard[str]:
    return name is not None and name.startswith("pkcs11:")


def own_keys() -> KeyStore:
    """The private keys of this user."""
    from kolm.sign.keystore import KeyStore  # who only verifies has none

    return KeyStore(paths.config_folder() / "keys")


def trust_of(trust: Trust) -> TrustStore:
    """Whose keys are believed.

    Raises:
        Unreadable: the file is not there, or is no trust file.
    """
    if isinstance(trust, TrustStore):
        return trust
    if trust is None:
        return TrustStore.load(paths.config_folder())
    return TrustStore.load_file(Path(trust))
