"""Capture: from the shapes in which people write rows to drafts.

A row is one of three shapes, told apart by its keys, whatever file it comes in:

- ``prompt`` and ``response``;
- ``messages``: role and content, as a text or as a list of parts (OpenAI's chat format, and that
  of Hugging Face's chat templates);
- ``conversations``: turns of ``from`` and ``value`` (LLaVA, ShareGPT).

Images are in ``image``, or in the parts of messages. Beside them stand the optional keys of
`fields.COMMON`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from kolm import canonical
from kolm.capture import fields, markers
from kolm.capture.drafts import Defaults, Draft, ImageSource, Row
from kolm.errors import Refused
from kolm.records.capture import ImagePart, Message, Part, Role, TextPart

ReadImage = Callable[[object, str], ImageSource]

# Other names under which data sets keep the same thing.
ALIASES = {
    "images": "image",
    "image_path": "image",
    "file_name": "image",
    "question": "prompt",
    "query": "prompt",
    "answer": "response",
}
# Taken and not kept: an id says nothing of the pair, nor which model wrote an answer.
UNUSED = ("id", "model")
KEYS = (
    "image",
    "prompt",
    "response",
    "messages",
    "conversations",
    "system",
    "placeholder",
    *UNUSED,
    *fields.COMMON,
)
_KNOWN = frozenset((*KEYS, *ALIASES))
SHAPES = ("prompt", "messages", "conversations")
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "person": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}


def draft_of(row: Row, read_image: ReadImage, defaults: Defaults, *, where: str) -> Draft:
    """The draft of one row.

    Args:
        row: its keys and values.
        read_image: where the bytes of an image are that a row names.
        defaults: what rows say by not saying it.
        where: of the row.

    Raises:
        Refused: an unknown or missing key, a field of the wrong kind, or places of images that do
            not fit the images.
    """
    if defaults.reshaped is not None:
        row = defaults.reshaped.own(_renamed(row, defaults, where), where)
        defaults = replace(defaults, ignored=frozenset(), renamed={})
    row = _own_names(row, defaults, where)
    fields.check_keys(row, _KNOWN, where=where)
    shape = _shape(row, where)
    sources = [read_image(value, where) for value in _listed(row.get("image"))]
    placeholder = fields.optional_text(row, "placeholder", where=where) or None
    told: tuple[str, ...] = ()
    if shape == "messages" and any(_has_parts(item) for item in _list(row, shape, where)):
        messages, told = _explicit(_list(row, shape, where), sources, read_image, defaults, where)
        messages = (*_system(row, where, Message), *messages)
    else:
        turns = [*_system_turn(row, where), *_turns(row, shape, defaults, where)]
        messages, told = markers.place(turns, len(sources), placeholder=placeholder, where=where)
    return Draft(
        where=where,
        images=tuple(sources),
        messages=messages,
        told=(*told, *sorted({source.told for source in sources if source.told}))
        if sources
        else told,
        **fields.common(row, defaults, where=where),
    )


def is_read(key: str, defaults: Defaults) -> bool:
    """Whether the value under a row's key makes a difference, so that it has to be read."""
    if key in defaults.ignored:
        return False
    if key in defaults.renamed:
        return True
    if defaults.reshaped and defaults.renamed.get(key, key) in defaults.reshaped.keys:
        return True
    own = _own_name(key, defaults)
    return own in KEYS and own not in UNUSED


def _own_name(key: str, defaults: Defaults) -> str:
    renamed = defaults.renamed.get(key, key)
    return ALIASES.get(renamed, renamed)


def _own_names(row: Row, defaults: Defaults, where: str) -> Row:
    """The row without the keys that are to be ignored, the others under kolm's names."""
    if not defaults.ignored and not defaults.renamed and ALIASES.keys().isdisjoint(row):
        return row
    return _named(row, defaults, lambda key: _own_name(key, defaults), where)


def _renamed(row: Row, defaults: Defaults, where: str) -> dict[str, object]:
    """The row without the keys that are to be ignored, the others as the user renames them."""
    return _named(row, defaults, lambda key: defaults.renamed.get(key, key), where)


def _named(
    row: Row, defaults: Defaults, name: Callable[[str], str], where: str
) -> dict[str, object]:
    named: dict[str, object] = {}
    for key, value in row.items():
        if key in defaults.ignored:
            continue
        own = name(key)
        if own in named:
            raise Refused(
                "E_ROW_FIELD",
                f"the row has {own!r} under two names",
                where=where,
                found=f"{key!r} beside another",
                hint=f"leave one out: --ignore-key {key}",
            )
        named[own] = value
    return named


def _shape(row: Row, where: str) -> str:
    found = [shape for shape in SHAPES if row.get(shape) is not None]
    if row.get("response") is not None and "prompt" not in found:
        found.append("prompt")
    if len(found) > 1:
        raise Refused(
            "E_ROW_FIELD",
            f"the row has {' and '.join(found)} too: it is unclear which is meant",
            where=where,
            expected="prompt and response, or messages, or conversations",
        )
    return found[0] if found else "prompt"


def _listed(value: object) -> list[object]:
    """The images that a row names: none, one, or a list of them."""
    if value is None or value == "":
        return []
    values = value if isinstance(value, list | tuple) else [value]
    return [_unwrapped(item) for item in values]


def _unwrapped(value: object) -> object:
    """An image in the objects that people wrap it in: {"path": …, "bytes": …}, {"url": …}."""
    if isinstance(value, Mapping):
        if isinstance(value.get("bytes"), bytes):
            return value["bytes"]
        for key in ("path", "url", "image", "file_name"):
            if isinstance(value.get(key), str) and value.get(key):
                return value[key]
    return value


def _turns(row: Row, shape: str, defaults: Defaults, where: str) -> list[markers.Turn]:
    if shape == "prompt":
        prompt = fields.text(row, "prompt", where=where)
        response = fields.text(row, "response", where=where, coerce=defaults.coerce)
        return [("user", prompt), ("assistant", response)]
    turns: list[markers.Turn] = []
    for item in _list(row, shape, where):
        keys = next((pair for pair in _TURN_KEYS if _has_keys(item, pair)), None)
        if keys is None or not isinstance(item, dict):
            expected = 'a list of {"role", "content"} or {"from", "value"}'
            raise fields.wrong(shape, expected, item, where)
        speaker, key = keys
        role, said = _role(item[speaker], where), item[key]
        if not isinstance(said, str):
            coerce = defaults.coerce if role == "assistant" else None
            said = fields.text(item, key, where=where, coerce=coerce)
        turns.append((role, said))
    return turns


_TURN_KEYS = (("role", "content"), ("from", "value"))


def _has_keys(item: object, keys: tuple[str, str]) -> bool:
    return type(item) is dict and len(item) == len(keys) and keys[0] in item and keys[1] in item


def _list(row: Row, shape: str, where: str) -> list[object]:
    value = row[shape]
    if isinstance(value, str):  # a table's cell holds the list as JSON
        value = canonical.loads(value.encode("utf-8", "replace"), where=where, floats=True)
    if not isinstance(value, list | tuple) or not value:
        raise fields.wrong(shape, "a list of turns", value, where)
    return list(value)


def _role(value: object, where: str) -> Role:
    role = ROLES.get(value) if isinstance(value, str) else None
    role = role or ROLES.get(str(value).lower())
    if role is None:
        raise fields.wrong("role", f"one of {', '.join(ROLES)}", value, where)
    return role


def _system_turn(row: Row, where: str) -> list[markers.Turn]:
    text = fields.optional_text(row, "system", where=where)
    return [("system", text)] if text else []


def _system(row: Row, where: str, make: Callable[..., Message]) -> list[Message]:
    return [
        make(role=role, content=(TextPart(text=text),)) for role, text in _system_turn(row, where)
    ]


def _has_parts(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("content"), list | tuple)


def _explicit(
    items: list[object],
    sources: list[ImageSource],
    read_image: ReadImage,
    defaults: Defaults,
    where: str,
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Messages whose parts say where images stand: their texts are texts, whatever they hold.

    Images that parts bring along are added to `sources`.
    """
    messages, told, shown = [], set(), 0
    for item in items:
        if not isinstance(item, dict) or set(item) != {"role", "content"}:
            raise fields.wrong("messages", 'a list of {"role", "content"}', item, where)
        role, content = _role(item["role"], where), item["content"]
        if isinstance(content, str | int | float):
            coerce = defaults.coerce if role == "assistant" else None
            content = fields.text(item, "content", where=where, coerce=coerce)
            content = [{"type": "text", "text": content}]
        if not isinstance(content, list | tuple) or not content:
            raise fields.wrong("content", "a text or a list of parts", content, where)
        parts: list[Part] = []
        for part in content:
            made = _part(part, where)
            if isinstance(made, str):
                marker = markers.marker_in(made)
                if marker:
                    told.add(f"a text holds {marker!r} beside image parts, and it stays text")
                if made:
                    parts.append(TextPart(text=made))
                continue
            number = shown if made is None or not isinstance(made, int) else made
            if made is not None and not isinstance(made, int):
                sources.insert(shown, read_image(made.value, where))
            parts.append(ImagePart(image=number))
            shown += 1
        messages.append(Message(role=role, content=tuple(parts)))
    return tuple(messages), tuple(sorted(told))


class _Named:
    """An image that a part brings along."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


def _part(part: object, where: str) -> str | int | _Named | None:
    """A text, the number of an image, an image, or None for the row's next image."""
    if not isinstance(part, dict):
        raise fields.wrong("content", "a list of text and image parts", part, where)
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text") and set(part) == {"type", "text"}:
        return fields.text(part, "text", where=where)
    if kind in ("image", "image_url", "input_image"):
        rest = {key: value for key, value in part.items() if key not in ("type", "detail")}
        if not rest:
            return None
        if len(rest) == 1:
            value = _unwrapped(next(iter(rest.values())))
            return value if type(value) is int else _Named(value)
    raise fields.wrong("content", "a list of text and image parts", part, where)
