"""The contract of every family's forward pass: the tower from recordings, all else the library's.

Models are tiny and random.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import threading
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")

from kolm import digest, methods, roles  # noqa: E402
from kolm.adapters.attach import attach  # noqa: E402
from kolm.capture.images import inspect  # noqa: E402
from kolm.encode.batches import collate  # noqa: E402
from kolm.encode.encoder import Encoder  # noqa: E402
from kolm.encode.kept_features import KeptFeatures  # noqa: E402
from kolm.encode.pictures import PictureReader  # noqa: E402
from kolm.encode.skeleton import dated  # noqa: E402
from kolm.errors import Refused  # noqa: E402
from kolm.evaluate.session import load_adapter  # noqa: E402
from kolm.format import adapter_config  # noqa: E402
from kolm.methods.projector import Projector, in_projector  # noqa: E402
from kolm.models.base import load_base, make_forward  # noqa: E402
from kolm.models.forward import Branches, Forward, logits_of  # noqa: E402
from kolm.models.pictures import ImageRun, PictureProcessor  # noqa: E402
from kolm.models.shapes import shares_prompts  # noqa: E402
from kolm.models.taps import Recording, join  # noqa: E402
from kolm.spec.options import resolve_method  # noqa: E402
from kolm.train.checkpoints import encode_tensors  # noqa: E402
from kolm.train.survey import digest_tensor  # noqa: E402
from tests.support import families  # noqa: E402
from tests.support.tiny_vlm import make_capture, make_picture  # noqa: E402

pytestmark = pytest.mark.heavy

EVERY = sorted(roles.FAMILIES)
SEEING = sorted(families.SEEING)
# Rows of a batch: how many tokens of text, and the numbers of its pictures.
ROWS = ((9, (0,)), (14, (1, 2)))
# Those of a family whose library shows a row with few pictures what fills up to the most.
ALIKE = ((9, (0, 3)), (14, (1, 2)))


class World(NamedTuple):
    """A model of a family, its forward pass, and what its processor gives."""

    model: Any
    forward: Forward
    pictures: PictureProcessor
    sizes: tuple[tuple[int, int], ...]

    def picture(self, number: int) -> tuple[dict[str, Any], ImageRun]:
        """The tensors and the run of a picture; sizes differ by number."""
        return self.pictures.inputs(make_picture(number, *self.sizes[number % len(self.sizes)]))

    @property
    def sees(self) -> bool:
        """Whether it takes pictures."""
        return self.pictures.table.takes_pictures

    @property
    def rows(self) -> tuple[tuple[int, tuple[int, ...]], ...]:
        """The rows of a batch, without pictures where it takes none."""
        if self.pictures.table.beside:
            return ALIKE
        return ROWS if self.sees else tuple((length, ()) for length, _ in ROWS)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the pictures of `rows`."""
        return tuple(number for _, own in self.rows for number in own)

    @property
    def projector(self) -> Projector:
        """What is trained of its projector by default."""
        return "full" if self.sees else None

    def recorded_rows(self) -> Recording | None:
        """The pictures of `rows`, as they were recorded."""
        return self.recorded(*self.numbers) if self.sees else None

    def shown_rows(self) -> dict[str, Any]:
        """What the model takes for the pictures of `rows`."""
        return self.live(*self.numbers) if self.sees else {}

    def replaying(self, recording: Recording | None) -> Any:
        """The tower as it is for these pictures."""
        if recording is None:
            return contextlib.nullcontext()
        return self.forward.tower.replaying(recording)

    def shown(self, *numbers: int) -> Recording:
        """Pictures as the tower is shown them."""
        parts = [Recording(pictures=1, inputs=self.picture(n)[0]) for n in numbers]
        return join(parts)

    def live(self, *numbers: int) -> dict[str, Any]:
        """Pictures as the model takes them."""
        return self.forward.tower.shown(self.shown(*numbers).inputs)

    def recorded(self, *numbers: int) -> Recording:
        """Pictures as they were recorded, each alone."""
        return join([self.forward.tower.record(self.picture(n)[0], 1) for n in numbers])

    @property
    def tokenizer(self) -> Any:
        """Of the processor."""
        return self.pictures.processor.tokenizer

    def batch(self, *rows: tuple[int, tuple[int, ...]], side: str = "right") -> Any:
        """Rows of ids, padded on a side; the ids of a row follow from its length alone."""
        control = self.pictures.control_tokens
        words = torch.tensor([n for n in range(len(self.tokenizer)) if n not in control])
        every = []
        for length, numbers in rows:
            generator = torch.Generator().manual_seed(length)
            ids = words[torch.randint(len(words), (length,), generator=generator)].tolist()
            for number in reversed(numbers):
                run = self.picture(number)[1].text
                ids[2:2] = [*self.tokenizer.encode(run, add_special_tokens=False), int(words[0])]
            every.append(ids)
        longest = max(map(len, every))
        input_ids = torch.full((len(every), longest), self.tokenizer.pad_token_id)
        attention_mask = torch.zeros_like(input_ids)
        for row, ids in enumerate(every):
            start = longest - len(ids) if side == "left" else 0
            input_ids[row, start : start + len(ids)] = torch.tensor(ids)
            attention_mask[row, start : start + len(ids)] = 1
        shown = input_ids == self.pictures.image_token_id
        answered = torch.zeros_like(input_ids)  # from the last but two of each row on
        if side == "right":
            answered[torch.arange(longest) >= attention_mask.sum(1, keepdim=True) - 2] = 1
        return SimpleNamespace(
            input_ids=input_ids,
            attention_mask=attention_mask,
            image_mask=shown.long(),
            answer_mask=answered,
            branches=None,
            beside=self.beside(input_ids, rows),
        )

    def beside(self, input_ids: Any, rows: tuple[tuple[int, tuple[int, ...]], ...]) -> Any:
        """What the library's processor says of which token reads which picture, where a family
        asks that."""
        beside = self.pictures.table.beside
        if beside is None or not any(numbers for _, numbers in rows):
            return {}
        from transformers.models.mllama import processing_mllama as library

        tiles = [[self.picture(n)[0][beside.tiles] for n in numbers] for _, numbers in rows]
        mask = library.convert_sparse_cross_attention_mask_to_dense(
            [
                library.get_cross_attention_token_mask(row, self.pictures.image_token_id)
                for row in input_ids.tolist()
            ],
            num_tiles=[[int(tile.sum()) for tile in own] for own in tiles],
            max_num_tiles=max(tile.shape[-1] for own in tiles for tile in own),
            length=input_ids.shape[1],
        )
        return {beside.mask: torch.from_numpy(mask)}

    def arguments(self, batch: Any) -> dict[str, Any]:
        """A batch as the model takes it."""
        marks = Forward(
            self.model,
            self.forward.tower,
            prefix_attention=self.pictures.table.prefix_attention,
        )._marked(batch)
        masks = {"attention_mask": batch.attention_mask, **batch.beside}
        return {"input_ids": batch.input_ids, **masks, **marks}


def make_world(name: str, scale: float = 1.0) -> World:
    model = families.make_model(name, scale=scale)
    forward = make_forward(model, roles.family(name))
    return World(model, forward, families.pictures(name), families.BASES[name].sizes)


made = lru_cache(maxsize=None)(make_world)


@pytest.fixture(params=EVERY)
def world(request: pytest.FixtureRequest) -> World:
    """A model of every family; no test changes it."""
    return made(request.param)


@pytest.fixture(params=SEEING)
def seeing(request: pytest.FixtureRequest) -> World:
    """Of every family that takes pictures."""
    return made(request.param)


def overridden(model: Any) -> dict[str, Any]:
    """The modules that do not answer as their class does."""
    found = {name: vars(module).get("forward") for name, module in model.named_modules()}
    return {name: forward for name, forward in found.items() if forward is not None}


@pytest.mark.parametrize("numbers", [(0,), (0, 0), (1,)])
def test_logits_are_the_librarys_where_the_tower_makes_the_same_call(
    seeing: World, numbers: tuple[int, ...]
) -> None:
    batch, shown = seeing.batch((9, numbers)), seeing.shown(*numbers)
    recording = seeing.forward.tower.record(shown.inputs, len(numbers))
    with torch.no_grad():
        live = seeing.model(**seeing.arguments(batch), **seeing.live(*numbers)).logits
        with seeing.forward.tower.replaying(recording):
            replayed = seeing.model(**seeing.arguments(batch), **recording.inputs).logits
        features = [seeing.forward.features(pictures) for pictures in (shown, recording)]
    assert torch.equal(live, replayed)
    assert torch.equal(*features)


def test_pictures_that_were_recorded_one_by_one_give_a_live_batch_within_rounding(
    seeing: World,
) -> None:
    batch, recording = seeing.batch(*seeing.rows), seeing.recorded_rows()
    assert recording is not None
    with torch.no_grad():
        live = seeing.model(**seeing.arguments(batch), **seeing.shown_rows()).logits
        with seeing.forward.tower.replaying(recording):
            replayed = seeing.model(**seeing.arguments(batch), **recording.inputs).logits
    real = batch.attention_mask.bool()
    torch.testing.assert_close(replayed[real], live[real], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", SEEING)
def test_every_picture_counts_and_the_order_too(name: str) -> None:
    world = made(name, 4.0)
    batch, one = world.batch((9, (0, 0))), world.picture(0)[0]
    other = {**one, "pixel_values": torch.flip(one["pixel_values"], (0, -1))}
    first, second = (world.forward.tower.record(inputs, 1) for inputs in (one, other))
    with torch.no_grad():
        pairs = [(first, second), (second, first), (first, first)]
        states = [world.forward.hidden(batch, join(pair)) for pair in pairs]
    assert not any(torch.allclose(a, b) for a, b in itertools.combinations(states, 2))


def test_hidden_states_of_a_padded_batch_are_those_of_its_rows(world: World) -> None:
    with torch.no_grad():
        hidden = world.forward.hidden(world.batch(*world.rows), world.recorded_rows())
        for found, row in zip(hidden, world.rows, strict=True):
            shown = world.recorded(*row[1]) if row[1] else None
            (own,) = world.forward.hidden(world.batch(row), shown)
            torch.testing.assert_close(found[: len(own)], own, atol=1e-5, rtol=0)


def test_hidden_states_without_a_mask_are_those_of_the_librarys_forward(world: World) -> None:
    batch, recording = world.batch(*world.rows), world.recorded_rows()
    with torch.no_grad():
        hidden = world.forward.hidden(batch, recording)
        with world.replaying(recording):
            stock = world.model.model(**world.arguments(batch), **world.shown_rows())
    real = batch.attention_mask.bool()
    torch.testing.assert_close(hidden[real], stock.last_hidden_state[real], atol=1e-5, rtol=0)


def test_a_plan_knows_whether_answers_share_a_prompt(world: World) -> None:
    config = world.model.config.to_dict()
    assert shares_prompts(config, world.pictures.table) == world.forward.branches


@pytest.mark.parametrize(
    ("config", "shared"),
    [
        ({}, True),
        ({"sliding_window": 2047}, False),  # as Phi-3 states it
        ({"text_config": {"sliding_window": None}}, True),
        ({"sliding_window": 32768, "use_sliding_window": False}, True),  # as Qwen2 does
    ],
)
def test_a_window_that_slides_shares_no_prompt(config: dict[str, Any], shared: bool) -> None:
    assert shares_prompts(config, roles.family("llama")) is shared


@pytest.mark.parametrize("name", [name for name in EVERY if roles.family(name).branches])
def test_answers_behind_one_prompt_are_those_of_rows_of_their_own(name: str) -> None:
    world = make_world(name, 4.0)
    world.model.requires_grad_(True)
    prompts = [world.batch(row).input_ids[0].tolist() for row in world.rows]
    answers = prompts[0][-4:], prompts[1][-3:]

    def read(rows: list[tuple[list[int], list[int], list[int]]], *, branched: bool) -> Any:
        """Hidden states of rows: ids, whose they are, and how far their positions go back."""
        longest = max(len(ids) for ids, *_ in rows)
        filled = [
            [part + [end] * (longest - len(part)) for part, end in zip(row, (0, 3, 0), strict=True)]
            for row in rows
        ]
        ids, owners, restarts = torch.tensor(filled).unbind(1)
        batch = SimpleNamespace(
            input_ids=ids,
            attention_mask=(owners != 3).long(),
            image_mask=(ids == world.pictures.image_token_id).long(),
            answer_mask=(owners != 0).long(),
            branches=Branches(owners, restarts) if branched else None,
        )
        return world.forward.hidden(batch, world.recorded_rows())

    def slopes(states: Any) -> list[Any]:
        weights = torch.rand(states.shape, generator=torch.Generator().manual_seed(0))
        every = dict(world.model.get_decoder().named_parameters()).values()
        found = torch.autograd.grad((states * weights).sum(), list(every), allow_unused=True)
        return [slope for slope in found if slope is not None]

    first, second = map(len, answers)
    shared = [
        (
            prompt + answers[0] + answers[1],
            [0] * len(prompt) + [1] * first + [2] * second,
            [0] * (len(prompt) + first) + [first] * second,
        )
        for prompt in prompts
    ]
    together = read(shared, branched=True)
    apart = [
        read(
            [(p + one, [0] * len(p) + [1] * len(one), [0] * len(p + one)) for p in prompts],
            branched=False,
        )
        for one in answers
    ]
    starts = [len(prompt) for prompt in prompts]
    found = [states[n : n + first + second] for states, n in zip(together, starts, strict=True)]
    due = [
        torch.cat([states[n : n + len(one)] for states, one in zip(pair, answers, strict=True)])
        for *pair, n in zip(*apart, starts, strict=True)
    ]
    torch.testing.assert_close(torch.cat(found), torch.cat(due), atol=1e-5, rtol=0)
    for one, other in zip(slopes(torch.cat(found)), slopes(torch.cat(due)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "rows", [ROWS, ((5, ()), (9, (0,))), ((6, ()), (11, ()))], ids=["pictures", "mixed", "texts"]
)
def test_answers_are_the_librarys_token_for_token(
    name: str, rows: tuple[tuple[int, tuple[int, ...]], ...]
) -> None:
    world = made(name, 4.0)
    rows = rows if world.sees else tuple((length, ()) for length, _ in rows)
    batch = world.batch(*rows, side="left")
    ends = {world.tokenizer.eos_token_id}
    numbers = [number for _, own in rows for number in own]
    answers = world.forward.answer(
        batch,
        world.recorded(*numbers) if numbers else None,
        max_new_tokens=12,
        end_ids=ends,
    )
    calls = [rows]
    if world.pictures.table.beside:  # there a row depends on how many pictures others have
        calls = [(row,) for row in rows]
    stock: list[list[int]] = []
    for call in calls:
        numbers = [number for _, own in call for number in own]
        alone = world.batch(*call, side="left")
        generated = world.model.generate(
            **world.arguments(alone),
            **(world.live(*numbers) if numbers else {}),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=sorted(ends),
            pad_token_id=world.tokenizer.eos_token_id,
        )
        stock += generated[:, alone.input_ids.shape[1] :].tolist()
    for answer, expected in zip(answers, stock, strict=True):
        assert list(answer.ids) == expected[: len(answer.ids)]
        assert len(answer.ids) == 12 or answer.ids[-1] in ends


def test_a_recording_keeps_no_pixels(seeing: World) -> None:
    recording = seeing.recorded(0, 6)  # of one size
    kept = recording.inputs["pixel_values"].untyped_storage().nbytes()
    assert recording.inputs["pixel_values"].shape == seeing.shown(0, 6).inputs["pixel_values"].shape
    assert kept < 10


def test_a_recording_that_was_kept_on_disk_is_the_same(seeing: World, tmp_path: Path) -> None:
    shown = seeing.shown(1, 1)
    recording = seeing.forward.tower.record(shown.inputs, 2)
    kept, key = KeptFeatures(tmp_path, 1 << 30), digest.of_bytes(b"key")
    assert kept.save(key, recording)
    found = kept.load(key, 2)
    assert found is not None
    for one in (found, found.in_memory()):
        for number in range(2):
            again, first = one.part(number), recording.part(number)
            assert again.inputs.keys() == first.inputs.keys() == shown.inputs.keys()
            assert all(torch.equal(again.inputs[n], first.inputs[n]) for n in first.inputs)
            assert all(again.inputs[n].dtype is first.inputs[n].dtype for n in first.inputs)
            assert all(map(torch.equal, again.outputs, first.outputs))
    batch = seeing.batch((9, (1, 1)))
    with torch.no_grad():
        states = [seeing.forward.hidden(batch, one) for one in (recording, found)]
    assert torch.equal(*states)


def test_gradients_reach_projector_and_language_and_not_the_tower(world: World) -> None:
    batch, recording = world.batch(*world.rows), world.recorded_rows()
    world.model.requires_grad_(True)
    try:
        world.forward.hidden(batch, recording).sum().backward()
        found = {n: p.grad is not None for n, p in world.model.named_parameters()}
    finally:
        world.model.requires_grad_(False)
        world.model.zero_grad()
    reached: dict[roles.Role, set[bool]] = {}
    for parameter, gradient in found.items():
        reached.setdefault(world.pictures.table.role_of(parameter), set()).add(gradient)
    for role in (roles.Role.VISION, roles.Role.AUDIO):
        assert reached.pop(role, {False}) == {False}
    reached.pop(roles.Role.HEAD, None)  # hidden states come before it
    projector = {roles.Role.PROJECTOR: {True}} if world.sees else {}
    assert reached == {**projector, roles.Role.LANGUAGE: {True}}


def test_the_model_is_restored_however_a_replay_ends(seeing: World) -> None:
    before, tower = overridden(seeing.model), seeing.forward.tower
    recording = tower.record(seeing.picture(0)[0], 1)
    assert overridden(seeing.model) == before
    with pytest.raises(ZeroDivisionError), tower.replaying(recording):
        assert overridden(seeing.model) != before
        raise ZeroDivisionError
    assert overridden(seeing.model) == before
    with pytest.raises(Refused), tower.replaying(recording):
        pass
    assert overridden(seeing.model) == before


def test_a_replay_that_is_not_the_recorded_call_is_refused(seeing: World) -> None:
    tower, batch = seeing.forward.tower, seeing.batch((9, (0,)))
    recording = tower.record(seeing.picture(0)[0], 1)
    arguments = {**seeing.arguments(batch), **recording.inputs}
    cut = replace(recording, outputs=tuple(t[..., :-1] for t in recording.outputs))
    for replayed, calls in ((recording, 2), (recording, 0), (cut, 1)):
        with pytest.raises(Refused) as caught, torch.no_grad(), tower.replaying(replayed):
            for _ in range(calls):
                seeing.model(**arguments)
        assert caught.value.code == "E_MODEL_TAPS"


def test_another_thread_sees_the_tower_as_it_is(seeing: World) -> None:
    tower, batch = seeing.forward.tower, seeing.batch((9, (0,)))
    shown, recording = seeing.live(0), seeing.recorded(0)
    zeros = replace(recording, outputs=tuple(torch.zeros_like(t) for t in recording.outputs))
    found = []

    def live() -> None:
        with torch.no_grad():
            found.append(seeing.model(**seeing.arguments(batch), **shown).logits)

    live()
    with torch.no_grad(), tower.replaying(zeros):
        thread = threading.Thread(target=live)
        thread.start()
        thread.join()
        seeing.model(**seeing.arguments(batch), **recording.inputs)
    assert torch.equal(*found)


def test_replays_of_two_threads_wait_for_each_other(seeing: World) -> None:
    batch, recording = seeing.batch((9, (0,))), seeing.recorded(0)
    found: list[Any] = []

    def replay() -> None:
        with torch.no_grad():
            found.append(seeing.forward.hidden(batch, recording))

    threads = [threading.Thread(target=replay) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(found[0], other) for other in found)


DORA = ("gemma3", "idefics3", "llava", "qwen2_5_vl")  # one of each kind of tower


DEFAULTS = [kind for kind, method in methods.METHODS.items() if method.ANY_LAYER]


@pytest.mark.parametrize(
    ("name", "kind", "dora"),
    [(n, kind, False) for n in EVERY for kind in DEFAULTS] + [(n, "lora", True) for n in DORA],
)
def test_steps_of_training_leave_the_tower_as_it_was(name: str, kind: str, dora: bool) -> None:
    """With what a method adapts where a spec names no layers."""
    world, table = make_world(name), roles.family(name)
    vision = {
        n: p for n, p in world.model.named_parameters() if table.role_of(n) is roles.Role.VISION
    }
    before = {n: digest_tensor(p) for n, p in vision.items()}
    recording = world.recorded_rows()
    options = {"kind": kind, **({"dora": True} if dora else {})}
    method = methods.method_of(resolve_method(options, table, vision=False))
    attached = attach(
        world.model, table, method, projector=world.projector, adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    assert any("magnitude" in t.name for t in attached.tensors) == dora
    weights = {t.name: t.parameter.detach().clone() for t in attached.tensors}
    roles_adapted = {table.role_of(t.module) for t in attached.tensors if not t.whole}
    assert roles_adapted == {roles.Role.LANGUAGE}
    optimizer = torch.optim.AdamW([t.parameter for t in attached.tensors], lr=1e-2)
    batch = world.batch(*world.rows)
    for _ in range(3):
        hidden = world.forward.hidden(batch, recording)
        logits = logits_of(world.model, hidden)[:, :-1].flatten(0, 1)
        # The token of a picture may be one that the head cannot write.
        labels = batch.input_ids[:, 1:].flatten() % logits.shape[-1]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert bool(vision) == world.sees
    assert {n: digest_tensor(p) for n, p in vision.items()} == before
    assert not any(torch.equal(weights[t.name], t.parameter) for t in attached.tensors)


@pytest.mark.parametrize("name", SEEING)
def test_a_projector_of_half_precision_is_trained_in_float32(name: str) -> None:
    """Held so, it gets its input so, whatever it begins with; the base stays as it is."""
    world, table = make_world(name), roles.family(name)
    world.model.to(torch.bfloat16)
    recording = world.recorded_rows()
    method = methods.method_of(resolve_method({"kind": "lora"}, table, vision=False))
    attached = attach(
        world.model, table, method, projector="full", adapt_vision=False,
        seed=digest.of_bytes(b"seed"),
    )  # fmt: skip
    whole = [tensor for tensor in attached.tensors if tensor.whole]
    assert whole
    hidden = world.forward.hidden(world.batch(*world.rows), recording)
    assert hidden.dtype is torch.bfloat16
    hidden.float().square().sum().backward()
    assert all(t.parameter.dtype is torch.float32 for t in attached.tensors)
    assert all(t.parameter.grad is not None and bool(t.parameter.grad.any()) for t in whole)


def whole_projector(name: str) -> Projector:
    """What is trained of a family's projector by default."""
    return "full" if name in SEEING else None


# Layers of kolm's own are held on one family (test_methods.py); on all in `make acceptance`.
OWN = ("bottleneck", "prefix")


@pytest.mark.parametrize(
    ("name", "kind", "projector"),
    [
        *((n, kind, whole_projector(n)) for n in EVERY for kind in ("lora", "ia3")),
        *((n, "lora", "lora") for n in SEEING),
        *(
            pytest.param(n, kind, whole_projector(n), marks=pytest.mark.slow)
            for n in EVERY
            for kind in OWN
            if (n, kind) != ("phi3", "prefix")  # it has no layer that makes values alone
        ),
    ],
)
def test_a_shipped_adapter_opens_and_gives_the_logits_of_the_trained_model(
    name: str, kind: str, projector: Projector, tmp_path: Path
) -> None:
    """In PEFT, or where PEFT has no such method in kolm."""
    peft = pytest.importorskip("peft")
    world, table = make_world(name), roles.family(name)
    stated = resolve_method({"kind": kind}, table, vision=False)
    method, seed = methods.method_of(stated), digest.of_bytes(b"seed")
    options = {"projector": projector, "adapt_vision": False, "seed": seed}
    inside = [module for n, module in world.model.named_modules() if in_projector(n, table)]
    if projector == "lora" and not any(isinstance(m, torch.nn.Linear) for m in inside):
        with pytest.raises(Refused):
            attach(world.model, table, method, **options)
        return
    attached = attach(world.model, table, method, **options)
    with torch.no_grad():
        for number, tensor in enumerate(attached.tensors):
            tensor.parameter.add_(_noise(number, tensor.parameter) * 0.1)
    states = {
        tensor.module: "trained" if tensor.whole else "adapted" for tensor in attached.tensors
    }
    rows = [
        {"module": module, "state": state, "role": table.role_of(module).value}
        for module, state in states.items()
    ]
    lock = {"base": {"id": "local/base"}, "train": {"method": stated}}
    weights = encode_tensors({tensor.name: tensor.parameter for tensor in attached.tensors})
    (tmp_path / "adapter_config.json").write_bytes(adapter_config.derive(lock, rows))
    (tmp_path / "adapter_model.safetensors").write_bytes(weights)
    attached.model.requires_grad_(False)  # else torch's matmul may have another order
    opened = peft.PeftModel.from_pretrained if kind not in OWN else load_adapter
    loaded = opened(families.make_model(name), tmp_path).eval()
    arguments = {**world.arguments(world.batch(*world.rows)), **world.shown_rows()}
    with torch.no_grad():
        expected = attached.model(**arguments).logits
        assert torch.equal(loaded(**arguments).logits, expected)
        plain = families.model(name)(**arguments).logits
        assert not torch.allclose(plain, expected)
        for model in (loaded, attached.model):
            with model.disable_adapter():
                assert torch.equal(model(**arguments).logits, plain)


def _noise(number: int, like: Any) -> Any:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(number))


@pytest.mark.parametrize("name", EVERY)
def test_encoded_captures_give_the_logits_of_the_processors_own_batch(
    name: str, tmp_path: Path
) -> None:
    base = load_base(families.save(name, tmp_path / "base"), dtype="float32")
    stored = {}

    def picture(seed: int, width: int, height: int) -> dict[str, Any]:
        out = io.BytesIO()
        make_picture(seed, width, height).save(out, "PNG")
        facts = inspect(out.getvalue())
        stored[facts.file] = out.getvalue()
        return facts._asdict()

    sees = base.pictures.table.takes_pictures
    first = [picture(1, 60, 40)] if sees else []
    if base.pictures.table.beside:  # as many as the second has
        first.append(picture(4, 30, 60))
    captures = [
        {
            **make_capture(
                ("user", [*range(len(first)), "what is it?"] if sees else "what is it?"),
                ("assistant", "a red square"),
                images=len(first) or 1,
            ),
            "images": first,
        },
        {
            **make_capture(
                ("user", [0, 1, "which is left?"] if sees else "which is left?"),
                ("assistant", "one"),
                images=2,
            ),
            "images": [picture(2, 60, 40), picture(3, 40, 70)] if sees else [],
        },
    ]
    encoder = Encoder(base.pictures, max_seq_length=500, max_images=4)
    reader = PictureReader(processor=base.pictures, read=stored.__getitem__)
    batch = collate(
        [encoder.encode(capture) for capture in captures],
        image_token_id=base.pictures.image_token_id,
        pad_token_id=base.pad_token_id,
    )
    alone = [base.forward.tower.record(reader.shown(use).inputs, 1) for use in batch.images]
    shown = iter([reader.picture(use) for use in batch.images])
    processed = families.whole(
        name,
        families.processor(name),
        [families.messages(capture, shown, sees=sees) for capture in captures],
        dated(encoder._conversations.template),
    )
    assert torch.equal(processed["input_ids"], batch.input_ids)
    with torch.no_grad():
        stock = base.model(**processed).logits
        hidden = base.forward.hidden(batch, join(alone) if sees else None)
        found = logits_of(base.model, hidden)
    real = batch.attention_mask.bool()
    torch.testing.assert_close(found[real], stock[real], atol=1e-6, rtol=0)
