"""Where a registry's bytes live, one file a kind of place: `backend.py` says what each offers.

A new kind is a file here and a line in the table below, which commands and contract tests read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from kolm.errors import Usage
from kolm.registry.backends.backend import Backend
from kolm.registry.backends.directory import Directory


class BackendKind(Protocol):
    """A kind of place: how a registry there is made and opened by its address."""

    def create(self, address: str | Path, /) -> Backend:
        """Make an empty registry.

        Raises:
            Usage: something is there.
        """

    def open(self, address: str | Path, /) -> Backend:
        """Open an existing registry.

        Raises:
            Unreadable: it is none, or of an unknown version.
        """


# By the scheme that its addresses begin with, as in ``scheme://…``; a folder's have none.
BACKENDS: Final[Mapping[str, BackendKind]] = {"": Directory}

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/", re.ASCII)


def kind_of(address: str | Path) -> BackendKind:
    """The kind of place that an address names.

    Raises:
        Usage: ``E_REGISTRY_URL``: no kind has such addresses.
    """
    scheme = _SCHEME.match(str(address))
    kind = BACKENDS.get(scheme[1] if scheme and not Path(address).exists() else "")
    if kind is None:
        raise Usage(
            "E_REGISTRY_URL",
            "a registry is a folder, and kolm reads no URLs",
            where=str(address),
            hint="mount or copy it, and name the folder",
        )
    return kind


def open_registry(address: str | Path) -> Backend:
    """Open the registry at an address.

    Raises:
        Usage: ``E_REGISTRY_URL``.
        Unreadable: it is none, or of an unknown version.
    """
    return kind_of(address).open(address)
