"""The format: which questions are the same to a person who sees them.

Used where captures contradict or repeat each other and where distinct questions are counted.
docs/format/snapshot.md, S13 and S14. The characters come from a table of one Unicode version
(tools/sameness_table.py made it), because Python's own tables differ from version to version.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kolm import canonical, digest

if TYPE_CHECKING:
    from kolm.records.documents import Capture


# Marks at the end of a sentence, decomposed: of English, Greek, CJK, Arabic, Devanagari.
END_MARKS = ".,:;!?\u203d\u3001\u3002\u060c\u061b\u061f\u06d4\u0964\u0965"
_HANGUL_FIRST, _HANGUL_LAST = 0xAC00, 0xD7A3
_VOWELS, _TAILS = 21, 28
_ASCII_UNSEEN = dict.fromkeys((*range(9), *range(14, 28), 127), "")  # as the table has them

Asked = tuple[str, ...]
Name = TypeVar("Name")


def question(document: "Capture") -> Asked:
    """What a capture asks: pictures by pixels, what is said to the model folded.

    The document must fit the schema of a capture; a place of an image that it does not have counts
    as no picture, which its rules refuse.
    """
    return _asked(document, dict(enumerate(image["pixels"] for image in document["images"])))


def wording(document: "Capture") -> Asked:
    """What a capture asks, whatever its pictures show."""
    return _asked(document, {})


def _asked(document: "Capture", pictures: Mapping[int, str]) -> Asked:
    asked: list[str] = []
    for message in document["messages"][:-1]:
        said = message["role"]
        compared = plain if said == "assistant" else fold
        asked.append(said)
        for part in message["content"]:
            if part["type"] == "image":
                asked += ("image", pictures.get(part["image"], ""))
            elif text := compared(part["text"]):
                asked += ("text", text)
    return tuple(asked)


def answer(document: "Capture") -> str:
    """The reference answer, as answers are compared: '5' is not '5%'."""
    said = document["messages"][-1]["content"][0]
    return plain(said["text"]) if said["type"] == "text" else ""


def fingerprints(document: "Capture") -> tuple[bytes, bytes]:
    """Short stand-ins for question and answer: equal where these are, for one process to hold."""
    return fingerprint(question(document)), fingerprint(answer(document))


def fingerprint(said: Asked | str) -> bytes:
    """A short stand-in for what is asked or answered."""
    return digest.raw_of_bytes(repr(said).encode())


def plain(text: str) -> str:
    """A text without case, and with one space for a run of white space."""
    return " ".join(text.split()).casefold()


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """A question's text as a person sees it.

    Compatibility forms decomposed, without case, without characters that show nothing, with one
    space for a run of white space, and without marks at its end.
    """
    if text.isascii():  # most texts, and half the cost of an audit would be the table
        folded = text.lower().translate(_ASCII_UNSEEN)
    else:
        table = _table()
        folded = _in_order(_decomposed(text.translate(table.fold)), table.classes)
    shown = " ".join(folded.split())
    return shown.rstrip(END_MARKS + " ") or shown[:1]


class _Table(NamedTuple):
    fold: dict[int, str]
    classes: dict[str, int]  # combining classes above 0


@cache
def _table() -> _Table:
    value = canonical.loads_own(Path(__file__).with_name("sameness.json").read_bytes())
    fold = {ord(character): to for character, to in value["fold"].items()}
    for first, last in value["removed"]:
        fold.update(dict.fromkeys(range(first, last + 1), ""))
    return _Table(fold, value["classes"])


def _decomposed(text: str) -> str:
    """Hangul syllables as their letters: Unicode 14.0, section 3.12."""
    if not any(_HANGUL_FIRST <= ord(character) <= _HANGUL_LAST for character in text):
        return text
    return "".join(_letters(ord(character)) for character in text)


def _letters(point: int) -> str:
    if not _HANGUL_FIRST <= point <= _HANGUL_LAST:
        return chr(point)
    rest, tail = divmod(point - _HANGUL_FIRST, _TAILS)
    lead, vowel = divmod(rest, _VOWELS)
    return chr(0x1100 + lead) + chr(0x1161 + vowel) + (chr(0x11A7 + tail) if tail else "")


def _in_order(text: str, classes: Mapping[str, int]) -> str:
    """Combining marks by their class, as Unicode's canonical order has them."""
    pieces: list[str] = []
    for marks, run in groupby(text, lambda character: character in classes):
        characters = list(run)
        pieces += sorted(characters, key=classes.__getitem__) if marks else characters
    return "".join(pieces)
