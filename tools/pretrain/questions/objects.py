"""Questions that name what an object is: its shape, colour and size, and how many there are."""

from __future__ import annotations

import random

from tools.pretrain.questions.question import NOUNS, Question, matching
from tools.pretrain.scenes import SHAPES, Scene


def shape(rng: random.Random, scene: Scene) -> Question | None:
    """The shape of an object."""
    thing = rng.choice(scene.things)
    noun = rng.choice(NOUNS)
    if len(scene.things) == 1:
        text = rng.choice(
            (
                f"what shape can be seen in this {noun}?",
                "which shape is it?",
                "name the shape.",
                f"what kind of shape does this {noun} show?",
                "what shape is shown?",
                "what shape is drawn here?",
                f"the {noun} shows which shape?",
                "what is drawn here?",
                f"what is the {thing.color} thing?",
                f"what shape is the {thing.color} object?",
                f"what shape is in this {noun} here?",
                "what is the shape called?",
            )
        )
        return Question(skill="shape", text=text, answer=thing.shape)
    if len(matching(scene, color=thing.color)) != 1:
        return None
    text = rng.choice(
        (
            f"what is the {thing.color} object?",
            f"which shape is {thing.color}?",
            f"name the {thing.color} shape.",
            f"what shape does the {thing.color} object have?",
            f"the {thing.color} one is what shape?",
            f"what shape is the {thing.color} thing?",
        )
    )
    return Question(skill="shape", text=text, answer=thing.shape)


def color(rng: random.Random, scene: Scene) -> Question | None:
    """The colour of an object."""
    thing = rng.choice(scene.things)
    noun = rng.choice(NOUNS)
    if len(scene.things) == 1 and rng.random() < 0.6:
        text = rng.choice(
            (
                "which color is it?",
                "what color is it?",
                f"what is the color of the object in this {noun}?",
                "name the color of the shape.",
                "what color does the shape have?",
                "tell me the color.",
                "what color is the object?",
                "which color does the object have?",
                f"what color is the shape in this {noun}?",
                "the shape is which color?",
            )
        )
        return Question(skill="color", text=text, answer=thing.color)
    if len(matching(scene, shape=thing.shape)) != 1:
        return None
    text = rng.choice(
        (
            f"what color does the {thing.shape} have?",
            f"which color is the {thing.shape}?",
            f"name the color of the {thing.shape}.",
            f"the {thing.shape} is which color?",
            f"what is the {thing.shape}'s color?",
            f"in what color is the {thing.shape} drawn?",
            f"tell me the color of the {thing.shape}.",
        )
    )
    return Question(skill="color", text=text, answer=thing.color)


def size(rng: random.Random, scene: Scene) -> Question | None:
    """How large an object is, or which is the largest."""
    if len(scene.things) == 1:
        half = scene.things[0].half / scene.side
        if 0.11 < half < 0.15:
            return None
        answer = "small" if half <= 0.11 else "big"
        return Question(
            skill="size",
            text=rng.choice(
                (
                    "is the object big or small?",
                    "how large is the shape, big or small?",
                    "what size is it, small or big?",
                )
            ),
            answer=answer,
        )
    ordered = sorted(scene.things, key=lambda t: t.half_width * t.half_height)
    small, big = ordered[0], ordered[-1]
    if big.half < small.half * 1.4 or (ordered[-2].half * 1.2 > big.half and len(ordered) > 2):
        return None
    if rng.random() < 0.5:
        return Question(
            skill="size",
            text=rng.choice(
                ("what color is the biggest object?", "the largest shape has which color?")
            ),
            answer=big.color,
        )
    return Question(
        skill="size",
        text=rng.choice(("what shape is the biggest object?", "the largest object is what shape?")),
        answer=big.shape,
    )


def count(rng: random.Random, scene: Scene) -> Question:
    """How many objects there are."""
    noun = rng.choice(NOUNS)
    if rng.random() < 0.6:
        text = rng.choice(
            (
                f"how many shapes are in this {noun}?",
                "how many objects are there?",
                "count the shapes.",
            )
        )
        return Question(skill="count", text=text, answer=str(len(scene.things)))
    form = rng.choice(scene.things).shape if rng.random() < 0.7 else rng.choice(SHAPES)
    plural = "crosses" if form == "cross" else form + "s"
    text = rng.choice((f"how many {plural} are there?", f"count the {plural}."))
    return Question(skill="count", text=text, answer=str(len(matching(scene, shape=form))))
