"""The command line: passphrases, from the environment or asked for on a terminal."""

from __future__ import annotations

from kolm import settings
from kolm.cli import output

VARIABLE = "KOLM_KEY_PASSPHRASE"


def new_passphrase(name: str, ask: bool) -> str | None:
    """The passphrase for a new key: from the environment, asked for, or none."""
    given = settings.text(VARIABLE)
    if given is not None or not ask:
        return given
    return output.current().ask_secret(f"New passphrase of {name}", flag=VARIABLE, twice=True)


def ask_passphrase(name: str) -> str | None:
    """The passphrase of an existing key: from the environment, or asked for on a terminal."""
    given = settings.text(VARIABLE)
    if given is not None:
        return given
    return output.current().ask_secret(f"Passphrase of {name}", flag=VARIABLE)
