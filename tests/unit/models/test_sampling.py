"""The next token drawn by its probability."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from kolm import digest
from kolm.models.sampling import Draws, Sampler

torch = pytest.importorskip("torch")

SEEDS = [digest.of_bytes(bytes([number])) for number in range(4)]
LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf])


def draw(temperature: str, seeds: list[digest.Digest], steps: int) -> list[list[int]]:
    sampler = Sampler(Draws(temperature=Decimal(temperature), seeds=seeds))
    rows, every = LOGITS.expand(len(seeds), -1), range(len(seeds))
    drawn = (sampler(rows, every).tolist() for _ in range(steps))
    return [list(row) for row in zip(*drawn, strict=True)]


@pytest.mark.parametrize("temperature", ["0.5", "1", "2"])
def test_tokens_come_as_often_as_their_probability_says(temperature: str) -> None:
    steps = 4000
    [tokens] = draw(temperature, SEEDS[:1], steps)
    wanted = torch.softmax(LOGITS.double() / float(temperature), dim=0)
    counts = Counter(tokens)
    assert counts[4] == 0  # what has no probability is never drawn
    # Pearson's statistic of three degrees of freedom is above 16.27 in one of a thousand draws.
    expected = [float(p) * steps for p in wanted[:4]]
    assert sum((counts[i] - e) ** 2 / e for i, e in enumerate(expected)) < 16.27


def test_a_low_temperature_takes_the_most_likely_token() -> None:
    assert set(map(tuple, draw("0.001", SEEDS, 20))) == {(0,) * 20}


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    together = draw("1", SEEDS, 30)
    assert together[2] == draw("1", SEEDS[2:3], 30)[0]
    assert together == [draw("1", [seed], 30)[0] for seed in SEEDS]
    assert len(set(map(tuple, together))) == len(SEEDS)


def test_rows_may_be_drawn_some_at_a_time() -> None:
    sampler = Sampler(Draws(temperature=Decimal(1), seeds=SEEDS))
    drawn = [sampler(LOGITS.expand(2, -1), rows).tolist() for rows in ((3, 1), (3, 1), (0, 2))]
    first = draw("1", SEEDS, 2)
    assert drawn == [
        [first[3][0], first[1][0]],
        [first[3][1], first[1][1]],
        [first[0][0], first[2][0]],
    ]


def test_half_precision_is_drawn_from_as_it_is() -> None:
    sampler = Sampler(Draws(temperature=Decimal(1), seeds=SEEDS[:1]))
    assert sampler(LOGITS[None].bfloat16(), [0]).dtype == torch.int64


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        Sampler(Draws(temperature=Decimal(0), seeds=SEEDS))
    with pytest.raises(ValueError, match="seeds"):
        Sampler(Draws(temperature=Decimal(1), seeds=SEEDS))(LOGITS[None], [0, 1])
