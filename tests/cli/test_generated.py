"""Generated pages equal the code, and every error code that the code raises is explained."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from kolm import errors
from kolm.cli import error_table
from tests.support.commands import invoke

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    found = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_no_generated_page_is_out_of_date(generator: ModuleType) -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generator.pages()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"run: make docs   ({', '.join(stale)})"


def raised_codes() -> dict[str, str]:
    """Every error code in the code, with a file that names it."""
    return {
        code: str(path.relative_to(ROOT))
        for path in sorted((ROOT / "kolm").rglob("*.py"))
        for code in re.findall(r'"(E_[A-Z0-9_]+)"', path.read_text(encoding="utf-8"))
    }


def test_every_code_that_is_raised_is_explained() -> None:
    missing = {code: path for code, path in raised_codes().items() if code not in TABLE}
    assert not missing


def test_every_code_that_is_explained_is_raised() -> None:
    assert set(TABLE) <= set(raised_codes())


TABLE = error_table.rows()


@pytest.mark.parametrize("code", sorted(TABLE))
def test_every_code_names_a_family_and_has_a_page(code: str) -> None:
    row = TABLE[code]
    assert row["family"] in {*errors.FAMILIES, "KolmError"}
    assert row["cause"]
    assert row["remedy"]
    page = invoke("help", code)
    assert page.code == 0
    assert row["cause"] in " ".join(page.stdout.split())
