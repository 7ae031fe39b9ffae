"""One question about a scene, and the words that many share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.pretrain.scenes import Scene, Thing

NOUNS = ("picture", "image", "scene")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question about a scene: the skill that it needs, its text and its answer."""

    skill: str
    text: str
    answer: str


def with_article(word: str) -> str:
    """The word after 'a' or 'an'."""
    return ("an " if word[0] in "aeiou" else "a ") + word


def yes_or_no(flag: bool) -> str:
    """The answer to a question that is true or not."""
    return "yes" if flag else "no"


def matching(scene: Scene, **wanted: str) -> list[Thing]:
    """The objects of a scene that have the wanted shape, colour or both."""
    return [t for t in scene.things if all(getattr(t, k) == v for k, v in wanted.items())]
