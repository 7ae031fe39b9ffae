"""However many processes train, a compile gives one content id."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.lines import Line, same_answer

pytestmark = pytest.mark.slow


def test_a_compile_has_the_same_content_id_whatever_number_trains(tmp_path: Path) -> None:
    more = "  accumulation: 2\n  threads: 1\n  processes: {}\n"
    line = Line.make(tmp_path, rows=same_answer(32), more=more.format(2))
    together = line.compile("-o", "together.kolm")
    line.write_spec(more=more.format(1))
    shutil.rmtree(line.folder / ".kolm" / "runs")
    alone = line.compile("-o", "alone.kolm")
    assert together["content_id"] == alone["content_id"]
    assert (line.folder / "alone.kolm").is_file()
