"""How a person names something in a registry: a name, a version of it, or the bundle itself.

``NAME``, ``NAME@1.0.0``, ``NAME@sha256:…``, ``NAME@bafkrei…``, ``sha256:…`` or ``bafkrei…``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kolm import digest
from kolm.bundle import cid_reader
from kolm.digest import Digest
from kolm.errors import Usage
from kolm.registry.versions import Version, parse_version

MAX_NAME_CHARACTERS = 128
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)?\Z", re.ASCII)
_CID = re.compile(r"bafkrei[a-z2-7]{52}\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What was asked for; at least one of `name` and `bundle` is there."""

    name: str | None = None
    version: Version | None = None
    bundle: Digest | None = None

    def __str__(self) -> str:
        parts = (self.name, self.version, self.bundle)
        return "@".join(str(part) for part in parts if part is not None)


def parse_name(text: str) -> str:
    """Read a name.

    Raises:
        Usage: not a name.
    """
    if len(text) > MAX_NAME_CHARACTERS or not _NAME.match(text) or _CID.match(text):
        raise Usage(
            "E_NAME_FORM",
            "not a name of a registry",
            expected="a-z, 0-9 and -, as NAME or OWNER/NAME",
            found=repr(text)[:80],
        )
    return text


def parse_target(text: str) -> tuple[str, Version]:
    """Read ``NAME@VERSION``: where a bundle is to be published.

    Raises:
        Usage: not a name and a version.
    """
    name, at, version = text.partition("@")
    if not at:
        raise Usage(
            "E_REFERENCE_FORM",
            "the version is missing",
            expected="NAME@VERSION, such as demo@1.0.0",
            found=repr(text)[:80],
        )
    return parse_name(name), parse_version(version)


def parse_reference(text: str) -> Reference:
    """Read what a person asks for.

    Raises:
        Usage: none of the forms.
    """
    bundle = _bundle(text)
    if bundle is not None:
        return Reference(bundle=bundle)
    name, at, rest = text.partition("@")
    if not at:
        return Reference(name=parse_name(name))
    bundle = _bundle(rest)
    if bundle is not None:
        return Reference(name=parse_name(name), bundle=bundle)
    return Reference(name=parse_name(name), version=parse_version(rest))


def _bundle(text: str) -> Digest | None:
    if _CID.match(text):
        return cid_reader.digest_of(text)
    if text.startswith("sha256:"):
        return digest.parse(text, where="reference")
    return None
