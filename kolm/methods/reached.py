"""Methods: which modules no gradient reaches, so that nothing is learned in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kolm.errors import Refused
from kolm.roles import Config, Family


def is_unreachable(family: Family, parameter: str, config: Config) -> bool:
    """Whether no gradient can ever reach this parameter of a base, by the family's design."""
    return any(re.fullmatch(pattern, parameter) for pattern in family.unreachable(config))


def demand_reached(family: Family, config: Config, adapted: Iterable[str]) -> None:
    """Refuse modules that no gradient reaches by the family's design: ``E_ADAPTER_TARGETS``.

    Args:
        family: the base's role table.
        config: of the base.
        adapted: the modules with a delta.
    """
    idle = [name for name in adapted if is_unreachable(family, f"{name}.weight", config)]
    if idle:
        raise Refused(
            "E_ADAPTER_TARGETS",
            f"no gradient can reach {len(idle)} of the modules that are to be adapted",
            where="train.freeze.vision",
            found=", ".join(idle[:3]),
            hint="keep the vision tower frozen: this base never reads its last layers",
        )
