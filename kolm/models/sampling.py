"""Models: the next token of an answer drawn by its probability, at a temperature.

Every row draws from a stream of its own, one number a token, so that an answer depends on its
prompt and its seed and not on what else is in the batch. The number is turned into a token by the
inverse of the distribution function (L. Devroye, "Non-Uniform Random Variate Generation", 1986,
section III.2), computed in float64 in the host's memory, where sums have one order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from kolm.digest import Digest, Stream

if TYPE_CHECKING:
    import torch

# Of logits (rows, vocabulary) of some rows of a batch, and their numbers in it, the token of each:
# (rows,) int64, where the logits are.
Choose: TypeAlias = "Callable[[torch.Tensor, Sequence[int]], torch.Tensor]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """How the answers of a batch are drawn.

    Attributes:
        temperature: above 0; logits are divided by it.
        seeds: one an answer.
    """

    temperature: Decimal
    seeds: Sequence[Digest]


class Sampler:
    """Chooses the next token of every row of a batch.

    Args:
        draws: how; one seed a row.
    """

    def __init__(self, draws: Draws) -> None:
        if draws.temperature <= 0:
            raise ValueError(f"temperature {draws.temperature} is not above 0")
        self._temperature = float(draws.temperature)
        self._streams = [Stream(seed) for seed in draws.seeds]

    def __call__(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """The tokens of one step: (rows,), where `logits` (rows, vocabulary) are."""
        import torch

        streams = [self._streams[row] for row in rows]
        if len(logits) != len(streams):
            raise ValueError(f"{len(logits)} rows and {len(streams)} seeds")
        scaled = logits.detach().to("cpu", torch.float64) / self._temperature
        reached = torch.softmax(scaled, dim=-1).cumsum(dim=-1)
        drawn = [[_uniform(stream)] for stream in streams]
        targets = torch.tensor(drawn, dtype=torch.float64) * reached[:, -1:]
        # The first token whose sum is above the number: one of probability 0 never is.
        tokens = torch.searchsorted(reached, targets, right=True)[:, 0]
        return tokens.clamp_(max=logits.shape[-1] - 1).to(logits.device)


def _uniform(stream: Stream) -> float:
    """The next number in [0, 1), of 53 bits."""
    return ((stream.uint32() >> 5) * 2**26 + (stream.uint32() >> 6)) / 2**53
