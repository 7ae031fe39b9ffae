"""Semantic versions 2.0.0 (semver.org), read strictly and ordered by precedence (item 11)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from kolm.errors import Usage

MAX_CHARACTERS = 128  # longer ones are a mistake, and some file systems stop at 255

_NUMBER = re.compile(r"(0|[1-9][0-9]*)\Z", re.ASCII)
_IDENTIFIER = re.compile(r"[0-9A-Za-z-]+\Z", re.ASCII)


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Version:
    """A version. Equal means equal precedence, so that ``1.0.0+a`` equals ``1.0.0+b``."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    @property
    def _precedence(self) -> tuple[int, int, int, bool, tuple[tuple[int, int, str], ...]]:
        # A release stands above its pre-releases; numbers stand below words; a shorter list of
        # identifiers stands below a longer one that begins with it.
        identifiers = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease
        )
        return (self.major, self.minor, self.patch, not self.prerelease, identifiers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._precedence == other._precedence

    def __lt__(self, other: Version) -> bool:
        return self._precedence < other._precedence

    def __hash__(self) -> int:
        return hash(self._precedence)

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        if self.prerelease:
            text += "-" + ".".join(self.prerelease)
        if self.build:
            text += "+" + ".".join(self.build)
        return text


def parse_version(text: str) -> Version:
    """Read a version; the law is ``str(parse_version(s)) == s``.

    Raises:
        Usage: not a semantic version.
    """
    if len(text) > MAX_CHARACTERS:
        raise _wrong(text, f"longer than {MAX_CHARACTERS} characters")
    rest, plus, build_text = text.partition("+")
    core, dash, prerelease_text = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3 or not all(_NUMBER.match(number) for number in numbers):
        raise _wrong(text, "three numbers without leading zeros, such as 1.0.0")
    prerelease = _identifiers(prerelease_text, text) if dash else ()
    if any(part.isdigit() and not _NUMBER.match(part) for part in prerelease):
        raise _wrong(text, "no leading zeros in the numbers of a pre-release")
    return Version(
        major=int(numbers[0]),
        minor=int(numbers[1]),
        patch=int(numbers[2]),
        prerelease=prerelease,
        build=_identifiers(build_text, text) if plus else (),
    )


def _identifiers(part: str, text: str) -> tuple[str, ...]:
    identifiers = tuple(part.split("."))
    if not all(_IDENTIFIER.match(identifier) for identifier in identifiers):
        raise _wrong(text, "identifiers of letters, digits and hyphens, separated by dots")
    return identifiers


def _wrong(text: str, expected: str) -> Usage:
    return Usage(
        "E_VERSION_FORM",
        "not a semantic version",
        expected=expected,
        found=repr(text)[:80],
        hint="see https://semver.org: MAJOR.MINOR.PATCH, for example 1.0.0 or 1.1.0-rc.1",
    )
