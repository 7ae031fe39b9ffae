"""Capture: preference rows as TRL takes them: ``prompt``, ``chosen``, ``rejected``, ``images``.

Each of the three is a text or a list of chat messages; without ``prompt`` both lists hold the whole
conversation (TRL, "Dataset formats and types", preference). Rows come in any file that holds rows.
"""

from __future__ import annotations

from kolm.capture import fields
from kolm.capture.drafts import Row
from kolm.capture.importers import pairs
from kolm.capture.importers.pairs import Turn
from kolm.errors import Refused

KEYS = frozenset(("prompt", "chosen", "rejected"))


def _own(row: Row, where: str) -> Row:
    pairs.check_keys(row, KEYS, where=where)
    prompt, rest = row.get("prompt"), pairs.rest(row, KEYS)
    chosen, rejected = (pairs.required(row, key, where) for key in ("chosen", "rejected"))
    if all(isinstance(text, str) for text in (prompt, chosen, rejected)):
        return {**rest, "prompt": prompt, "response": chosen, "rejected": rejected}
    before = [] if prompt is None else pairs.turns_of(prompt, "prompt", "user", where)
    better = [*before, *pairs.turns_of(chosen, "chosen", "assistant", where)]
    worse = [*before, *pairs.turns_of(rejected, "rejected", "assistant", where)]
    if better[:-1] != worse[:-1]:
        raise Refused(
            "E_ROW_FIELD",
            "chosen and rejected differ before their last turns",
            where=where,
            expected="two answers to one conversation",
        )
    if len(better) == 1:
        raise Refused("E_ROW_MISSING_KEY", "the row has no 'prompt'", where=where)
    pairs.answer_of(better[-1], "chosen", where)
    turns = [_plain(turn, where) for turn in better]
    return {
        **rest,
        "messages": _placed(turns, row),
        "rejected": pairs.answer_of(worse[-1], "rejected", where),
    }


def _plain(turn: Turn, where: str) -> Turn:
    """A message whose parts state nothing empty: tables give every part every key."""
    content = turn.get("content")
    if not isinstance(content, list | tuple):
        return turn
    if not all(isinstance(part, dict) for part in content):
        raise fields.wrong("content", "a list of text and image parts", content, where)
    stated = [{key: value for key, value in part.items() if value is not None} for part in content]
    return {**turn, "content": stated}


def _placed(turns: list[Turn], row: Row) -> list[Turn]:
    """Images that no part stands for come before the first user's text, where TRL puts them."""
    parts = [part for turn in turns if isinstance(turn.get("content"), list | tuple)
             for part in turn["content"]]  # fmt: skip
    shown = [row[key] for key in pairs.IMAGES if row.get(key) not in (None, "")]
    if not parts or not shown or any(part.get("type") != "text" for part in parts):
        return turns
    count = sum(len(images) if isinstance(images, list | tuple) else 1 for images in shown)
    placed = list(turns)
    for number, turn in enumerate(turns):
        if turn.get("role") == "user":
            said = turn.get("content")
            texts = [{"type": "text", "text": said}] if isinstance(said, str) else said
            content = [*({"type": "image"} for _ in range(count)), *(texts or ())]
            placed[number] = {**turn, "content": content}
            break
    return placed


rows = pairs.reader(KEYS, _own)
