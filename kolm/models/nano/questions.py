"""The embedded base: questions about a scene, each with its one-word answer."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kolm.models.nano.scenes import COLORS, SHAPES, WORDS, Scene, Thing


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a scene: the skill that it needs, its text and its answer."""

    skill: str
    text: str
    answer: str


NOUNS = ("picture", "image", "scene")


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


def _a(word: str) -> str:
    return ("an " if word[0] in "aeiou" else "a ") + word


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


def _unique(scene: Scene, rng: random.Random) -> Thing:
    return rng.choice(scene.things)


def _same(scene: Scene, **wanted: str) -> list[Thing]:
    return [t for t in scene.things if all(getattr(t, k) == v for k, v in wanted.items())]


def shape(rng: random.Random, scene: Scene) -> Question | None:
    """The shape of an object."""
    thing = _unique(scene, rng)
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
    if len(_same(scene, color=thing.color)) != 1:
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
    thing = _unique(scene, rng)
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
    if len(_same(scene, shape=thing.shape)) != 1:
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


def _claim(rng: random.Random, scene: Scene) -> tuple[str, bool]:
    """A noun phrase such as 'red circle', and whether the scene has one."""
    thing = _unique(scene, rng)
    true = rng.random() < 0.5
    kind = rng.choice(("shape", "color", "both", "shape", "color"))
    core = all(t.shape in SHAPES[:3] for t in scene.things)
    shapes = SHAPES[:3] if core and rng.random() < 0.8 else SHAPES
    colors = tuple(COLORS)[:8] if rng.random() < 0.6 else tuple(COLORS)
    form = thing.shape if true else rng.choice(shapes)
    paint = thing.color if true else rng.choice(colors)
    if kind == "shape":
        return form, bool(_same(scene, shape=form))
    if kind == "color":
        return f"{paint} {rng.choice(('shape', 'object', 'thing', 'shape'))}", bool(
            _same(scene, color=paint)
        )
    if not true and rng.random() < 0.6:
        form, paint = (thing.shape, paint) if rng.random() < 0.5 else (form, thing.color)
    return f"{paint} {form}", bool(_same(scene, color=paint, shape=form))


def exists(rng: random.Random, scene: Scene) -> Question:
    """Whether something is there."""
    phrase, found = _claim(rng, scene)
    noun = rng.choice(NOUNS)
    a = _a(phrase)
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
    return Question(skill="existence", text=text, answer=_yes(found))


def absent(rng: random.Random, scene: Scene) -> Question:
    """Whether something is not there: negation."""
    phrase, found = _claim(rng, scene)
    noun = rng.choice(NOUNS)
    a = _a(phrase)
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
    return Question(skill="negation", text=text, answer=_yes(not found))


def attribute(rng: random.Random, scene: Scene) -> Question | None:
    """Whether a shape has a colour, or has it not."""
    thing = _unique(scene, rng)
    if len(_same(scene, shape=thing.shape)) != 1:
        return None
    paint = thing.color if rng.random() < 0.5 else rng.choice(tuple(COLORS))
    if rng.random() < 0.35:
        return Question(
            skill="negation",
            text=f"is the {thing.shape} not {paint}?",
            answer=_yes(paint != thing.color),
        )
    text = rng.choice(
        (f"is the {thing.shape} {paint}?", f"is the color of the {thing.shape} {paint}?")
    )
    return Question(skill="attribute", text=text, answer=_yes(paint == thing.color))


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
    return Question(skill="count", text=text, answer=str(len(_same(scene, shape=form))))


def position(rng: random.Random, scene: Scene) -> Question | None:
    """Which side of the picture an object is on."""
    thing = _unique(scene, rng)
    if len(_same(scene, shape=thing.shape)) != 1:
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
        or len(_same(scene, shape=a.shape, color=a.color)) > 1
        or len(_same(scene, shape=b.shape, color=b.color)) > 1
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
        answer=_yes(gap > 0),
    )


def read(rng: random.Random, scene: Scene) -> Question:
    """What is written."""
    noun = rng.choice(NOUNS)
    pick = rng.random()
    if pick < 0.6:
        kind = "number" if scene.text.isdigit() else "word"
        text = rng.choice(
            (
                f"what {kind} is written here?",
                f"read the {kind}.",
                "what does it say?",
                f"what does the {noun} say?",
                "read the text.",
                f"which {kind} is shown?",
            )
        )
        return Question(skill="reading", text=text, answer=scene.text)
    if pick < 0.8:
        text = rng.choice(
            ("how many characters are written?", "how many letters or digits are there?")
        )
        return Question(skill="reading", text=text, answer=str(len(scene.text)))
    other = (
        scene.text
        if rng.random() < 0.5
        else rng.choice(WORDS)
        if not scene.text.isdigit()
        else str(rng.randint(0, 99))
    )
    return Question(
        skill="reading",
        text=rng.choice((f"does it say {other}?", f"is {other} written here?")),
        answer=_yes(other == scene.text),
    )


def bars(rng: random.Random, scene: Scene) -> Question:
    """A bar chart."""
    by_height = sorted(scene.bars, key=lambda b: b[1])
    name, height = rng.choice(scene.bars)
    pick = rng.random()
    if pick < 0.25:
        return Question(
            skill="bars",
            text=rng.choice(("which bar is the tallest?", "what color is the highest bar?")),
            answer=by_height[-1][0],
        )
    if pick < 0.45:
        return Question(
            skill="bars",
            text=rng.choice(("which bar is the shortest?", "what color is the lowest bar?")),
            answer=by_height[0][0],
        )
    if pick < 0.6:
        return Question(
            skill="bars",
            text=rng.choice(("how many bars are there?", "count the bars.")),
            answer=str(len(scene.bars)),
        )
    if pick < 0.85:
        return Question(
            skill="bars",
            text=rng.choice(
                (f"what is the value of the {name} bar?", f"how high is the {name} bar?")
            ),
            answer=str(height),
        )
    other, its = rng.choice(scene.bars)
    return Question(
        skill="bars",
        text=f"is the {name} bar taller than the {other} bar?",
        answer=_yes(height > its),
    )


def dial(rng: random.Random, scene: Scene) -> Question:
    """What a dial shows."""
    full = scene.full_scale
    if rng.random() < 0.75:
        text = rng.choice(
            (
                f"the dial goes from 0 to {full}. what does it read?",
                f"read the gauge (0 to {full}).",
                f"what value does the needle show on a scale of 0 to {full}?",
            )
        )
        return Question(skill="dial", text=text, answer=str(scene.reading))
    half = full // 2
    return Question(
        skill="dial",
        text=rng.choice(
            (
                f"the dial goes from 0 to {full}. is it above {half}?",
                f"is the needle over {half} of {full}?",
            )
        ),
        answer=_yes(scene.reading > half),
    )


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
_EASY = (shape, shape, shape, color, color, color, exists, absent)
