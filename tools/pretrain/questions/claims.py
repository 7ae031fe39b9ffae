"""Questions whose answer is yes or no: is it there, is it not, is it of that colour?"""

from __future__ import annotations

import random

from tools.pretrain.questions.question import (
    NOUNS,
    Question,
    matching,
    with_article,
    yes_or_no,
)
from tools.pretrain.scenes import COLORS, SHAPES, Scene


def _claim(rng: random.Random, scene: Scene) -> tuple[str, bool]:
    """A noun phrase such as 'red circle', and whether the scene has one."""
    thing = rng.choice(scene.things)
    true = rng.random() < 0.5
    kind = rng.choice(("shape", "color", "both", "shape", "color"))
    core = all(t.shape in SHAPES[:3] for t in scene.things)
    shapes = SHAPES[:3] if core and rng.random() < 0.8 else SHAPES
    colors = tuple(COLORS)[:8] if rng.random() < 0.6 else tuple(COLORS)
    form = thing.shape if true else rng.choice(shapes)
    paint = thing.color if true else rng.choice(colors)
    if kind == "shape":
        return form, bool(matching(scene, shape=form))
    if kind == "color":
        return f"{paint} {rng.choice(('shape', 'object', 'thing', 'shape'))}", bool(
            matching(scene, color=paint)
        )
    if not true and rng.random() < 0.6:
        form, paint = (thing.shape, paint) if rng.random() < 0.5 else (form, thing.color)
    return f"{paint} {form}", bool(matching(scene, color=paint, shape=form))


def exists(rng: random.Random, scene: Scene) -> Question:
    """Whether something is there."""
    phrase, found = _claim(rng, scene)
    noun = rng.choice(NOUNS)
    a = with_article(phrase)
    text = rng.choice(
        (
            f"is there {a} here?",
            f"does this {noun} contain {a}?",
            f"does the {noun} show {a}?",
            f"can you see {a}?",
            f"do you see {a} in the {noun}?",
            f"is {a} in this {noun}?",
            f"is {a} visible?",
            f"is there any {phrase}?",
            f"does the {noun} have {a} in it?",
            f"is {a} present in this {noun}?",
            f"does it contain {a}?",
            f"there is {a}, true?",
            f"is any {phrase} present?",
            f"is there {a} in this {noun}?",
        )
    )
    return Question(skill="existence", text=text, answer=yes_or_no(found))


def absent(rng: random.Random, scene: Scene) -> Question:
    """Whether something is not there: negation."""
    phrase, found = _claim(rng, scene)
    noun = rng.choice(NOUNS)
    a = with_article(phrase)
    text = rng.choice(
        (
            f"is there no {phrase} here?",
            f"does this {noun} not contain {a}?",
            f"is there no {phrase} in this {noun}?",
            f"does the {noun} contain no {phrase}?",
            f"is no {phrase} visible?",
            f"does the {noun} not show {a}?",
            f"is it true that there is no {phrase}?",
            f"is {a} missing?",
            f"does the {noun} lack {a}?",
            f"is there not {a} here?",
            f"is no {phrase} present in this {noun}?",
            f"does it not contain {a}?",
            f"is there not any {phrase}?",
            f"is {a} not present?",
            f"is there not {a} in this {noun}?",
        )
    )
    return Question(skill="negation", text=text, answer=yes_or_no(not found))


def attribute(rng: random.Random, scene: Scene) -> Question | None:
    """Whether a shape has a colour, or has it not."""
    thing = rng.choice(scene.things)
    if len(matching(scene, shape=thing.shape)) != 1:
        return None
    paint = thing.color if rng.random() < 0.5 else rng.choice(tuple(COLORS))
    if rng.random() < 0.35:
        return Question(
            skill="negation",
            text=f"is the {thing.shape} not {paint}?",
            answer=yes_or_no(paint != thing.color),
        )
    text = rng.choice(
        (f"is the {thing.shape} {paint}?", f"is the color of the {thing.shape} {paint}?")
    )
    return Question(skill="attribute", text=text, answer=yes_or_no(paint == thing.color))
