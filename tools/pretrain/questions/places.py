"""Questions about where objects are, in the picture and to each other."""

from __future__ import annotations

import random

from tools.pretrain.questions.question import Question, matching, yes_or_no
from tools.pretrain.scenes import Scene


def position(rng: random.Random, scene: Scene) -> Question | None:
    """Which side of the picture an object is on."""
    thing = rng.choice(scene.things)
    if len(matching(scene, shape=thing.shape)) != 1:
        return None
    u, v = thing.x / scene.side, thing.y / scene.side
    if rng.random() < 0.5:
        if 0.42 < u < 0.58:
            return None
        return Question(
            skill="position",
            text=rng.choice(
                (
                    f"is the {thing.shape} on the left or the right?",
                    f"left or right: where is the {thing.shape}?",
                )
            ),
            answer="left" if u < 0.5 else "right",
        )
    if 0.42 < v < 0.58:
        return None
    return Question(
        skill="position",
        text=rng.choice(
            (
                f"is the {thing.shape} at the top or the bottom?",
                f"top or bottom: where is the {thing.shape}?",
            )
        ),
        answer="top" if v < 0.5 else "bottom",
    )


def relation(rng: random.Random, scene: Scene) -> Question | None:
    """How two objects lie to each other."""
    if len(scene.things) < 2:
        return None
    a, b = rng.sample(scene.things, 2)
    if (
        (a.shape, a.color) == (b.shape, b.color)
        or len(matching(scene, shape=a.shape, color=a.color)) > 1
        or len(matching(scene, shape=b.shape, color=b.color)) > 1
    ):
        return None
    word, gap = rng.choice(
        (
            ("left of", b.x - a.x),
            ("right of", a.x - b.x),
            ("above", b.y - a.y),
            ("below", a.y - b.y),
        )
    )
    if abs(gap) < scene.side * 0.08:
        return None
    return Question(
        skill="relation",
        text=f"is the {a.color} {a.shape} {word} the {b.color} {b.shape}?",
        answer=yes_or_no(gap > 0),
    )
