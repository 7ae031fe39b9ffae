"""Capture: the places of pictures in texts: ``<image>`` and its kin.

Data sets mark the place of a picture by a word in the text. Taken as text, such a word teaches a
model nothing and says nothing of the picture, so it is never silently text: in a user's turn it is
a place or an error, in an answer it is told. A row with a ``placeholder`` of its own has no other
marker: all else in it is text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import count

from kolm.counting import counted
from kolm.errors import Refused
from kolm.records.capture import ImagePart, Message, Part, Role, TextPart

PLACEHOLDER = "<image>"
_PLACE = re.compile(r"<image>", re.IGNORECASE)
_NUMBERED = re.compile(r"<image[ _-]?(\d{1,3})>", re.IGNORECASE)
# Markers that mean a picture in some format and have no place here.
_FOREIGN = re.compile(
    r"<img>|</img>|<video>|<audio>|<start_of_image>|<image_soft_token>|\[IMG\]"
    r"|<\|(?:image|image_pad|image_\d+|vision_start|vision_end|video_pad|media_begin)\|>",
    re.IGNORECASE,
)
_KEEP = 'to keep it as text, give the row a marker of its own: "placeholder": "<picture>"'

Turn = tuple[Role, str]


def marker_in(text: str) -> str | None:
    """The first marker of a picture in a text, whatever format it is of."""
    if not _may_mark(text):
        return None
    found = [m for m in (p.search(text) for p in (_PLACE, _NUMBERED, _FOREIGN)) if m is not None]
    return min(found, key=lambda match: match.start()).group() if found else None


def _may_mark(text: str) -> bool:
    """Whether a text holds a sign with which a marker begins: most do not."""
    return "<" in text or "[" in text


def own_placeholder(texts: Sequence[str]) -> str | None:
    """A placeholder that none of the texts holds, where they hold a marker; else None."""
    if not any(map(marker_in, texts)):
        return None
    named = (f"<picture-{number}>" for number in count(1))
    return next(name for name in named if not any(name in text for text in texts))


def place(
    turns: Sequence[Turn], images: int, *, placeholder: str | None, where: str
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages of turns whose texts may mark places, and what is to be told of them.

    One line break on either side of a place belongs to it. Where there are images and no place,
    they stand before the first user's turn.

    Args:
        turns: role and text of each.
        images: how many the row has.
        placeholder: the row's own marker; None for ``<image>``, or ``<image1>`` and so on.
        where: of the row.

    Raises:
        Refused: another number of places than of images, a marker of another format in a user's
            turn, or a marker in a system text.
    """
    if placeholder is None and not any(_may_mark(text) for _, text in turns):
        return _messages(turns, _PLACE, images, where), ()
    pattern = _pattern(turns, placeholder, where)
    places = sum(len(pattern.findall(text)) for role, text in turns if role == "user")
    if places not in (0, images):
        raise Refused(
            "E_CAPTURE_IMAGE_PLACES",
            f"the row has {counted(images, 'image')} and {counted(places, 'place')} for images",
            where=where,
            expected="one place for each image, or none: then they stand before the prompt",
            hint=_KEEP if images == 0 else "name each image once in 'image', in order",
        )
    told = () if placeholder else _told(turns)
    return _messages(turns, pattern, 0 if places else images, where), told


def _pattern(turns: Sequence[Turn], placeholder: str | None, where: str) -> re.Pattern[str]:
    if placeholder is not None:
        return re.compile(re.escape(placeholder))
    numbers: list[int] = []
    for role, text in turns:
        if role != "assistant":
            _demand_ours(role, text, where)
        if role == "user":
            numbers += [int(found) for found in _NUMBERED.findall(text)]
    if not numbers:
        return _PLACE
    if numbers != list(range(1, len(numbers) + 1)):
        raise Refused(
            "E_ROW_MARKER",
            "the numbered image places do not count up from 1 in reading order",
            where=where,
            expected=", ".join(f"<image{n}>" for n in range(1, len(numbers) + 1)),
            found=", ".join(f"<image{n}>" for n in numbers[:10]),
            hint="order the row's images as the text names them",
        )
    return _NUMBERED


def _demand_ours(role: str, text: str, where: str) -> None:
    found = marker_in(text) if role == "system" else _first(_FOREIGN, text)
    if found is None:
        return
    place_ = "a system text" if role == "system" else "a prompt"
    raise Refused(
        "E_ROW_MARKER",
        f"{place_} holds an image marker, which would teach the model as text",
        where=where,
        expected="<image> in a user's turn, at the picture's place",
        found=found,
        hint=f"write <image> in the user's turn, or drop the marker; {_KEEP}",
    )


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match.group() if match else None


def _told(turns: Sequence[Turn]) -> tuple[str, ...]:
    found = (marker_in(text) for role, text in turns if role == "assistant")
    return tuple(
        sorted({f"the answer holds {marker!r}, which stays text" for marker in found if marker})
    )


def _messages(
    turns: Sequence[Turn], pattern: re.Pattern[str], unplaced: int, where: str
) -> tuple[Message, ...]:
    """The messages of the turns; `unplaced` images stand before the first user's turn."""
    messages, shown = [], 0
    for role, text in turns:
        if role != "user":
            messages.append(Message(role=role, content=(TextPart(text=text),)))
            continue
        parts: list[Part] = [ImagePart(image=number) for number in range(unplaced)]
        unplaced = 0
        pieces = _split(pattern, text)
        for number, piece in enumerate(pieces):
            if number:
                parts.append(ImagePart(image=shown))
                shown += 1
                piece = piece.removeprefix("\n")
            if number < len(pieces) - 1:
                piece = piece.removesuffix("\n")
            if piece:
                parts.append(TextPart(text=piece))
        if not parts:
            raise Refused(
                "E_ROW_FIELD", "a user's turn has neither a text nor an image", where=where
            )
        messages.append(Message(role="user", content=tuple(parts)))
    return tuple(messages)


def _split(pattern: re.Pattern[str], text: str) -> list[str]:
    """The text between the places, groups of the pattern left out."""
    if not _may_mark(text) and pattern is _PLACE:
        return [text]
    pieces, position = [], 0
    for match in pattern.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
    return [*pieces, text[position:]]
