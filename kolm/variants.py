"""The floor: tables of variants, each of which is a file that is imported when it is asked for.

An audit needs one method, one objective and one metric; importing them all would cost that of a
small bundle a tenth of its time. Contract tests ask every line for what it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


class Variants(Mapping[str, T]):
    """What each variant of a folder is, by its name: a line for each.

    Args:
        package: the folder; the variant NAME is its file ``NAME.py``.
        lines: for each name what stands for it in its file.
    """

    def __init__(self, package: str, lines: Mapping[str, str]) -> None:
        self._package = package
        self._lines = lines

    def __getitem__(self, name: str) -> T:
        attribute = self._lines[name]
        found: T = getattr(import_module(f"{self._package}.{name}"), attribute)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)
