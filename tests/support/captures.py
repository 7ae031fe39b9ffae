"""Hypothesis strategies for captures."""

from __future__ import annotations

from hypothesis import strategies as st

from kolm.capture.pairing import says_something
from kolm.records.capture import (
    Capture,
    Correction,
    ImagePart,
    Message,
    Source,
    TextPart,
)
from tests.support.pictures import facts

PICTURES = 6  # as many pictures as the strategies draw from
_SPOKEN = st.sampled_from(["<image>", "<image-1>", "\n", "a", " ", "é", "🦉", '"', "<|im_end|>"])
TEXTS = st.one_of(
    st.lists(_SPOKEN, min_size=1, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20),
)


ANSWERS = TEXTS.filter(says_something)


@st.composite
def captures(draw: st.DrawFn) -> Capture:
    """Any capture that the rules allow."""
    shown: list[int] = []
    messages = []
    if draw(st.booleans()):
        messages.append(Message(role="system", content=(TextPart(text=draw(TEXTS)),)))
    for _ in range(draw(st.integers(1, 3))):
        messages.append(Message(role="user", content=draw(_user_parts(shown))))
        messages.append(Message(role="assistant", content=(TextPart(text=draw(ANSWERS)),)))
    response = messages[-1].content[0].text
    rejected, corrections = None, None
    if draw(st.booleans()):
        rejected = draw(ANSWERS.filter(lambda text: text != response))
        if draw(st.booleans()):
            corrections = (Correction(start=0, end=len(rejected), replacement=response),)
    return Capture(
        images=tuple(facts(number) for number in shown),
        license=draw(st.sampled_from(["", "MIT", "CC-BY-4.0"])),
        messages=tuple(messages),
        source=Source(kind=draw(st.sampled_from(["jsonl", "llava", "x-y"])), name=draw(NAMES)),
        split=draw(st.sampled_from(["train", "validation", "eval", None])),
        tags=tuple(sorted(draw(st.sets(NAMES.filter(bool), max_size=3)))),
        references=tuple(sorted(draw(st.lists(ANSWERS, max_size=3)))) or None,
        rejected=rejected,
        corrections=corrections,
    )


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), max_size=12
)


@st.composite
def _user_parts(draw: st.DrawFn, shown: list[int]) -> tuple[ImagePart | TextPart, ...]:
    parts: list[ImagePart | TextPart] = []
    for is_image in draw(st.lists(st.booleans(), min_size=1, max_size=5)):
        if is_image:
            parts.append(ImagePart(image=len(shown)))
            shown.append(draw(st.integers(0, PICTURES - 1)))
        elif not parts or isinstance(parts[-1], ImagePart):
            parts.append(TextPart(text=draw(TEXTS)))
    return tuple(parts)
