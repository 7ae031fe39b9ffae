"""The whole of easy-VQA, imported by the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lines import Line

pytestmark = pytest.mark.slow
ROWS = 48_248
SECONDS = 60


def test_all_rows_are_imported_in_time(tmp_path: Path) -> None:
    pytest.importorskip("easy_vqa")
    line = Line(folder=tmp_path, home=tmp_path / "home")
    ran = line.demand("capture", "import", "easy-vqa", "--json")
    mebibytes = ran.peak_memory_bytes / 2**20
    print(f"\n{ran.document()['captures']} rows in {ran.seconds:.1f} s, {mebibytes:.0f} MiB")
    assert ran.document()["captures"] == ROWS
    assert ran.seconds <= SECONDS
