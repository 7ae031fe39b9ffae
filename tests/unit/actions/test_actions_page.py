"""The Python page lists functions that are there, with the arguments that they must have."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "python.md"
ROW = re.compile(r"^\| `(\w+)` \| (`\w+\(.*) \|$", re.MULTILINE)
LISTED = [
    (module, text)
    for module, functions in ROW.findall(PAGE.read_text(encoding="utf-8"))
    for text in re.findall(r"`(.+?)`", functions)
]


def required(function: object) -> str:
    """The name of a function with the arguments that have no default."""
    assert inspect.isfunction(function)
    positional, keywords = [], []
    for name, argument in inspect.signature(function).parameters.items():
        if argument.default is argument.empty and argument.kind is not argument.VAR_KEYWORD:
            named = argument.kind is argument.KEYWORD_ONLY
            (keywords if named else positional).append(name)
    marked = ["*", *keywords] if keywords else []
    return f"{function.__name__}({', '.join([*positional, *marked])})"


def test_the_page_lists_functions() -> None:
    assert len(LISTED) > 20


@pytest.mark.parametrize(("module", "text"), LISTED)
def test_a_listed_function_takes_what_the_page_says(module: str, text: str) -> None:
    place = import_module(f"kolm.actions.{module}")
    assert required(getattr(place, text.partition("(")[0])) == text
