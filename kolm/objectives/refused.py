"""Objectives that kolm knows and does not train with: why not, and what to take instead."""

from __future__ import annotations

from typing import Final, NamedTuple


class RefusedObjective(NamedTuple):
    """Why an objective is refused, and what does its work."""

    reason: str
    instead: str


_INSTEAD = "captures with `rejected` are enough for dpo, ddpo, ipo, orpo, simpo and kto"

REFUSED: Final = {
    "grpo": RefusedObjective(
        "it samples answers in every step and needs a reward for each of them, so that what was "
        "learned from is in no capture and cannot be verified",
        _INSTEAD,
    ),
    "ppo": RefusedObjective(
        "it needs a reward model and a value model beside the policy, whose training and weights "
        "no bundle would account for; preferences can be learned without either",
        _INSTEAD,
    ),
}
