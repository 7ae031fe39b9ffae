"""Format: early stopping on the validation side. Pure: numbers in, a decision out."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from kolm import canonical

if TYPE_CHECKING:
    from kolm.records.documents import CheckpointPatience


class Patience:
    """Stops a run when what it is told has not got better for a number of looks.

    It compares losses or scores as the trace states them, so a reader of the trace comes to the
    same decision.

    Args:
        looks: validations in a row without a new best value that end the run.
        rising: more is better, as with a score; else less is, as with a loss.
    """

    def __init__(self, looks: int, *, rising: bool = False) -> None:
        self._looks = looks
        self._rising = rising
        self._best: Decimal | None = None
        self._since = 0

    def tell(self, told: str) -> bool:
        """Take the value of a look; True when the run should stop."""
        value = canonical.parse_decimal(told, where="validation")
        if self._best is None or (value > self._best if self._rising else value < self._best):
            self._best, self._since = value, 0
        else:
            self._since += 1
        return self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether the run should stop, as the last look decided."""
        return self._since >= self._looks

    def to_document(self) -> CheckpointPatience:
        """The state, for a checkpoint."""
        best = None if self._best is None else canonical.decimal(self._best)
        return {"best": best, "since": self._since}

    def restore(self, document: CheckpointPatience) -> None:
        """Continue from the state of a checkpoint."""
        best = document["best"]
        self._best = None if best is None else canonical.parse_decimal(best, where="checkpoint")
        self._since = document["since"]
