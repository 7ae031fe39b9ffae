"""Train: how likely the answers are before anything is learned, computed once.

The model is in evaluation mode and no gradient is kept. Of the same inputs and batches it gives the
same bits, so a run that continues after a kill computes them again instead of keeping them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kolm.encode.examples import Learnable, Pair
from kolm.events import Reporter
from kolm.train.losses import PairLoss


def with_reference(
    loss: PairLoss, examples: Sequence[Learnable], *, batch_size: int, reporter: Reporter
) -> tuple[Learnable, ...]:
    """The pairs with the log-probabilities of their answers under the model as it is now.

    Args:
        loss: whose model neither learns nor drops anything out.
        examples: pairs.
        batch_size: pairs that go through the model together.
        reporter: hears the progress.
    """
    import torch

    if not examples:
        return ()
    prepared, known = loss.prepared(examples), dict[int, Pair]()
    # Like lengths together, so that little is padded; the order is that of no epoch.
    order = sorted(range(len(prepared)), key=lambda number: (prepared[number].tokens, number))
    reporter.started("reference", len(order), "pairs")
    with torch.no_grad():
        for start in range(0, len(order), batch_size):
            numbers = order[start : start + batch_size]
            pairs = [prepared[number] for number in numbers]
            answers = zip(*(each.tolist() for each in loss.likelihoods(pairs)), strict=True)
            for number, pair, found in zip(numbers, pairs, answers, strict=True):
                known[number] = replace(pair, reference=found)
            reporter.advanced("reference", len(known))
    reporter.finished("reference")
    return tuple(known[number] for number in range(len(order)))
