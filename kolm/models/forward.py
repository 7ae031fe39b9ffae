"""Models: the forward pass of every family: the library's own, with the tower from recordings.

Training, evaluation, rescoring and running a bundle read hidden states or greedy answers from here
and nothing else of a family.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from kolm.models.generation import Generated, read_rows
from kolm.models.pictures import COUNTS
from kolm.models.taps import Recording, Tower

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from kolm.models.sampling import Choose

# Under these names models take what marks the tokens of pictures with 1, or those of answers.
_MARKS = ("mm_token_type_ids", "token_type_ids")


class Tokens(Protocol):
    """Token ids of a padded batch, in the host's memory: `Forward` puts them where its model is."""

    @property
    def input_ids(self) -> torch.Tensor:
        """(batch, length) int64."""

    @property
    def attention_mask(self) -> torch.Tensor:
        """(batch, length) int64, 1 where a row's own tokens are."""

    @property
    def image_mask(self) -> torch.Tensor:
        """(batch, length) int64, 1 where the feature of a picture goes."""

    @property
    def answer_mask(self) -> torch.Tensor:
        """(batch, length) int64, 1 from the first answer of a row on."""

    @property
    def image_rows(self) -> torch.Tensor:
        """Where `image_mask` is 1, in the batch flattened to (batch x length), in order."""


def logits_of(model: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Logits of last hidden states, as the library's own forward pass computes them."""
    import torch

    logits: torch.Tensor = model.get_output_embeddings()(hidden)
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


class Forward:
    """The forward pass of any family whose table names its taps.

    Args:
        model: a vision-language model of transformers, PEFT's layers in place or not.
        tower: its tower.
        prefix_attention: whether what stands before the first answer sees all of itself.
    """

    def __init__(
        self, model: PreTrainedModel, tower: Tower, *, prefix_attention: bool = False
    ) -> None:
        self.tower = tower
        self._prefix_attention = prefix_attention
        self._model = model
        accepted = inspect.signature(model.forward).parameters
        self._answering = threading.Lock()  # what a base says of sampling is put aside meanwhile
        self._marks = [name for name in _MARKS if name in accepted]

    def features(self, pictures: Recording) -> torch.Tensor:
        """The projector on pictures, one after the other: (tokens, width)."""
        with self._showing(pictures) as inputs:
            return self.tower.features(inputs)

    def hidden(self, tokens: Tokens, pictures: Recording | None) -> torch.Tensor:
        """Last hidden states of right-padded rows: (batch, length, width).

        There is no attention mask: under causal attention no token sees the padding that follows
        it, and hidden states of padding are never read. No padding is part of a prefix.

        Args:
            tokens: of the rows.
            pictures: of all rows in order; None where no row shows one.
        """
        with self._showing(pictures) as inputs:
            out = self._model.model(
                input_ids=tokens.input_ids.to(self.tower.device),
                use_cache=False,
                **self._marked(tokens),
                **inputs,
            )
        hidden: torch.Tensor = out.last_hidden_state
        return hidden

    def answer(
        self,
        tokens: Tokens,
        pictures: Recording | None,
        *,
        max_new_tokens: int,
        end_ids: Collection[int],
        choose: Choose | None = None,
    ) -> list[Generated]:
        """Answer left-padded rows with the library's own greedy generation.

        A token that is chosen otherwise is left as the only one that can be the most likely.

        Args:
            tokens: of the rows; every row ends with a token of its own.
            pictures: of all rows in order; None where no row shows one.
            max_new_tokens: at least 1; an answer that has not ended by then is cut.
            end_ids: tokens that end an answer.
            choose: the next tokens by their logits; the most likely ones without it.
        """
        import torch
        from transformers import GenerationConfig, LogitsProcessorList

        def only(_: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
            assert choose is not None  # nobody calls this without it
            places = torch.arange(logits.shape[-1], device=logits.device)
            return torch.where(places == choose(logits)[:, None], 0.0, -torch.inf)

        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(end_ids),
            pad_token_id=min(end_ids),  # what follows an end is cut off
        )
        with self._answering, torch.no_grad(), self._showing(pictures) as inputs:
            stated, self._model.generation_config = self._model.generation_config, config
            try:
                out = self._model.generate(
                    input_ids=tokens.input_ids.to(self.tower.device),
                    attention_mask=tokens.attention_mask.to(self.tower.device),
                    logits_processor=LogitsProcessorList([only] if choose else []),
                    **self._marked(tokens),
                    **inputs,
                )
            finally:
                self._model.generation_config = stated
        return read_rows(out[:, tokens.input_ids.shape[1] :].tolist(), end_ids)

    def _marked(self, tokens: Tokens) -> dict[str, torch.Tensor]:
        marked = tokens.answer_mask if self._prefix_attention else tokens.image_mask
        return dict.fromkeys(self._marks, marked.to(self.tower.device))

    @contextlib.contextmanager
    def _showing(self, pictures: Recording | None) -> Iterator[dict[str, torch.Tensor]]:
        """The model's arguments for pictures, and the tower as they need it."""
        if pictures is None:
            yield {}
        elif not pictures.outputs:
            yield self.tower.shown(_by_sample(pictures.inputs))
        else:
            with self.tower.replaying(pictures):
                yield self.tower.shown(_by_sample(pictures.inputs))


def _by_sample(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs of pictures as the model takes them of samples.

    A picture states whether it stands alone (1) or among others (more), a model wants each sample's
    number. Which samples pictures that stand among others share makes no difference to it.
    """
    out = dict(inputs)
    if COUNTS in inputs:
        stated: list[int] = inputs[COUNTS].tolist()
        numbers: list[int] = []
        for among, alike in itertools.groupby(stated, key=lambda number: number > 1):
            own = list(alike)
            numbers += [max(len(own), 2)] if among else own
        out[COUNTS] = inputs[COUNTS].new_tensor(numbers)
    return out
