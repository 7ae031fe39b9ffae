"""Questions about what must be read: text, bar charts and dials."""

from __future__ import annotations

import random

from tools.pretrain.questions.question import NOUNS, Question, yes_or_no
from tools.pretrain.scenes import WORDS, Scene


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
        answer=yes_or_no(other == scene.text),
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
        answer=yes_or_no(height > its),
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
        answer=yes_or_no(scene.reading > half),
    )
