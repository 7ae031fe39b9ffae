"""Capture: an option that one format alone has, as its file states it."""

from __future__ import annotations

from typing import NamedTuple


class Option(NamedTuple):
    """A text that the format's `rows` takes by keyword.

    Attributes:
        name: of the keyword; the command line's flag is the same with hyphens.
        help: what it says, in a few words.
        metavar: what the text is.
        required: the format cannot do without.
    """

    name: str
    help: str
    metavar: str = "TEXT"
    required: bool = False

    @property
    def flag(self) -> str:
        """As the command line takes it."""
        return f"--{self.name.replace('_', '-')}"
