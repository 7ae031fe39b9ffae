"""Encode: the structure that a chat template gives to a conversation of one shape.

The template runs once for each shape (the roles and the kinds of content), with placeholders
where the texts go. What it puts around them is structure; the texts are filled in afterwards and
can never become structure. So nothing is ever searched for in the text of a conversation.

A family may have a template of kolm's own for bases whose published one cannot be trained on: one
that never writes the token that ends an answer. It is taken where it writes the same prompts.

Which tokens are trained comes from ``{% generation %}`` markers where the template has them, else
from prefix differences, which are asserted. Source: docs/concepts/training.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from kolm import digest
from kolm.encode.processing import Tokenizer
from kolm.errors import KolmError, Refused

if TYPE_CHECKING:
    from kolm.models.pictures import PictureProcessor
    from kolm.records.documents import CaptureMessage, LockBaseTemplate


# Private-use characters: no template writes them, and a text never passes through the template.
_SLOT = "\ue000{}\ue001"
_SLOT_PATTERN = re.compile("\ue000([0-9]+)\ue001")
_MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
# A template that writes the date of the day writes this one, so that ids are the same on all days.
_DAY = date(2025, 1, 1)
_CLOCK = re.compile(r"""strftime_now\(\s*(["'])([^"'\\]*)\1\s*\)""")
_PROBE = " \n kolm probe \n "


Shape = tuple[tuple[str, tuple[str, ...]], ...]
Message = dict[str, Any]  # as chat templates take it
# What a captured dialogue adds to the one question that every base can be asked.
_MORE: Shape = (("user", ("text",)), ("assistant", ("text",)))


class PieceKind(StrEnum):
    """What a piece of a skeleton is."""

    LITERAL = "literal"  # text that the template writes
    SLOT = "slot"  # a text of the conversation, by its number
    TOKEN = "token"  # a control token that the template writes, by its name
    IMAGE = "image"  # an image of the conversation, by its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One piece of a skeleton.

    Attributes:
        kind: what it is.
        text: of a literal; the name of a token.
        number: of a slot or image.
        trained: whether its tokens are labels.
    """

    kind: PieceKind
    text: str = ""
    number: int = -1
    trained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """The pieces of a conversation's shape.

    Attributes:
        prefix: ids that the tokenizer puts before every text, where the template does not.
        pieces: in order.
        answer_start: index of the piece that begins the last assistant turn's trained span;
            the pieces before it are exactly the prompt that generation starts from.
        stripped: numbers of the texts around which the template trims white space, so that the
            filler must too.
    """

    prefix: tuple[int, ...]
    pieces: tuple[Piece, ...]
    answer_start: int
    stripped: frozenset[int]


def shape_of(messages: Sequence[CaptureMessage], *, joined: bool = False) -> Shape:
    """The roles and kinds of content of a conversation, without its texts.

    Args:
        messages: of the conversation.
        joined: the texts of a message are one, as they are for a base that reads text alone.
    """
    return tuple(
        (message["role"], ("text",) if joined else tuple(b["type"] for b in message["content"]))
        for message in messages
    )


def _question(pictures: PictureProcessor) -> Shape:
    """What every base can be asked: one question, about a picture where it takes any."""
    asked = ("image", "text") if pictures.table.takes_pictures else ("text",)
    return (("user", asked), ("assistant", ("text",)))


def choose_template(pictures: PictureProcessor) -> str:
    """The template to train and answer with: the base's own, else the family's.

    The base's own that can be trained on with single questions alone, as one that hides earlier
    reasoning, gives way too: for a question the family's writes the same prompt.

    Raises:
        Refused: the base's own cannot be trained on, and the family has none that writes the same
            prompts.
    """
    own, templates = pictures.processor.chat_template, pictures.table.training_templates
    if own is None and templates and not pictures.table.template_published:
        return templates[0]
    if not isinstance(own, str):
        raise _refused("the base has no chat template")
    failures, question = [], _question(pictures)
    for shape in ((*question, *_MORE), question):
        try:
            build_skeleton(pictures, own, shape)
        except Refused as error:
            failures.append(error)
    if failures and templates:
        prompt = _Template(pictures, own).prompt(question)
        for ours in templates:
            if _Template(pictures, ours).prompt(question) == prompt:
                return ours
    if len(failures) == 2:
        raise failures[1]
    return own


def name_template(pictures: PictureProcessor, chosen: str) -> LockBaseTemplate:
    """What a lock says of the template that was chosen: whose it is, and the digest of its text."""
    own = chosen == pictures.processor.chat_template
    source: Literal["base", "family"] = "base" if own else "family"
    return {"digest": digest.of_bytes(chosen.encode()), "source": source}


def build_skeleton(pictures: PictureProcessor, source: str, shape: Shape) -> Skeleton:
    """Run a chat template on a shape.

    Args:
        pictures: the processor of the base.
        source: the template.
        shape: ends with an assistant turn.

    Raises:
        Refused: it fails on the shape, it loses a text or image, or which of its tokens belong to
            an answer cannot be told by position.
    """
    tokenizer = pictures.processor.tokenizer
    template = _Template(pictures, source)
    rendered, spans = template.render(shape)
    names = list(map(str, pictures.control_tokens.values()))
    pieces, starts = _cut(rendered, names, pictures.placeholder, spans)
    _check_complete(pieces, shape)
    trained = _mark_answers(pieces, starts, spans)
    stripped = template.stripped(shape, rendered)
    answer_start = next(i for i, start in enumerate(starts) if start >= spans[-1][0])
    bos = tokenizer.special_tokens_map.get("bos_token")
    return Skeleton(
        prefix=() if bos and rendered.startswith(str(bos)) else _prefix(tokenizer),
        pieces=tuple(trained),
        answer_start=answer_start,
        stripped=stripped,
    )


def _prefix(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The ids that the tokenizer puts before a text by itself."""
    plain = tokenizer.encode(_PROBE, add_special_tokens=False, verbose=False)
    whole = tokenizer.encode(_PROBE, add_special_tokens=True, verbose=False)
    if whole[len(whole) - len(plain) :] != plain:
        raise _refused("the tokenizer appends a token to every text")
    return tuple(whole[: len(whole) - len(plain)])


class _Template:
    """A chat template with the two ways of finding its assistant spans."""

    def __init__(self, pictures: PictureProcessor, source: str) -> None:
        self._source = dated(source)
        special = pictures.processor.tokenizer.special_tokens_map
        self._names = {**special, **pictures.table.template_options}
        # Templates of bases that read text alone take the content of a message as one text.
        self._messages = _with_slots if pictures.table.takes_pictures else _as_texts

    def prompt(self, shape: Shape) -> str:
        """What is written before the last turn of a shape is answered."""
        return self._run(self._messages(shape)[:-1], prompting=True)[0]

    def render(self, shape: Shape) -> tuple[str, list[tuple[int, int]]]:
        """The rendered text and one character span for each assistant turn."""
        messages = self._messages(shape)
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        if not turns or turns[-1] != len(messages) - 1:
            raise _refused("a conversation must end with an assistant turn")
        if _MARKER.search(self._source):
            rendered, spans = self._run(messages, marked=True)
        else:
            rendered, spans = self._by_prefixes(messages, turns)
        if len(spans) != len(turns):
            raise _refused(f"the template marks {len(spans)} answers in {len(turns)} turns")
        prompt, _ = self._run(messages[:-1], prompting=True)
        if prompt != rendered[: spans[-1][0]]:
            raise _refused("the generation prompt is not what precedes the answer in training")
        return rendered, spans

    def stripped(self, shape: Shape, rendered: str) -> frozenset[int]:
        """Numbers of the texts that the template trims; one that alters them is refused."""
        probed, _ = self._run(self._messages(shape, around=_PROBE))
        slots = list(_SLOT_PATTERN.finditer(rendered))
        trimmed = frozenset(int(s.group(1)) for s in slots if _PROBE + s.group() not in probed)

        def written(slot: re.Match[str]) -> str:
            text = _PROBE + slot.group() + _PROBE
            return text.strip() if int(slot.group(1)) in trimmed else text

        if probed != _SLOT_PATTERN.sub(written, rendered):
            raise _refused("the template alters the texts of a conversation")
        return trimmed

    def _by_prefixes(
        self, messages: list[Message], turns: list[int]
    ) -> tuple[str, list[tuple[int, int]]]:
        rendered, _ = self._run(messages)
        spans = []
        for turn in turns:
            before, _ = self._run(messages[:turn], prompting=True)
            after, _ = self._run(messages[: turn + 1])
            if not (after.startswith(before) and rendered.startswith(after)):
                raise _refused("a turn's rendering is not a prefix of the next one's")
            spans.append((len(before), len(after)))
        return rendered, spans

    def _run(
        self, messages: list[Message], *, marked: bool = False, prompting: bool = False
    ) -> tuple[str, list[tuple[int, int]]]:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            rendered, spans = render_jinja_template(
                conversations=[messages],
                chat_template=self._source,
                return_assistant_tokens_mask=marked,
                add_generation_prompt=prompting,
                **self._names,
            )
        except (TemplateError, TypeError, ValueError) as error:
            raise _refused(f"the template fails on this conversation: {error}") from error
        return rendered[0], [(start, end) for start, end in spans[0]] if marked else []


def dated(source: str) -> str:
    """A template with a fixed date where it writes the day's.

    Raises:
        Refused: it reads the clock in a way that cannot be told from its text.
    """
    text = _CLOCK.sub(lambda call: repr(_DAY.strftime(call.group(2))), source)
    if re.search(r"strftime_now\s*\(", text):
        raise _refused(
            "what the template writes depends on the day",
            hint="write a fixed date into the base's chat template",
        )
    return text


def _with_slots(shape: Shape, around: str = "") -> list[Message]:
    """The messages of a shape, with a numbered placeholder for each text."""
    messages: list[Message] = []
    number = 0
    for role, kinds in shape:
        content: list[Message] = []
        for kind in kinds:
            if kind == "image":
                content.append({"type": "image"})
            else:
                content.append({"type": "text", "text": around + _SLOT.format(number) + around})
                number += 1
        messages.append({"role": role, "content": content})
    return messages


def _as_texts(shape: Shape, around: str = "") -> list[Message]:
    """The same of messages that hold texts alone, each as one text."""
    return [
        {**message, "content": "".join(block["text"] for block in message["content"])}
        for message in _with_slots(shape, around)
    ]


def _cut(
    rendered: str, names: list[str], placeholder: str, spans: list[tuple[int, int]]
) -> tuple[list[Piece], list[int]]:
    """Cut a rendered shape at its slots, control tokens and span borders."""
    longest = sorted({*names, placeholder} - {""}, key=len, reverse=True)
    pattern = re.compile("|".join([_SLOT_PATTERN.pattern, *map(re.escape, longest)]))
    borders = sorted({border for span in spans for border in span})
    pieces: list[Piece] = []
    starts: list[int] = []
    images = 0

    def add_literal(start: int, end: int) -> None:
        inside = [border for border in borders if start < border < end]
        for left, right in zip([start, *inside], [*inside, end], strict=True):
            if left < right:
                pieces.append(Piece(kind=PieceKind.LITERAL, text=rendered[left:right]))
                starts.append(left)

    position = 0
    for match in pattern.finditer(rendered):
        add_literal(position, match.start())
        position = match.end()
        starts.append(match.start())
        if match.group(1) is not None:
            pieces.append(Piece(kind=PieceKind.SLOT, number=int(match.group(1))))
        elif match.group() == placeholder:
            pieces.append(Piece(kind=PieceKind.IMAGE, number=images))
            images += 1
        else:
            pieces.append(Piece(kind=PieceKind.TOKEN, text=match.group()))
    add_literal(position, len(rendered))
    return pieces, starts


def _check_complete(pieces: list[Piece], shape: Shape) -> None:
    """Every text and image of the conversation must stand in the rendering once, in order."""
    kinds = [kind for _, content in shape for kind in content]
    images, texts = kinds.count("image"), len(kinds) - kinds.count("image")
    if [piece.number for piece in pieces if piece.kind is PieceKind.SLOT] != list(range(texts)):
        raise _refused("the template drops, repeats or reorders a text")
    if sum(piece.kind is PieceKind.IMAGE for piece in pieces) != images:
        raise _refused("the template does not write one image token for each image")


def _mark_answers(
    pieces: list[Piece], starts: list[int], spans: list[tuple[int, int]]
) -> list[Piece]:
    """Mark each answer up to and including the end-of-turn tokens that follow its last text."""
    marked = list(pieces)
    for start, end in spans:
        inside = [i for i, at in enumerate(starts) if start <= at < end]
        slots = [i for i in inside if pieces[i].kind is PieceKind.SLOT]
        if not slots:
            raise _refused("an assistant turn has no text")
        stop = next(
            (i for i in range(slots[-1], len(pieces)) if pieces[i].kind is PieceKind.TOKEN), None
        )
        while stop in inside and stop + 1 in inside and pieces[stop + 1].kind is PieceKind.TOKEN:
            stop += 1  # some end an answer with one token, and the turn with another
        if stop is None or any(
            pieces[i].kind is PieceKind.SLOT for i in range(slots[-1] + 1, stop)
        ):
            raise _refused("no end-of-turn token follows an assistant turn")
        for i in range(inside[0], stop + 1):
            if pieces[i].kind is not PieceKind.IMAGE:  # an image is never a label
                marked[i] = replace(pieces[i], trained=True)
    return marked


def _refused(
    message: str,
    hint: str = "use a base whose chat template has {% generation %} markers around its answers",
) -> KolmError:
    return Refused("E_ENCODE_TEMPLATE", message, where="chat template", hint=hint)
