"""Tables of variants: plain to read, and imported a line at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kolm.methods import METHODS
from kolm.metrics import METRICS
from kolm.objectives import OBJECTIVES
from kolm.roles import FAMILIES, Family
from kolm.variants import Variants

TABLES = pytest.mark.parametrize(
    "table", [FAMILIES, METHODS, METRICS, OBJECTIVES], ids=lambda t: next(iter(t))
)


@TABLES
def test_every_line_names_what_its_file_holds(table: Variants[object]) -> None:
    for name, found in table.items():
        if isinstance(found, Family):
            assert found.model_type == name
        else:
            assert isinstance(found, type)
            assert found.__module__.endswith(f".{name}")
    assert len(table) == len(list(table)) == len(set(map(id, table.values())))


@TABLES
@pytest.mark.parametrize("name", ["", "metric", "os", "..os", "__init__"])
def test_a_name_that_is_no_line_is_not_there(table: Variants[object], name: str) -> None:
    assert name not in table
    assert table.get(name) is None
    with pytest.raises(KeyError):
        table[name]


def test_only_what_is_asked_for_is_imported() -> None:
    code = (
        "import sys; from kolm.metrics import METRICS; "
        "assert 'anls' in METRICS and sorted(METRICS) and len(METRICS) and not METRICS.get('x'); "
        "before = {m for m in sys.modules if m.startswith('kolm.metrics.')}; METRICS['iou']; "
        "print(*sorted(before), *sorted({m for m in sys.modules if 'kolm.metrics.' in m} - before))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["kolm.metrics.metric", "kolm.metrics.iou"]
