"""Capture: preference rows as LLaMA-Factory takes them, in either of its shapes.

Alpaca: ``instruction``, ``input``, ``chosen``, ``rejected``, and ``history`` before them. ShareGPT:
``conversations`` or ``messages`` up to the last question, ``chosen`` and ``rejected`` as one turn
each (LLaMA-Factory, data/README.md, preference data sets). ``<image>`` is the place of an image.
"""

from __future__ import annotations

from kolm.capture import fields
from kolm.capture.drafts import Row
from kolm.capture.importers import pairs
from kolm.errors import Refused

_ALPACA = ("instruction", "input", "history")
_SHAREGPT = ("conversations", "messages")
KEYS = frozenset((*_ALPACA, *_SHAREGPT, "chosen", "rejected"))


def _own(row: Row, where: str) -> Row:
    pairs.check_keys(row, KEYS, where=where)
    found = [key for key in (*_SHAREGPT, "instruction") if row.get(key) is not None]
    if len(found) != 1:
        code = "E_ROW_FIELD" if found else "E_ROW_MISSING_KEY"
        raise Refused(
            code,
            "the row has no question" if not found else f"the row has {' and '.join(found)} too",
            where=where,
            expected="instruction, or conversations, or messages",
        )
    said = [_answer(row, key, where) for key in ("chosen", "rejected")]
    before = _instructed(row, where) if found == ["instruction"] else _turns(row, found[0], where)
    turns = [*before, {"role": "assistant", "content": said[0]}]
    return {**pairs.rest(row, KEYS), "conversations": turns, "rejected": said[1]}


def _answer(row: Row, key: str, where: str) -> str:
    """An answer: a text, a turn, or the turn alone in a list."""
    value = pairs.required(row, key, where)
    if isinstance(value, str) and value.lstrip().startswith("{") and _is_sharegpt(row):
        value = pairs.parsed(value, key, where)  # a table's cell
    turns = pairs.turns_of(value, key, "assistant", where)
    if len(turns) != 1:
        raise fields.wrong(key, "one turn", value, where)
    return pairs.answer_of(turns[0], key, where)


def _is_sharegpt(row: Row) -> bool:
    return any(row.get(key) is not None for key in _SHAREGPT)


def _turns(row: Row, key: str, where: str) -> list[object]:
    value = row[key]
    if isinstance(value, str):  # a table's cell
        value = pairs.parsed(value, key, where)
    turns: list[object] = [*pairs.turns_of(value, key, "user", where)]
    return turns


def _instructed(row: Row, where: str) -> list[object]:
    """The turns of an alpaca row up to its question: the input stands on lines of its own."""
    asked = [fields.text(row, "instruction", where=where)]
    asked += filter(None, [fields.optional_text(row, "input", where=where)])
    turns: list[object] = []
    for one in _history(row, where):
        if not isinstance(one, list | tuple) or len(one) != 2:
            raise fields.wrong("history", "a list of pairs of question and answer", one, where)
        turns += [{"role": "user", "content": one[0]}, {"role": "assistant", "content": one[1]}]
    return [*turns, {"role": "user", "content": "\n".join(asked)}]


def _history(row: Row, where: str) -> list[object]:
    value = row.get("history")
    if isinstance(value, str) and value:
        value = pairs.parsed(value, "history", where)
    if value in (None, ""):
        return []
    if not isinstance(value, list | tuple):
        raise fields.wrong("history", "a list of pairs of question and answer", value, where)
    return list(value)


rows = pairs.reader(KEYS, _own)
