"""The compositions: which key signs, how its passphrase is found, and whose keys are believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from kolm import paths, settings
from kolm.sign.keys import PublicKey
from kolm.sign.trust import TrustStore

if TYPE_CHECKING:
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
