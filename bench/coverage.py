"""How often the intervals of an evaluation cover the truth, on packs whose cases go together.

    python -m bench.coverage --draws 10000

Each picture has a share of its questions right that is drawn from a beta law of the given mean and
intra-class correlation, and each question is right with that chance. Counted is in how many packs
Wilson's interval (docs/format/evaluation.md, E5) and the clustered one (E14) hold the true mean:
the share of all questions of all such pictures that is right.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from typing import NamedTuple

from kolm.score.clusters import measure
from kolm.score.intervals import summarise
from kolm.score.rounding import MILLION

MANY = 5  # a picture of more questions than these has many
# How often a picture has so many questions.
SIZES: dict[str, dict[int, float]] = {
    "1": {1: 1},
    "5": {5: 1},
    "1 to 10": dict.fromkeys(range(1, 11), 0.1),
    "geometric, mean 5": {size: 0.2 * 0.8 ** (size - 1) for size in range(1, 100)},
    "3, of 1 in 20 30": {3: 0.95, 30: 0.05},
    "2, of 1 in 20 60": {2: 0.95, 60: 0.05},
}


class Setting(NamedTuple):
    """What packs are drawn from."""

    pictures: int
    questions: str  # of a picture: a key of SIZES
    mean: float
    correlation: float
    mean_of_many: float | None = None  # on pictures of more than MANY questions, where it differs

    @property
    def truth(self) -> float:
        """The mean over all questions."""
        if self.mean_of_many is None:
            return self.mean
        sizes = SIZES[self.questions]
        rights = sum(often * size * self.on(size) for size, often in sizes.items())
        return rights / sum(often * size for size, often in sizes.items())

    def on(self, size: int) -> float:
        """The mean on pictures of so many questions."""
        return self.mean if self.mean_of_many is None or size <= MANY else self.mean_of_many


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
    Setting(100, "1 to 10", 0.5, 0.0),
    Setting(100, "1 to 10", 0.5, 0.9),
    Setting(100, "1 to 10", 0.95, 0.9),
    Setting(200, "geometric, mean 5", 0.05, 0.3),
    Setting(100, "3, of 1 in 20 30", 0.5, 0.3),
    Setting(100, "3, of 1 in 20 30", 0.9, 0.3),
    Setting(200, "3, of 1 in 20 30", 0.9, 0.9),
    Setting(100, "3, of 1 in 20 30", 0.9, 0.0),
    Setting(100, "2, of 1 in 20 60", 0.5, 0.3),
    Setting(100, "2, of 1 in 20 60", 0.95, 0.1),
    Setting(100, "geometric, mean 5", 0.98, 0.6),
    Setting(100, "1 to 10", 0.95, 0.3, 0.7),
    Setting(100, "geometric, mean 5", 0.95, 0.3, 0.7),
    Setting(100, "geometric, mean 5", 0.7, 0.3, 0.95),
)


def main() -> None:
    """Print a row a setting."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    given = "pictures | questions a picture | mean | correlation | mean of many"
    print(f"| {given} | Wilson | clustered |")
    print("|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        plain, together = coverage(setting, asked.draws, random.Random(asked.seed))
        shown = ("" if cell is None else str(cell) for cell in setting)
        print("|", " | ".join((*shown, f"{plain:.1%}", f"{together:.1%}")), "|", flush=True)


def coverage(setting: Setting, draws: int, rng: random.Random) -> tuple[float, float]:
    """In what share of the packs each interval holds the mean that they were drawn with."""
    plain = together = 0
    truth = setting.truth
    for _ in range(draws):
        pictures, scores = zip(*pack(setting, rng), strict=True)
        own = summarise(scores)["interval"]
        joined = measure({"adapter": scores, "base": scores, "blind": ()}, pictures)["adapter"]
        plain += float(own["low"]) <= truth <= float(own["high"])
        together += float(joined["low"]) <= truth <= float(joined["high"])
    return plain / draws, together / draws


def pack(setting: Setting, rng: random.Random) -> Iterator[tuple[tuple[str], int]]:
    """The cases of one pack: picture and score."""
    sizes, often = zip(*SIZES[setting.questions].items(), strict=True)
    for picture, size in enumerate(rng.choices(sizes, often, k=setting.pictures)):
        chance = _chance(setting.on(size), setting.correlation, rng)
        for _ in range(size):
            yield (str(picture),), MILLION * (rng.random() < chance)


def _chance(mean: float, correlation: float, rng: random.Random) -> float:
    if not correlation:
        return mean
    spread = 1 / correlation - 1
    return rng.betavariate(mean * spread, (1 - mean) * spread)


if __name__ == "__main__":
    main()
