"""Capture: captures as prompt/response rows, one JSON object a line; see importers/jsonl.py.

A capture that is more than images, a prompt and a response is written with ``messages``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kolm import canonical
from kolm.capture.documents import to_document
from kolm.capture.drafts import prompt_and_response
from kolm.capture.exporters import image_name
from kolm.capture.markers import own_placeholder
from kolm.capture.store import Stored
from kolm.records.capture import Capture, TextPart


def text(rows: Iterable[Stored], folder: str) -> Iterator[bytes]:
    """The lines of the file; `folder` is the images' folder, relative to it."""
    for row in rows:
        yield canonical.dumps(_row(row.capture, folder)) + b"\n"


def common(capture: Capture) -> dict[str, Any]:
    """The fields that every format shares; those that say nothing are left out."""
    document = to_document(capture)
    shared = ("tags", "license", "split", "rejected", "corrections", "source")
    return {key: document[key] for key in shared if document.get(key)}


def image_names(capture: Capture, folder: str) -> str | list[str]:
    """One image's path, or the list of none or several."""
    names = [f"{folder}/{image_name(image)}" for image in capture.images]
    return names[0] if len(names) == 1 else names


def _row(capture: Capture, folder: str) -> dict[str, Any]:
    row = {"image": image_names(capture, folder), **common(capture)}
    pair = _pair(capture)
    if pair is None:
        return {**row, "messages": to_document(capture)["messages"]}
    placeholder = own_placeholder(pair)
    named = {"placeholder": placeholder} if placeholder else {}
    return {**row, **named, "prompt": pair[0], "response": pair[1]}


def _pair(capture: Capture) -> tuple[str, str] | None:
    """Prompt and response, if the capture is no more than them with its images before them."""
    if len(capture.messages) != 2:
        return None
    prompt = "".join(p.text for p in capture.messages[0].content if isinstance(p, TextPart))
    response = "".join(p.text for p in capture.messages[1].content if isinstance(p, TextPart))
    if prompt_and_response(len(capture.images), prompt, response) != capture.messages:
        return None
    return prompt, response
