"""Models: the forward pass of every family: the library's own, with the tower from recordings.

Training, evaluation, rescoring and running a bundle read hidden states or greedy answers from here
and nothing else of a family.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from kolm.models.beside import alike, seen
from kolm.models.generation import Generated, read_rows
from kolm.models.pictures import COUNTS
from kolm.models.taps import Recording, Tower

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from kolm.models.sampling import Choose

# Under these names models take what marks the tokens of pictures with 1, or those of answers.
_MARKS = ("mm_token_type_ids", "token_type_ids")


class Branches(NamedTuple):
    """Rows in which several answers stand behind one prompt.

    Attributes:
        owners: (batch, length) int64, 0 in a prompt, else the number of an answer, or of what fills
            up. A token sees prompts, and what is before it with its own number.
        restarts: (batch, length) int64, by how much a token's position is less than its place.
    """

    owners: torch.Tensor
    restarts: torch.Tensor


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
    def branches(self) -> Branches | None:
        """Of rows with several answers behind one prompt."""


class Fronted(NamedTuple):
    """The rows of a batch with virtual tokens in front of each one's own, behind its padding.

    Attributes:
        input_ids, attention_mask, image_mask, answer_mask, branches: as of `Tokens`.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    image_mask: torch.Tensor
    answer_mask: torch.Tensor
    branches: Branches | None


def fronted(tokens: Tokens, virtual: Sequence[int]) -> Fronted:
    """A batch whose rows have virtual tokens in front: they are no picture, and part of a prompt.

    Args:
        tokens: padded on either side.
        virtual: the ids of the virtual tokens.
    """
    import torch

    starts: list[int] = tokens.attention_mask.argmax(dim=1).tolist()

    def before(rows: torch.Tensor, values: Sequence[int]) -> torch.Tensor:
        front = torch.tensor(values, dtype=rows.dtype, device=rows.device)
        pairs = zip(rows, starts, strict=True)
        return torch.stack([torch.cat((row[:at], front, row[at:])) for row, at in pairs])

    none, branches = [0] * len(virtual), tokens.branches
    return Fronted(
        input_ids=before(tokens.input_ids, virtual),
        attention_mask=before(tokens.attention_mask, [1] * len(virtual)),
        image_mask=before(tokens.image_mask, none),
        answer_mask=before(tokens.answer_mask, none),
        branches=branches and Branches(*(before(part, none) for part in branches)),
    )


def _chosen(tokens: Tokens, rows: Sequence[int]) -> Fronted:
    """Some rows of a batch without branches."""
    own = list(rows)
    return Fronted(
        input_ids=tokens.input_ids[own],
        attention_mask=tokens.attention_mask[own],
        image_mask=tokens.image_mask[own],
        answer_mask=tokens.answer_mask[own],
        branches=None,
    )


def _only(choose: Choose, rows: Sequence[int]) -> Callable[..., torch.Tensor]:
    """Logits that leave each of these rows the token that is chosen for it."""
    import torch

    def only(_: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        places = torch.arange(logits.shape[-1], device=logits.device)
        return torch.where(places == choose(logits, rows)[:, None], 0.0, -torch.inf)

    return only


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
        branches: whether answers may stand behind one prompt in one row.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tower: Tower,
        *,
        prefix_attention: bool = False,
        branches: bool = False,
    ) -> None:
        self.tower = tower
        self.branches = branches
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
        it, and hidden states of padding are never read. No padding is part of a prefix. Those of
        virtual tokens are left out.

        Args:
            tokens: of the rows.
            pictures: of all rows in order; None where no row shows one.
        """
        import torch

        virtual = self._virtual_ids()
        order: list[int] = []
        parts: list[torch.Tensor] = []
        for numbers, rows, shown in self._parts(tokens, pictures):
            with self._showing(shown) as inputs:
                out = self._model.model(
                    input_ids=rows.input_ids.to(self.tower.device),
                    use_cache=False,
                    **self._branched(rows, inputs),
                    **self._marked(rows),
                    **self._beside(rows, inputs),
                    **inputs,
                )
            order += numbers
            parts.append(out.last_hidden_state[:, len(virtual) :])
        if len(parts) == 1:
            return parts[0]
        places = torch.tensor(order, device=parts[0].device).argsort()
        return torch.cat(parts)[places]

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

        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(end_ids),
            pad_token_id=min(end_ids),  # what follows an end is cut off
        )
        answers: dict[int, Generated] = {}
        for numbers, rows, shown in self._parts(tokens, pictures):
            only = [_only(choose, numbers)] if choose else []
            with self._answering, torch.no_grad(), self._showing(shown) as inputs:
                stated, self._model.generation_config = self._model.generation_config, config
                try:
                    out = self._model.generate(
                        input_ids=rows.input_ids.to(self.tower.device),
                        attention_mask=rows.attention_mask.to(self.tower.device),
                        logits_processor=LogitsProcessorList(only),
                        **self._marked(rows),
                        **self._beside(rows, inputs),
                        **inputs,
                    )
                finally:
                    self._model.generation_config = stated
            found = read_rows(out[:, rows.input_ids.shape[1] :].tolist(), end_ids)
            answers.update(zip(numbers, found, strict=True))
        return [answers[number] for number in sorted(answers)]

    def _parts(
        self, tokens: Tokens, pictures: Recording | None
    ) -> Iterator[tuple[Sequence[int], Tokens, Recording | None]]:
        """What goes through the model in one call: the numbers of rows, these and their pictures.

        All rows, but where pictures are read beside the tokens: there those with equally many. In
        the library a row is also shown what fills up to the most pictures of a row, and one
        without pictures is run as if it had some, so that it would depend on the others.
        """
        virtual = self._virtual_ids()
        rows = fronted(tokens, virtual) if virtual else tokens
        if self.tower.beside is None or pictures is None:
            yield range(len(rows.input_ids)), rows, pictures
            return
        for numbers, shown in alike(rows.image_mask, pictures):
            yield numbers, _chosen(rows, numbers), shown

    def _beside(
        self, tokens: Tokens, inputs: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Which token reads which tile, where pictures are read beside the tokens."""
        beside = self.tower.beside
        if beside is None or not inputs:
            return {}
        return {beside.mask: seen(tokens.image_mask.to(self.tower.device), inputs[beside.tiles])}

    def _virtual_ids(self) -> Sequence[int]:
        """The tokens that an adapter puts in front of each row: those of what embeds tokens."""
        found: Sequence[int] = getattr(self._model.get_input_embeddings(), "virtual_ids", ())
        return found

    def _branched(
        self, tokens: Tokens, inputs: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Which tokens see each other, and where they stand, where answers share a prompt."""
        import torch

        if tokens.branches is None:
            return {}
        owners = tokens.branches.owners.to(self.tower.device)
        there, seeing = owners[:, None, :], owners[:, :, None]
        length = owners.shape[1]
        before = torch.ones(length, length, dtype=torch.bool, device=owners.device).tril()
        seen = before & ((there == 0) | (there == seeing))
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=owners.device)
        mask = mask.masked_fill(~seen, torch.finfo(mask.dtype).min)
        restarts = tokens.branches.restarts.to(owners.device)
        places = self._places(tokens, inputs)
        return {"attention_mask": mask[:, None], "position_ids": places - restarts}

    def _places(self, tokens: Tokens, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Positions as the library counts them of rows without branches."""
        import torch

        ids = tokens.input_ids.to(self.tower.device)
        index = getattr(self._model.model, "get_rope_index", None)
        if index is not None and inputs:
            accepted = inspect.signature(index).parameters
            given = {**self._marked(tokens), **inputs}
            own = {name: value for name, value in given.items() if name in accepted}
            found: torch.Tensor = index(ids, **own)[0]
            return found
        return torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)

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
