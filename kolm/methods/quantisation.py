"""A base whose linear layers of the language blocks are held in 4 bits (QLoRA, arXiv:2305.14314).

Any method trains on it. Torch-free, as the methods are: what a lock says of it follows from the
spec's options and the family's table, and the verifier works it out again.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from kolm.records.codec import from_document
from kolm.roles import Family


class Quantisation(NamedTuple):
    """The settings of a lock's ``train.quantisation``.

    Attributes:
        kind: the sixteen values of a weight: ``nf4`` (quantiles of a normal) or ``fp4``.
        double: the scales of blocks are quantised again, in 8 bits.
        block_size: weights that share a scale.
        target_expression: full-matches exactly the modules that are quantised.
    """

    kind: Literal["fp4", "nf4"]
    double: bool
    block_size: int
    target_expression: str


def quantisation_of(block: Mapping[str, object] | None) -> Quantisation | None:
    """The quantisation of a lock's ``train.quantisation``; None where the base has its numbers."""
    return None if block is None else from_document(Quantisation, dict(block))


def quantised_modules(family: Family) -> str:
    """A regular expression of what is quantised: all linear layers of the language blocks."""
    return family.target_expression(family.lora_leaf_names)
