"""Objectives: what each says of itself without torch, and the numbers that its formula is over.

A formula is written once, over numbers of float32, one a pair: a tensor in training, in a test
whatever adds, multiplies and has `exp`, `expm1`, `log` and `logaddexp` (right in value and slope).
How a capture is encoded, how log-probabilities are gathered and when the reference is
computed is the same for all objectives, and stands in `kolm.encode` and `kolm.train`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from kolm.records.documents import TraceRowStep

Reference = Literal["start", "base"]
Facts = Mapping[str, Any]  # what a trace's row states of the objective, of the objective's schema
Number = Any  # one a pair: see above


class Sides(NamedTuple):
    """What belongs to the chosen and to the rejected answers of the same pairs."""

    chosen: Number
    rejected: Number


class Terms(NamedTuple):
    """What a formula makes of a batch, one number a pair.

    Attributes:
        losses: of the pairs.
        rewards: what the policy implies that each answer is worth.
        more: further numbers, whose means are facts of the objective, by their names there.
    """

    losses: Number
    rewards: Sides
    more: Mapping[str, Number] = {}


class Step(NamedTuple):
    """What a step's row and the lock say beside the facts.

    Attributes:
        loss: as stated.
        pairs: that the step read.
        labels: that the step read.
        precision: of the training.
        first: nothing was learned before it, in this training or in an earlier one, and a fresh
            adapter changes nothing.
    """

    loss: str
    pairs: int
    labels: int
    precision: str
    first: bool


class Objective(Protocol):
    """An objective with the settings of a lock's ``train.objective``, which are its fields.

    Attributes:
        PAIRED: a capture must have `rejected`, and becomes a pair of conversations; else it becomes
            one. The loss of a step is a mean over pairs, or over label tokens.
        MEAN: an answer's log-probability is a mean over its tokens, else their sum.
        UNRELATED: the formula reads the mean log-ratio of answers to other prompts as well.
        FACTS: what a step states beside its loss.
        LEARNING_RATE: the adapter's peak where a spec states none, for any base.
        SOURCE: where that rate comes from.
        kind: its line in the table.
        reference: what the policy is compared with: the model at the start of this training, or
            the base without any adapter; None for an objective that has no reference.
        match_tokens: tokens of an answer have weights by whether they were corrected; where a
            capture does not say which, those outside runs of at least so many equal tokens were.
            None: all count the same.
        corrected_weight: of a corrected token, where another has 1.
    """

    PAIRED: ClassVar[bool]
    MEAN: ClassVar[bool]
    UNRELATED: ClassVar[bool]
    FACTS: ClassVar[tuple[str, ...]]
    LEARNING_RATE: ClassVar[str]
    SOURCE: ClassVar[str]

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def reference(self) -> Reference | None: ...  # noqa: D102
    @property
    def match_tokens(self) -> int | None: ...  # noqa: D102
    @property
    def corrected_weight(self) -> float: ...  # noqa: D102

    def terms(self, policy: Sides, reference: Sides, point: float = 0.0) -> Terms:
        """The formula.

        Args:
            policy: log-probabilities of the answers under the model that learns.
            reference: the same before state 0; zeros where there is no reference.
            point: the mean log-ratio of answers to other prompts, under the policy as it is now.
        """

    def wrong_facts(self, facts: Facts, step: Step) -> Iterator[str]:
        """Say what of a step's facts cannot be, by the other numbers of its row.

        Args:
            facts: those of `FACTS`, each of its schema.
            step: the rest.
        """

    def receipt(self, last: "Sequence[TraceRowStep]") -> Any:
        """The receipt's ``vlm_train.objective``, of the objective's schema.

        Args:
            last: the steps of the last segment.
        """
