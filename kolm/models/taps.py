"""Models: a frozen tower answered from recordings, everything else by the library's own forward.

A family names its taps: the modules whose outputs are all that the projector reads of the tower.
They are recorded once for pictures that go through the tower in one call, and replayed in place of
the tower afterwards. Selecting a layer, pooling, the projector, placing features among the tokens,
masks and positions stay the library's code. Replaying what a call gave gives that call's bits.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from kolm.errors import Refused

if TYPE_CHECKING:
    import torch
    from torch.utils._pytree import TreeSpec
    from transformers import PreTrainedModel

    from kolm.roles import Beside, Taps

Answer = Callable[..., object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What the library reads of the tower for some pictures.

    Attributes:
        pictures: how many.
        inputs: what the image processor gave for them, under the names of the model's arguments.
            Of pixels, which only the tower reads, the shape is kept, and so it is of a mask over
            pixels that hides none.
        outputs: the tensors that are read of the taps' outputs, in the order of the tower's calls;
            of a tower that gives a grid of patches with its two axes.
            Without any the tower is not replayed but computes, on `inputs` that are whole.
    """

    pictures: int
    inputs: Mapping[str, torch.Tensor]
    outputs: tuple[torch.Tensor, ...] = ()

    @property
    def size_bytes(self) -> int:
        """What the outputs take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.outputs)

    def in_memory(self) -> Recording:
        """The same in memory of its own."""
        inputs = {
            name: tensor if is_stand_in(tensor) else tensor.clone()
            for name, tensor in self.inputs.items()
        }
        return replace(self, inputs=inputs, outputs=tuple(o.clone() for o in self.outputs))

    def part(self, number: int) -> Recording:
        """One of the pictures, which are of one size and so share every tensor evenly."""

        def share(tensor: torch.Tensor) -> torch.Tensor:
            rows = len(tensor) // self.pictures
            return tensor.narrow(0, number * rows, rows)

        return Recording(
            pictures=1,
            inputs={name: share(tensor) for name, tensor in self.inputs.items()},
            outputs=tuple(share(tensor) for tensor in self.outputs),
        )


def join(recordings: Sequence[Recording]) -> Recording:
    """Recordings of pictures, one after the other; at least one."""
    if len(recordings) == 1:
        return recordings[0]
    inputs = {
        name: _joined([recording.inputs[name] for recording in recordings])
        for name in recordings[0].inputs
    }
    outputs = zip(*(recording.outputs for recording in recordings), strict=True)
    return Recording(
        pictures=sum(recording.pictures for recording in recordings),
        inputs=inputs,
        outputs=tuple(map(_joined, outputs)),
    )


def stand_in(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor that takes no memory: ones, which no model takes for padding."""
    import torch

    return torch.ones((), dtype=dtype).expand(*shape)


def _put(tensor: torch.Tensor, device: str) -> torch.Tensor:
    """A tensor on a device; a stand-in takes no memory there either."""
    if is_stand_in(tensor):
        return tensor.flatten()[0].to(device).expand(tensor.shape)
    return tensor.to(device)


def is_stand_in(tensor: torch.Tensor) -> bool:
    """Whether a tensor is a `stand_in`."""
    return not any(tensor.stride())


def turned(inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inputs of pictures with the first and last axis of their pixels exchanged."""
    return {
        name: tensor.transpose(0, -1) if tensor.is_floating_point() else tensor
        for name, tensor in inputs.items()
    }


def _joined(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Tensors along their first axis, each filled up with zeros to the largest of them."""
    import torch

    rows = sum(len(tensor) for tensor in tensors)
    if len({tensor.shape[1:] for tensor in tensors}) == 1:
        if all(is_stand_in(tensor) for tensor in tensors):
            return stand_in((rows, *tensors[0].shape[1:]), tensors[0].dtype)
        return torch.cat(list(tensors))
    sizes = zip(*(tensor.shape[1:] for tensor in tensors), strict=True)
    out = tensors[0].new_zeros(rows, *map(max, sizes))
    start = 0
    for tensor in tensors:
        place = (slice(start, start + len(tensor)), *(slice(n) for n in tensor.shape[1:]))
        out[place] = tensor
        start += len(tensor)
    return out


class _Call(NamedTuple):
    """What a tap gave, by its number, taken apart."""

    tap: int
    leaves: list[torch.Tensor | None]
    structure: TreeSpec


class _Output(NamedTuple):
    """What is known of one call of a tap.

    Attributes:
        tap: its number.
        structure: of what it gives.
        read: numbers of the tensors in it that are read.
        shapes: of these, without the axes along which pictures are joined.
    """

    tap: int
    structure: TreeSpec
    read: tuple[int, ...]
    shapes: tuple[torch.Size, ...]


class Tower:
    """The tower of one model, recorded and replayed.

    A model is changed only while a context of this class holds, for the thread that entered it
    alone, and is restored however the context ends. Contexts of other threads wait.

    Args:
        model: a vision-language model of transformers, PEFT's layers in place or not.
        taps: the family's, for the model's config.
        device: where what enters the model has to be; recordings stay in the host's memory.
        beside: how the family reads pictures beside the tokens, where it does.
        in_a_row: whether the model takes pixels in a row, for which they are turned back.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        taps: Taps,
        device: str = "cpu",
        beside: Beside | None = None,
        *,
        in_a_row: bool = False,
    ) -> None:
        self._model = model
        self._in_a_row = in_a_row
        self.device = device
        self.beside = beside
        self._recorded = [model.get_submodule(name) for name in taps.recorded]
        self._passed = [model.get_submodule(name) for name in taps.passed]
        self._packed = taps.packed
        self._patch = taps.patch
        self._lock = threading.RLock()
        self._outputs: list[_Output] = []

    def features(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Projected features as the library computes them now, replayed or not: (tokens, width).

        Args:
            inputs: as `shown` gives them.
        """
        import torch

        given = self._given(inputs)
        found = getattr(given, "pooler_output", given)
        parts = [found] if isinstance(found, torch.Tensor) else found
        return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])

    def shown(self, inputs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the image processor gave, where and as the model takes it."""
        given = turned(inputs) if self._in_a_row else inputs
        return {name: _put(tensor, self.device) for name, tensor in given.items()}

    def _given(self, shown: Mapping[str, torch.Tensor]) -> Any:
        """What the library gives of pictures: the call for it, or, where the family has none, what
        the language model is handed in a forward pass that ends there."""
        if self.beside is None:
            return self._model.model.get_image_features(**shown, return_dict=True)
        import torch
        from transformers.modeling_outputs import BaseModelOutputWithPast

        handed: list[object] = []
        reader, argument = self._model.get_submodule(self.beside.reader), self.beside.states

        def take(*_: object, **named: object) -> object:
            handed.append(named[argument])
            return BaseModelOutputWithPast()

        with self._answering({reader: take}):
            ids = torch.zeros(1, 1, dtype=torch.int64, device=self.device)
            self._model.model(input_ids=ids, **shown)
        return handed[0]

    def record(self, inputs: Mapping[str, torch.Tensor], pictures: int) -> Recording:
        """Send pictures of one size through the tower, in one call of the library.

        Args:
            inputs: what the image processor gave for them.
            pictures: how many.

        Raises:
            Refused: ``E_MODEL_TAPS``, the tower does not work as the family's table says.
        """
        import torch
        from torch.utils import _pytree as pytree

        calls: list[_Call] = []

        def listen(number: int, stock: Answer) -> Answer:
            def answer(*args: object, **named: object) -> object:
                given = stock(*args, **named)
                # Taken apart here, because the library puts its features into the same object.
                calls.append(_Call(number, *pytree.tree_flatten(given)))
                return given

            return answer

        listeners = [listen(number, m.forward) for number, m in enumerate(self._recorded)]
        with torch.no_grad(), self._answering(dict(zip(self._recorded, listeners, strict=True))):
            self._given(self.shown(inputs))
        if not self._outputs:
            self._outputs = self._learn(calls, self.shown(inputs))
        recording = Recording(
            pictures=pictures,
            inputs={name: self._kept(tensor) for name, tensor in inputs.items()},
            outputs=tuple(self._laid_out(tensor, inputs).cpu() for tensor in self._read(calls)),
        )
        self._check(recording)
        for tensor in (*recording.inputs.values(), *recording.outputs):
            if len(tensor) % pictures:
                raise _differs("rows of a tensor", f"a multiple of {pictures}", str(len(tensor)))
        return recording

    @contextlib.contextmanager
    def replaying(self, recording: Recording) -> Iterator[None]:
        """While this holds, one forward pass finds in the tower what a recording holds.

        Raises:
            Refused: ``E_MODEL_TAPS``, the recording is not of this tower, or the tower is called
                otherwise than when it was recorded.
        """
        self._check(recording)
        answers = self._replayed(recording)

        def replay(number: int) -> Answer:
            def answer(*_: object, **__: object) -> object:
                expected, output = next(answers, (None, None))
                if expected != number:
                    raise _differs("its calls", f"tap {expected}", f"tap {number}")
                return output

            return answer

        replays = {module: replay(number) for number, module in enumerate(self._recorded)}
        with self._answering({**dict.fromkeys(self._passed, _pass_on), **replays}):
            yield
        if next(answers, None) is not None:
            raise _differs("its calls", f"{len(self._outputs)}", "fewer")

    def _replayed(self, recording: Recording) -> Iterator[tuple[int, object]]:
        from torch.utils import _pytree as pytree

        tensors = iter(recording.outputs)
        for output in self._outputs:
            leaves: list[object] = [None] * output.structure.num_leaves
            for number in output.read:
                tensor = _put(next(tensors), self.device)
                tensor = tensor.flatten(1, 2) if self._patch else tensor
                leaves[number] = tensor.unsqueeze(0) if self._packed else tensor
            yield output.tap, pytree.tree_unflatten(leaves, output.structure)

    def _read(self, calls: Sequence[_Call]) -> Iterator[torch.Tensor]:
        """The tensors that are read of what the taps gave."""
        if len(calls) != len(self._outputs):
            raise _differs("its calls", str(len(self._outputs)), str(len(calls)))
        for call, output in zip(calls, self._outputs, strict=True):
            if (call.tap, call.structure) != (output.tap, output.structure):
                raise _differs("what a tap gives", str(output.structure), str(call.structure))
            yield from self._picked(call.leaves, output.read)

    def _learn(self, calls: Sequence[_Call], inputs: Mapping[str, torch.Tensor]) -> list[_Output]:
        """Which tensors that the taps gave are read: those that a gradient of features reaches."""
        import torch
        from torch.utils import _pytree as pytree

        leaves = [[_as_leaf(value) for value in call.leaves] for call in calls]
        outputs = iter(
            pytree.tree_unflatten(own, call.structure)
            for own, call in zip(leaves, calls, strict=True)
        )
        replays = dict.fromkeys(self._recorded, lambda *_, **__: next(outputs))
        with torch.enable_grad(), self._answering(replays):
            given = self._given(inputs)
        asked = [value for own in leaves for value in own if _has_gradient(value)]
        computed = [
            value
            for value in pytree.tree_leaves(given)
            if _has_gradient(value) and not any(value is leaf for leaf in asked)
        ]
        ones = [torch.ones_like(value) for value in computed]
        reached = torch.autograd.grad(computed, asked, ones, allow_unused=True)
        read = {id(leaf) for leaf, g in zip(asked, reached, strict=True) if g is not None}
        if not read:
            raise _differs("what a tap gives", "tensors that the projector reads", "none")
        learned = []
        for call, own in zip(calls, leaves, strict=True):
            numbers = tuple(number for number, value in enumerate(own) if id(value) in read)
            shapes = tuple(map(self._shape, self._picked(own, numbers)))
            learned.append(_Output(call.tap, call.structure, numbers, shapes))
        return learned

    def _kept(self, tensor: torch.Tensor) -> torch.Tensor:
        """An input as a recording keeps it: what has places in a picture is only pixels."""
        if tensor.is_floating_point():
            return stand_in(tensor.shape, self._model.dtype)
        if tensor.ndim <= 3:
            return tensor
        return stand_in(tensor.shape, tensor.dtype) if bool(tensor.all()) else tensor.bool()

    def _laid_out(self, tensor: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What a tap gave as a recording has it."""
        if not self._patch:
            return tensor
        pixels = next(value for value in inputs.values() if value.is_floating_point())
        return tensor.reshape(len(tensor), pixels.shape[-2] // self._patch, -1, tensor.shape[-1])

    def _shape(self, tensor: torch.Tensor) -> torch.Size:
        """Of a tensor that a tap gave, recorded or not: what is the same for all pictures."""
        return tensor.shape[-1:] if self._patch else tensor.shape[1:]

    def _picked(
        self, leaves: Sequence[torch.Tensor | None], numbers: Iterable[int]
    ) -> Iterator[torch.Tensor]:
        """Some of the tensors that a tap gave, with pictures along their first axis."""
        for number in numbers:
            if (tensor := leaves[number]) is not None:
                yield tensor.squeeze(0) if self._packed else tensor

    def _check(self, recording: Recording) -> None:
        """Refuse a recording that is not of this tower."""
        expected = [shape for output in self._outputs for shape in output.shapes]
        found = [self._shape(tensor) for tensor in recording.outputs]
        if not expected or expected != found:
            raise _differs(
                f"the recorded tensors of {recording.pictures} pictures",
                ", ".join(str(list(shape)) for shape in expected) or "one recording before",
                ", ".join(str(list(tensor.shape)) for tensor in recording.outputs) or "none",
            )

    @contextlib.contextmanager
    def _answering(self, answers: Mapping[torch.nn.Module, Answer]) -> Iterator[None]:
        """Let modules answer otherwise, to this thread alone."""
        with self._lock:
            before = [(module, module.__dict__.get("forward")) for module in answers]
            try:
                for module, answer in answers.items():
                    module.forward = _to_this_thread(answer, module.forward)
                yield
            finally:
                for module, own in before:
                    module.__dict__.pop("forward", None)
                    if own is not None:
                        module.forward = own


def _to_this_thread(answer: Answer, stock: Answer) -> Answer:
    owner = threading.get_ident()

    def forward(*args: object, **named: object) -> object:
        chosen = answer if threading.get_ident() == owner else stock
        return chosen(*args, **named)

    return forward


def _pass_on(hidden: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    """One number of each place, which takes part in sums with any width."""
    return hidden[..., :1]


def _as_leaf(value: torch.Tensor | None) -> torch.Tensor | None:
    """A part of a tap's output, with a gradient of its own where it can have one."""
    if value is None:
        return None
    leaf = value.detach()
    return leaf.requires_grad_() if leaf.is_floating_point() else leaf


def _has_gradient(value: object) -> TypeGuard[torch.Tensor]:
    import torch

    return isinstance(value, torch.Tensor) and value.requires_grad


def _differs(what: str, expected: str, found: str) -> Refused:
    return Refused(
        "E_MODEL_TAPS",
        "the vision tower does not behave as its family's table expects",
        where=what,
        expected=expected,
        found=found,
        hint="this version of transformers may be newer than the family's table",
    )
