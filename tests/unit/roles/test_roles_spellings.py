"""Under whatever prefix a checkpoint holds a part of a base, it has one name in memory (O7)."""

import pytest

from kolm.roles import FAMILIES, Family
from kolm.roles.checkpoints import parameter_of

SPELLED = [
    pytest.param(table, memory, stored, id=f"{name}-{stored}")
    for name, table in FAMILIES.items()
    for memory, spellings in table.spellings.items()
    for stored in (memory, *spellings)
]


@pytest.mark.parametrize(("table", "memory", "stored"), SPELLED)
def test_the_longest_prefix_names_the_parameter(table: Family, memory: str, stored: str) -> None:
    assert parameter_of(table, f"{stored}.layers.0.weight") == f"{memory}.layers.0.weight"
    assert f"{stored}.layers.0.weight" in table.checkpoint_keys(f"{memory}.layers.0.weight")
