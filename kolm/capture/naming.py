"""Capture: what a capture is called in messages: the file and row that it came from.

A capture's id says nothing to the person who wrote it. A store that is left by an error puts its
names into it; `name_of` is for messages made elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from kolm import digest
from kolm.digest import Digest
from kolm.errors import KolmError

SHOWN_DIGITS = 12
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def name_of(capture: Digest, names: Mapping[Digest, str]) -> str:
    """A capture as a message calls it, such as ``pairs.jsonl:7 (sha256:0123456789ab)``.

    Args:
        capture: its id, which is what it is called without a name.
        names: of the store (`CaptureStore.names`).
    """
    place = names.get(capture)
    if place is None:
        return capture
    return f"{place} (sha256:{digest.hex_of(capture)[:SHOWN_DIGITS]})"


def name_captures(error: KolmError, read_names: Callable[[], Mapping[Digest, str]]) -> None:
    """Call captures by their names in an error, wherever it says their ids.

    Args:
        error: is changed.
        read_names: gives the names, and is asked only if there is an id.
    """
    texts = (error.message, error.where, error.expected, error.found)
    if not any(map(mentions_id, texts)):
        return
    names = read_names()
    error.message, error.where, error.expected, error.found = (
        with_names(text, names) for text in texts
    )
    error.args = (error.message,)


def mentions_id(text: str | None) -> bool:
    """Whether a text may say the id of a capture."""
    return text is not None and _DIGEST.search(text) is not None


def with_names(text: str, names: Mapping[Digest, str]) -> str:
    """A text that calls captures by their names wherever it says their ids."""
    return _DIGEST.sub(lambda match: name_of(Digest(match.group()), names), text)
