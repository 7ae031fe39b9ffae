"""The compositions: which key signs."""

from __future__ import annotations

from kolm import paths, settings
from kolm.sign.keys import PrivateKey
from kolm.sign.keystore import KeyStore


def choose_key(name: str | None) -> PrivateKey:
    """The signing key of this machine: the named one, the only one, or ``default``.

    Raises:
        Unreadable: there is none.
        Usage: there are several and none was chosen.
        Denied: the passphrase is missing or wrong.
    """
    store = KeyStore(paths.config_folder() / "keys")
    return store.load(store.choose(name), lambda _: settings.text("KOLM_KEY_PASSPHRASE"))
