"""Encode: a skeleton with its texts and images filled in becomes runs of token ids.

What stands between two control tokens is tokenised as one text, as the tokenizer of the base would
do it with the whole conversation. So ids equal those of the rendered template, and an answer begins
at the very token at which generation begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from operator import itemgetter
from typing import NamedTuple

from kolm.encode.budget import TokenRun
from kolm.encode.control import Span, TextEncoder
from kolm.encode.skeleton import PieceKind, Skeleton

_WORD = re.compile(r"[^\s<]")  # what begins one, as processors see it


class _Text(NamedTuple):
    """A part of what stands between two control tokens."""

    text: str
    trained: bool = False
    slot: bool = False


class _Tokens(NamedTuple):
    """Control tokens side by side."""

    names: tuple[str, ...]
    trained: bool = False
    image: int = -1


class Layout:
    """Fills skeletons in.

    Args:
        texts: tokenises what is no control token.
        edge: as of the family's table.
    """

    def __init__(self, texts: TextEncoder, edge: str = "") -> None:
        self._texts = texts
        self._edge = edge
        self._images: dict[str, tuple[_Text | _Tokens, ...]] = {}

    def runs(
        self,
        skeleton: Skeleton,
        stop: int,
        *,
        texts: Sequence[str],
        images: Sequence[str],
        apart: bool = False,
        located: bool = False,
    ) -> list[TokenRun]:
        """The token runs of the first `stop` pieces.

        Args:
            skeleton: of the conversation's shape.
            stop: pieces to fill in.
            texts: of the slots.
            images: for each image what stands in the prompt for it.
            apart: make the tokens that are a prompt's text alone a run of their own, to be cut.
            located: say of an answer's tokens for which characters they stand.
        """
        runs = [TokenRun(ids=skeleton.prefix)] if skeleton.prefix else []
        between: list[_Text] = []
        before = ""
        items = self._items(skeleton, stop, texts, images)
        for item in self._edged(items) if self._edge else items:
            if isinstance(item, _Text):
                between.append(item)
                continue
            runs += self._stretch(between, before, item.names[0], apart, located)
            between, before = [], item.names[-1]
            ids = tuple(map(self._texts.control_ids.__getitem__, item.names))
            runs.append(TokenRun(ids=ids, trained=item.trained, image=item.image))
        return runs + self._stretch(between, before, "", apart, located)

    def _items(
        self, skeleton: Skeleton, stop: int, texts: Sequence[str], images: Sequence[str]
    ) -> Iterator[_Text | _Tokens]:
        for piece in skeleton.pieces[:stop]:
            if piece.kind is PieceKind.LITERAL:
                yield _Text(piece.text, piece.trained)
            elif piece.kind is PieceKind.SLOT:
                yield _Text(texts[piece.number], piece.trained, slot=True)
            elif piece.kind is PieceKind.TOKEN:
                yield _Tokens((piece.text,), piece.trained)
            else:
                for part in self._image(images[piece.number]):
                    yield part if isinstance(part, _Text) else part._replace(image=piece.number)

    def _edged(self, items: Iterable[_Text | _Tokens]) -> Iterator[_Text | _Tokens]:
        """One edge alone between two pictures, and a space between an edge and a word."""
        before = ""
        for item in items:
            if isinstance(item, _Tokens):
                double = item.image >= 0 and before == item.names[0] == self._edge
                before = item.names[-1]
                yield item._replace(names=item.names[double:])
            else:
                if before == self._edge and _WORD.match(item.text):
                    yield _Text(" ", item.trained)
                before = "" if item.text else before
                yield item

    def _image(self, text: str) -> tuple[_Text | _Tokens, ...]:
        """What stands for an image, cut at its control tokens."""
        if text not in self._images:
            parts: list[_Text | _Tokens] = []
            position = 0
            for match in self._texts.control_names.finditer(text):
                if position < match.start():
                    parts.append(_Text(text[position : match.start()]))
                last = parts[-1] if parts else None
                if isinstance(last, _Tokens):
                    parts[-1] = _Tokens((*last.names, match.group()))
                else:
                    parts.append(_Tokens((match.group(),)))
                position = match.end()
            if position < len(text):
                parts.append(_Text(text[position:]))
            self._images[text] = tuple(parts)
        return self._images[text]

    def _stretch(
        self, parts: Sequence[_Text], before: str, after: str, apart: bool, located: bool
    ) -> list[TokenRun]:
        """The runs of what stands between two control tokens: a prompt's text, then an answer's."""
        prompt = [part for part in parts if not part.trained]
        answer = "".join(part.text for part in parts if part.trained)
        asked = "".join(part.text for part in prompt)
        if not answer:
            return self._asked(prompt, asked, before, after, apart)
        text, left = asked + answer, before
        ids = self._texts.ids(text, before, after)
        start = self._texts.ids(asked, before)
        if ids[: len(start)] != start:
            # The answer begins inside a token: then there, where generation begins.
            text, start, left = answer, (), self._texts.inside if asked else before
            ids = self._texts.ids(text, left, after)
        places: tuple[Span, ...] = ()
        if located:
            own = len(text) - len(answer) + _before_the_slot(parts)
            spans = self._texts.spans(text, left, after)[len(start) :]
            places = tuple((first - own, last - own) for first, last in spans)
        run = TokenRun(ids=ids[len(start) :], trained=True, places=places)
        return [*self._asked(prompt, asked, before, "", apart), run]

    def _asked(
        self, parts: Sequence[_Text], text: str, before: str, after: str, apart: bool
    ) -> list[TokenRun]:
        ids = self._texts.ids(text, before, after)
        if not apart:
            return [TokenRun(ids=ids)] if ids else []
        places: list[tuple[int, int]] = []
        position = 0
        for part in parts:
            if part.slot:
                places.append((position, position + len(part.text)))
            position += len(part.text)
        owners = [
            next((i for i, (a, b) in enumerate(places) if a <= first and end <= b), -1)
            for first, end in self._texts.spans(text, before, after)
        ]
        return [
            TokenRun(ids=tuple(number for _, number in tokens), cuttable=owner >= 0)
            for owner, tokens in groupby(zip(owners, ids, strict=True), key=itemgetter(0))
        ]


def _before_the_slot(parts: Sequence[_Text]) -> int:
    """Characters of an answer that the template writes before the conversation's own text."""
    trained = [part for part in parts if part.trained]
    return sum(len(part.text) for part in takewhile(lambda part: not part.slot, trained))
