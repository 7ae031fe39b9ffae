"""Train: how likely the answers are before anything is learned, computed once.

The model is in evaluation mode and no gradient is kept. Each pair goes through the model alone, so
that its numbers follow from nothing else of a run: a run that continues after a kill computes them
again instead of keeping them, and whoever runs a part of a training again needs the pairs of that
part only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kolm.encode.examples import Pair
from kolm.events import Reporter
from kolm.train.losses import PairLoss

_REPORT_EVERY = 64  # pairs


def with_reference(
    loss: PairLoss, pairs: Sequence[Pair], *, reporter: Reporter
) -> tuple[Pair, ...]:
    """The pairs with the log-probabilities of their answers under the model as it is now.

    Args:
        loss: whose model neither learns nor drops anything out.
        pairs: with all else that the loss reads of them (`PairLoss.prepared`).
        reporter: hears the progress.
    """
    import torch

    if not pairs:
        return ()
    known: list[Pair] = []
    reporter.started("reference", len(pairs), "pairs")
    with torch.no_grad():
        for pair in pairs:
            found = tuple(float(each[0]) for each in loss.likelihoods([pair]))
            known.append(replace(pair, reference=found))
            if len(known) % _REPORT_EVERY == 0:
                reporter.advanced("reference", len(known))
    reporter.finished("reference")
    return tuple(known)
