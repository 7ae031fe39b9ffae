"""P-tuning (arXiv:2103.10385): a small network makes the virtual tokens that stand in front.

They are where those of `kolm.methods.prompt` are. What is learned is an embedding of each and the
network that turns these into virtual tokens together: an MLP of three layers, or an LSTM of two
layers in both directions with an MLP of two, as PEFT's PromptEncoder has them.

PEFT saves what the network gives and drops the network. Here the network is what a bundle holds,
because it is what was trained: its tensors are those of every recorded state, so that what is
shipped can be held against the states and replayed, where a matrix that was computed once could
not. PEFT has no loader for that: `kolm/adapters/front.py` is it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, Self

from kolm.methods.method import NoExperts, Options, StoredTensor
from kolm.methods.own_names import OwnNames
from kolm.methods.projector import Projector
from kolm.methods.prompt import LEAST, reach
from kolm.roles import EMBEDDINGS, Family

PEFT_TYPE = "KOLM_P_TUNING"  # PEFT has a P_TUNING, which holds no network
NETWORK = "lora_prompt_encoder"
LSTM_LAYERS: Final = 2
_LAST: Final = {"lstm": "mlp_head.2", "mlp": "mlp_head.4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PTuning(NoExperts, OwnNames):
    """The settings of a lock; `encoder_size` is the width of the network."""

    PARTS: ClassVar[tuple[str, ...]] = (
        f"{NETWORK}.embedding.weight",
        *(f"{NETWORK}.mlp_head.{n}.{own}" for n in (0, 2, 4) for own in ("weight", "bias")),
        *(
            f"{NETWORK}.lstm_head.{own}_{of}_l{n}{way}"
            for own in ("weight", "bias")
            for of in ("ih", "hh")
            for n in range(LSTM_LAYERS)
            for way in ("", "_reverse")
        ),
    )
    STARTS: ClassVar[Mapping[str, int]] = {}
    LEAST: ClassVar[str] = f"a last layer of the network as large as {LEAST}"
    ANY_LAYER: ClassVar[bool] = False
    BARE_IN: ClassVar[str] = ""

    kind: Literal["p_tuning"] = "p_tuning"
    virtual_tokens: int
    encoder: Literal["lstm", "mlp"]
    encoder_size: int
    targets: tuple[str, ...]
    target_expression: str

    @classmethod
    def resolve(cls, options: Options, family: Family, *, vision: bool) -> Self:
        """The options, and the module that embeds tokens."""
        return cls(
            virtual_tokens=options["virtual_tokens"],
            encoder=options["encoder"],
            encoder_size=options["encoder_size"],
            targets=(EMBEDDINGS,),
            target_expression=family.embeddings_expression,
        )

    @property
    def front(self) -> int:
        """All virtual tokens."""
        return self.virtual_tokens

    def shapes(self, module: str, weight: Sequence[int]) -> dict[str, tuple[int, ...]]:
        """An embedding of each virtual token, and the network; it reads and gives a token's width.

        An LSTM has four gates, one after the other, in each direction of each layer.
        """
        width, size = weight[1], self.encoder_size
        made: dict[str, tuple[int, ...]] = {"embedding.weight": (self.virtual_tokens, width)}
        sizes = [width, size, size, width]
        if self.encoder == "lstm":
            sizes = [2 * size, 2 * size, width]
            for layer, way in itertools.product(range(LSTM_LAYERS), ("", "_reverse")):
                end = f"l{layer}{way}"
                made[f"lstm_head.weight_ih_{end}"] = (4 * size, 2 * size if layer else width)
                made[f"lstm_head.weight_hh_{end}"] = (4 * size, size)
                made[f"lstm_head.bias_ih_{end}"] = (4 * size,)
                made[f"lstm_head.bias_hh_{end}"] = (4 * size,)
        for number, (into, out) in enumerate(itertools.pairwise(sizes)):
            made[f"mlp_head.{2 * number}.weight"] = (out, into)
            made[f"mlp_head.{2 * number}.bias"] = (out,)
        return {f"{NETWORK}.{name}": shape for name, shape in made.items()}

    def counts(self, factors: Mapping[str, StoredTensor], weight_norm: str | None) -> bool:
        """Whether the last layer can make virtual tokens that are more than rounding."""
        last = [factors[f"{NETWORK}.{_LAST[self.encoder]}.{own}"] for own in ("weight", "bias")]
        return reach(last, 1, weight_norm)

    def peft(self) -> dict[str, object]:
        """In the words of PEFT's PromptEncoderConfig, of a type that PEFT does not have."""
        return {
            "encoder_hidden_size": self.encoder_size,
            "encoder_reparameterization_type": self.encoder.upper(),
            "num_virtual_tokens": self.virtual_tokens,
            "peft_type": PEFT_TYPE,
        }

    def loaders(self, projector: Projector) -> tuple[str, ...]:
        """No other software has the network."""
        return ("kolm",)

    def card(self) -> str:
        """How many virtual tokens, and what makes them."""
        made = f"made by an {self.encoder.upper()} of width {self.encoder_size}"
        return f"p_tuning, {self.virtual_tokens} virtual tokens {made}"
