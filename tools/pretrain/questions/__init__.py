"""The embedded base: questions about a scene, each with its one-word answer."""

from __future__ import annotations

import random

from tools.pretrain.questions.claims import absent, attribute, exists
from tools.pretrain.questions.objects import color, count, shape, size
from tools.pretrain.questions.panels import bars, dial, read
from tools.pretrain.questions.places import position, relation
from tools.pretrain.questions.question import Question
from tools.pretrain.scenes import Scene

__all__ = ["Question", "ask"]

_MAKERS = {
    "shapes": (
        shape,
        shape,
        color,
        color,
        exists,
        exists,
        exists,
        absent,
        absent,
        absent,
        attribute,
        size,
        count,
        position,
        relation,
        relation,
    ),
    "text": (read,),
    "bars": (bars,),
    "dial": (dial,),
}
_EASY = (shape, shape, color, color, exists, exists, absent)


def ask(rng: random.Random, scene: Scene, count: int, *, easy: bool = False) -> list[Question]:
    """At most `count` different questions about a scene; easy ones mostly name what is there."""
    makers = _EASY if easy else _MAKERS[scene.kind]
    asked: dict[str, Question] = {}
    for _ in range(count * 4):
        question = rng.choice(makers)(rng, scene)
        if question is not None and question.text not in asked:
            asked[question.text] = question
        if len(asked) == count:
            break
    return list(asked.values())
