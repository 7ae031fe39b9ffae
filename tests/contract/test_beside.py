"""The contract of pictures that are read beside the text: a row does not depend on the others.

In the library it does: a row is also shown what fills up to the most pictures of a row.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from kolm import digest, roles  # noqa: E402
from kolm.errors import Refused  # noqa: E402
from kolm.models.forward import logits_of  # noqa: E402
from kolm.models.sampling import Draws, Sampler  # noqa: E402
from kolm.spec.load import load_spec  # noqa: E402
from kolm.spec.resolve import advice_on, train_block  # noqa: E402
from tests.contract.test_family_forward import World, made  # noqa: E402

pytestmark = pytest.mark.heavy

BESIDE = [name for name, table in roles.FAMILIES.items() if table.beside]
MIXED = ((9, (0,)), (5, ()), (14, (1, 2)), (7, (3,)))
NUMBERS = (0, 1, 2, 3)
each_family = pytest.mark.parametrize("name", BESIDE)


def stock(world: World, batch: Any, *numbers: int) -> Any:
    """Logits of the library's own forward pass."""
    with torch.no_grad():
        shown = world.shown(*numbers).inputs if numbers else {}
        return world.model(**world.arguments(batch), **shown).logits


def test_there_are_such_families() -> None:
    assert "mllama" in BESIDE


@each_family
def test_rows_of_a_mixed_batch_are_the_librarys_own_of_each_row_alone(name: str) -> None:
    world = made(name, 4.0)
    with torch.no_grad():
        hidden = world.forward.hidden(world.batch(*MIXED), world.recorded(*NUMBERS))
        found = logits_of(world.model, hidden)
    for logits, row in zip(found, MIXED, strict=True):
        (own,) = stock(world, world.batch(row), *row[1])
        torch.testing.assert_close(logits[: len(own)], own, atol=1e-5, rtol=1e-5)


@each_family
def test_a_batch_with_as_many_pictures_in_each_row_is_the_librarys_bit_for_bit(name: str) -> None:
    world = made(name, 4.0)
    rows = ((9, (0, 3)), (9, (3, 0)))  # no padding, which the library hides by a mask
    batch, numbers = world.batch(*rows), [n for _, own in rows for n in own]
    recording = world.forward.tower.record(world.shown(*numbers).inputs, len(numbers))
    with torch.no_grad():
        found = logits_of(world.model, world.forward.hidden(batch, recording))
    assert torch.equal(found, stock(world, batch, *numbers))


@each_family
def test_in_the_library_a_row_depends_on_how_many_pictures_others_have(name: str) -> None:
    """Without this the rows of a batch need not be parted."""
    world = made(name, 4.0)
    (alone,) = stock(world, world.batch(MIXED[0]), 0)
    rows = (MIXED[0], MIXED[2])
    inputs = dict(world.shown(0, 0, 1, 2).inputs)
    filled = {n: torch.stack((v[:2], v[2:])).squeeze(2) for n, v in inputs.items()}
    for tensor in filled.values():
        tensor[0, 1] = 0
    filled["aspect_ratio_mask"][0, 1, 0] = 1  # as the library's image processor fills up
    with torch.no_grad():
        among = world.model(**world.arguments(world.batch(*rows)), **filled).logits[0]
    assert not torch.allclose(among[: len(alone)], alone, atol=1e-3)


@each_family
def test_answers_of_a_mixed_batch_are_drawn_as_those_of_each_row_alone(name: str) -> None:
    world = made(name, 4.0)
    seeds = [digest.of_bytes(bytes([number])) for number in range(len(MIXED))]

    def drawn(rows: Any, numbers: Any, own: Any) -> list[tuple[int, ...]]:
        answers = world.forward.answer(
            world.batch(*rows, side="left"),
            world.recorded(*numbers) if numbers else None,
            max_new_tokens=8,
            end_ids={world.tokenizer.eos_token_id},
            choose=Sampler(Draws(temperature=Decimal(1), seeds=own)),
        )
        return [answer.ids for answer in answers]

    together = drawn(MIXED, NUMBERS, seeds)
    alone = [drawn([r], r[1], [s])[0] for r, s in zip(MIXED, seeds, strict=True)]
    assert together == alone
    assert len(set(together)) == len(MIXED)


@each_family
def test_several_processes_would_wait_for_one_another(name: str) -> None:
    train = {"processes": 2, "accumulation": 2}
    spec = load_spec(
        {"kolm": 1, "name": "x", "base": "b", "data": {"captures": "c"}, "train": train}
    )

    def block_of(family: str) -> Any:
        advice = advice_on(spec.train, "b", family)
        return train_block(spec.train, advice, spec.evaluation, examples=100, family_name=family)

    with pytest.raises(Refused) as caught:
        block_of(name)
    assert (caught.value.code, caught.value.where) == ("E_SPEC_CONFLICT", "train.processes")
    assert block_of("llava")["accumulation"] == 2
