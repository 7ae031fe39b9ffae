"""How often the intervals of an evaluation cover the truth, on packs whose cases go together.

    python -m bench.coverage --draws 10000

Each picture has a share of its questions right that is drawn from a beta law of the given mean and
intra-class correlation, and each question is right with that chance. Counted is in how many packs
Wilson's interval (docs/format/evaluation.md, E5) and the clustered one (E14) hold the true mean.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kolm.score.clusters import measure
from kolm.score.intervals import summarise
from kolm.score.rounding import MILLION

Sizes = Callable[[random.Random], int]
SIZES: dict[str, Sizes] = {
    "1": lambda _: 1,
    "5": lambda _: 5,
    "1 to 10": lambda rng: rng.randint(1, 10),
    "geometric, mean 5": lambda rng: _geometric(rng, 0.2),
}


class Setting(NamedTuple):
    """What packs are drawn from."""

    pictures: int
    questions: str  # of a picture: a key of SIZES
    mean: float
    correlation: float


SETTINGS = (
    Setting(100, "1", 0.8, 0.0),
    Setting(100, "5", 0.8, 0.0),
    Setting(100, "5", 0.8, 0.3),
    Setting(100, "5", 0.9, 0.3),
    Setting(100, "1 to 10", 0.8, 0.3),
    Setting(200, "5", 0.9, 0.6),
    Setting(200, "1 to 10", 0.8, 0.6),
    Setting(200, "1 to 10", 0.9, 0.3),
    Setting(100, "geometric, mean 5", 0.95, 0.6),
)


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print("| pictures | questions a picture | mean | correlation | Wilson | clustered |")
    print("|---|---|---|---|---|---|")
    for setting in SETTINGS:
        plain, together = coverage(setting, asked.draws, random.Random(asked.seed))
        cells = (*setting, f"{plain:.1%}", f"{together:.1%}")
        print("|", " | ".join(map(str, cells)), "|", flush=True)


def coverage(setting: Setting, draws: int, rng: random.Random) -> tuple[float, float]:
    """In what share of the packs each interval holds the mean that they were drawn with."""
    plain = together = 0
    for _ in range(draws):
        pictures, scores = zip(*pack(setting, rng), strict=True)
        own = summarise(scores)["interval"]
        joined = measure({"adapter": scores, "base": scores, "blind": ()}, pictures)["adapter"]
        plain += float(own["low"]) <= setting.mean <= float(own["high"])
        together += float(joined["low"]) <= setting.mean <= float(joined["high"])
    return plain / draws, together / draws


def pack(setting: Setting, rng: random.Random) -> Iterator[tuple[tuple[str], int]]:
    """The cases of one pack: picture and score."""
    for picture in range(setting.pictures):
        chance = _chance(setting.mean, setting.correlation, rng)
        for _ in range(SIZES[setting.questions](rng)):
            yield (str(picture),), MILLION * (rng.random() < chance)


def _chance(mean: float, correlation: float, rng: random.Random) -> float:
    if not correlation:
        return mean
    spread = 1 / correlation - 1
    return rng.betavariate(mean * spread, (1 - mean) * spread)


def _geometric(rng: random.Random, chance: float) -> int:
    size = 1
    while rng.random() >= chance:
        size += 1
    return size


if __name__ == "__main__":
    main()
