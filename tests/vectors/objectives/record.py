"""Losses of pairs by the equations of the papers, to hold kolm's formulas against.

    python -m tests.vectors.objectives.record

Nothing of kolm and no formula in its form is used: probabilities of answers are products of
probabilities of tokens, as the papers write them, in decimal numbers of 80 digits, so that no
rewriting for the sake of floating point is needed. The tokens are drawn from a seed. With TRL in
the environment (`pip install trl==1.16.0`, no dependency of kolm), what its published losses give
on the same pairs is compared with what was recorded:

    python -m tests.vectors.objectives.record --trl
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
COUNT = 60
Row = dict[str, Any]
getcontext().prec = 80
ONE, HALF = Decimal(1), Decimal("0.5")


class Answer(NamedTuple):
    """The probabilities of an answer's tokens, and which of them were corrected."""

    policy: Sequence[Decimal]
    reference: Sequence[Decimal]
    corrected: Sequence[bool]


class Told(NamedTuple):
    """What a pair comes to."""

    loss: Decimal
    chosen_reward: Decimal
    rejected_reward: Decimal


def sigmoid(x: Decimal) -> Decimal:
    """σ."""
    return ONE / (ONE + (-x).exp())


def product(values: Sequence[Decimal]) -> Decimal:
    """π(y|x), an answer's probability."""
    whole = ONE
    for value in values:
        whole *= value
    return whole


def ratio(answer: Answer) -> Decimal:
    """π(y|x) / π_ref(y|x)."""
    return product(answer.policy) / product(answer.reference)


def dpo(good: Answer, bad: Answer, told: Row, _: Decimal) -> Told:
    """arXiv:2305.18290, equation 7; ericmitchell.ai/cdpo.pdf, equation 3."""
    beta, wrong = Decimal(told["beta"]), Decimal(told["label_smoothing"])
    r_w, r_l = beta * ratio(good).ln(), beta * ratio(bad).ln()
    preferred = sigmoid(r_w - r_l)
    loss = -(ONE - wrong) * preferred.ln() - wrong * (ONE - preferred).ln()
    return Told(loss, r_w, r_l)


def ddpo(good: Answer, bad: Answer, told: Row, _: Decimal) -> Told:
    """arXiv:2312.00849, equations 3 and 5: a weighted mean over unchanged and corrected tokens."""
    beta, gamma = Decimal(told["beta"]), Decimal(told["gamma"])

    def score(values: Sequence[Decimal], corrected: Sequence[bool]) -> Decimal:
        y_c = [value.ln() for value, own in zip(values, corrected, strict=True) if own]
        y_u = [value.ln() for value, own in zip(values, corrected, strict=True) if not own]
        total = len(y_u) + gamma * len(y_c)
        return (sum(y_u, Decimal(0)) + gamma * sum(y_c, Decimal(0))) / total

    def reward(answer: Answer) -> Decimal:
        known = score(answer.reference, answer.corrected)
        return beta * (score(answer.policy, answer.corrected) - known)

    r_w, r_l = reward(good), reward(bad)
    return Told(-sigmoid(r_w - r_l).ln(), r_w, r_l)


def ipo(good: Answer, bad: Answer, told: Row, _: Decimal) -> Told:
    """arXiv:2310.12036, equation 17; rewards are τ times the log-ratios, as for DPO."""
    tau = Decimal(told["beta"])
    h = (
        product(good.policy)
        * product(bad.reference)
        / (product(bad.policy) * product(good.reference))
    ).ln()
    loss = (h - HALF / tau) ** 2
    return Told(loss, tau * ratio(good).ln(), tau * ratio(bad).ln())


def kto(good: Answer, bad: Answer, told: Row, unrelated: Decimal) -> Told:
    """arXiv:2402.01306, equations 7 and 8: λ_y − v(x, y), over both answers of the pair."""
    beta = Decimal(told["beta"])
    desirable, undesirable = Decimal(told["desirable_weight"]), Decimal(told["undesirable_weight"])
    z_0 = max(Decimal(0), unrelated)
    r_w, r_l = ratio(good).ln(), ratio(bad).ln()
    worth = desirable * sigmoid(beta * (r_w - z_0)), undesirable * sigmoid(beta * (z_0 - r_l))
    loss = HALF * ((desirable - worth[0]) + (undesirable - worth[1]))
    return Told(loss, beta * r_w, beta * r_l)


def orpo(good: Answer, bad: Answer, told: Row, _: Decimal) -> Told:
    """arXiv:2403.07691, equations 3, 4, 6 and 7; a reward is the logarithm of the odds."""

    def likelihood(answer: Answer) -> Decimal:  # log P(y|x) = 1/m Σ log P(y_t|x, y_<t)
        return product(answer.policy) ** (ONE / len(answer.policy))

    def odds(p: Decimal) -> Decimal:
        return p / (ONE - p)

    p_w, p_l = likelihood(good), likelihood(bad)
    penalty = -sigmoid((odds(p_w) / odds(p_l)).ln()).ln()
    loss = -p_w.ln() + Decimal(told["odds_weight"]) * penalty
    return Told(loss, odds(p_w).ln(), odds(p_l).ln())


def simpo(good: Answer, bad: Answer, told: Row, _: Decimal) -> Told:
    """arXiv:2405.14734, equation 6."""
    beta, gamma = Decimal(told["beta"]), Decimal(told["gamma"])
    r_w, r_l = (beta / len(a.policy) * product(a.policy).ln() for a in (good, bad))
    return Told(-sigmoid(r_w - r_l - gamma).ln(), r_w, r_l)


EQUATIONS: dict[str, Callable[[Answer, Answer, Row, Decimal], Told]] = {
    "ddpo": ddpo, "dpo": dpo, "ipo": ipo, "kto": kto, "orpo": orpo, "simpo": simpo,
}  # fmt: skip
# What each is drawn from; the first of each is kolm's default.
SETTINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "ddpo": {"beta": ("0.5", "0.1", "2"), "gamma": ("5", "1", "1.1", "30")},
    "dpo": {"beta": ("0.1", "0.01", "0.5", "3"), "label_smoothing": ("0", "0.1", "0.3")},
    "ipo": {"beta": ("0.1", "0.01", "1")},
    "kto": {
        "beta": ("0.1", "0.5", "0.02"),
        "desirable_weight": ("1", "1.33", "0.2"),
        "undesirable_weight": ("1", "3", "0.5"),
    },
    "orpo": {"odds_weight": ("0.1", "1", "0.25")},
    "simpo": {"beta": ("2", "2.5", "10"), "gamma": ("1", "0", "1.6", "5")},
}


def draw(rng: random.Random) -> Row:
    """An answer: log-probabilities of its tokens, and of the same before training."""
    length = rng.randint(1, 24)
    policy = [-rng.choice((0.4, 1.0, 3.0, 9.0)) * rng.uniform(0.5, 1.5) for _ in range(length)]
    moved = rng.choice((0.0, 0.1, 1.0))
    reference = [min(-0.001, value + moved * rng.uniform(-1, 1)) for value in policy]
    return {
        "corrected": [int(rng.random() < 0.4) for _ in range(length)],
        "policy": [f"{value:.6f}" for value in policy],
        "reference": [f"{value:.6f}" for value in reference],
    }


def read(drawn: Row) -> Answer:
    """Its probabilities."""
    policy, reference = (
        [Decimal(value).exp() for value in drawn[name]] for name in ("policy", "reference")
    )
    return Answer(policy, reference, [bool(each) for each in drawn["corrected"]])


def record(kind: str) -> list[Row]:
    """The rows of an objective: the first has kolm's defaults, the others drawn settings."""
    rng = random.Random(f"kolm objectives {kind}")
    rows = []
    for number in range(COUNT):
        told = {
            name: values[0] if number == 0 else rng.choice(values)
            for name, values in SETTINGS[kind].items()
        }
        unrelated = f"{rng.uniform(-2, 4):.6f}" if kind == "kto" else "0"
        row: Row = {"chosen": draw(rng), "rejected": draw(rng), "settings": told}
        found = EQUATIONS[kind](
            read(row["chosen"]), read(row["rejected"]), told, Decimal(unrelated)
        )
        row |= {name: f"{value:.15e}" for name, value in found._asdict().items()}
        rows.append(row | ({"unrelated": unrelated} if kind == "kto" else {}))
    return rows


def path_of(kind: str) -> Path:
    """Where its vectors are."""
    return HERE / f"{kind}.jsonl"


def write() -> None:
    """Write all of them."""
    for kind in EQUATIONS:
        lines = [json.dumps(row, sort_keys=True) + "\n" for row in record(kind)]
        path_of(kind).write_text("".join(lines), encoding="utf-8")
        print(f"{len(lines)} pairs of {kind}")


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--trl", action="store_true", help="compare with TRL's losses")
    if asked.parse_args().trl:
        from tests.vectors.objectives.against_trl import compare

        compare()
    else:
        write()
