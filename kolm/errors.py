"""The floor: every error that kolm raises on purpose, in six families.

A family says what kind of failure it was, so that a script can tell "the data is wrong" from
"I could not look". Only the command line renders errors and turns families into exit codes.

    KolmError
    ├── Refused      looked, and the answer is no: the data is wrong, a gate failed
    ├── Usage        the call itself makes no sense
    ├── Unreadable   could not look: missing, not a bundle, version unknown, no trust material
    ├── Denied       permission or authentication
    ├── Network      network or registry, including what offline mode forbids
    └── Lacking      the environment lacks something: an extra, memory, disk, an accelerator
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class KolmError(Exception):
    """An error with a stable code, a place and a remedy.

    Args:
        code: stable name such as ``E_SPEC_UNKNOWN_KEY``; each has a row in the errors page.
        message: what is wrong, in one sentence.
        where: file and line, member, module or row.
        expected: what should have been there.
        found: what was there.
        hint: what to do now; best a command that can be pasted.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: str = "",
        expected: str = "",
        found: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.expected = expected
        self.found = found
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message} [{self.code}]"

    def again(self, *, message: str = "") -> Self:
        """The same error, or with another message, without its traceback, to be kept or raised.

        A kept traceback keeps every value of every frame that it passed: of a parser, the document.
        """
        return type(self)(self.code, message or self.message, **self.told())

    def to_document(self) -> dict[str, str]:
        """The error as a flat document, without empty fields."""
        fields = {"code": self.code, "message": self.message, **self.told()}
        return {name: value for name, value in fields.items() if value}

    def told(self) -> dict[str, str]:
        """What it says besides its code and its message."""
        return {name: getattr(self, name) for name in ("where", "expected", "found", "hint")}


class Refused(KolmError):
    """Looked, and the answer is no."""


class Usage(KolmError):
    """The call makes no sense as it was made."""


class Unreadable(KolmError):
    """Could not look at all; this says nothing about the thing itself."""


class Denied(KolmError):
    """Permission or authentication is missing."""


class Network(KolmError):
    """The network or a registry failed, or offline mode forbids it."""


class Lacking(KolmError):
    """The environment lacks something that the work needs."""


def broken_file(error: Refused, code: str, what: str, *, hint: str) -> Unreadable:
    """The error of one's own file that is not what it should be: no verdict about anything else.

    Args:
        error: what is wrong with its content.
        code: the stable code.
        what: what the file should be, such as "a policy".
        hint: what to do.
    """
    return Unreadable(
        code, f"this is not {what}: {error.message}", **{**error.told(), "hint": hint}
    )


FAMILIES: dict[str, type[KolmError]] = {
    family.__name__: family for family in (Refused, Usage, Unreadable, Denied, Network, Lacking)
}


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """A hint that names the known word that is most like an unknown one.

    Args:
        name: what was asked for.
        known: the words that there are.
        otherwise: the hint where none is like it.
    """
    import difflib  # 2 ms that only a refusal needs

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise
