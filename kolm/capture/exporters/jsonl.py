"""Capture: captures as prompt/response rows, one JSON object per line; see importers/jsonl.py.

A capture that is more than images, a prompt and a response is written with ``messages``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kolm import canonical
from kolm.capture.documents import to_document
from kolm.capture.drafts import prompt_and_response
from kolm.capture.exporting import Images
from kolm.capture.markers import own_placeholder
from kolm.capture.store import StoredCapture
from kolm.records.capture import Capture, TextPart


def pieces(rows: Iterable[StoredCapture], images: Images) -> Iterator[bytes]:
    """The lines of the file."""
    for row in rows:
        shown = image_paths(row.capture, images)
        yield canonical.dumps({"image": shown, **row_of(row.capture)}) + b"\n"


def common(capture: Capture) -> dict[str, object]:
    """The fields that every format shares; those that say nothing are left out."""
    document = to_document(capture)
    shared = ("tags", "license", "split", "references", "rejected", "corrections", "source")
    return {key: value for key, value in document.items() if key in shared and value}


def image_paths(capture: Capture, images: Images) -> str | list[str]:
    """One image's path, or the list of none or several."""
    paths = [images.path(image) for image in capture.images]
    return paths[0] if len(paths) == 1 else paths


def row_of(capture: Capture) -> dict[str, object]:
    """The row of a capture, without its images."""
    pair = _pair(capture)
    if pair is None:
        return {**common(capture), "messages": to_document(capture)["messages"]}
    placeholder = own_placeholder(pair)
    named = {"placeholder": placeholder} if placeholder else {}
    return {**common(capture), **named, "prompt": pair[0], "response": pair[1]}


def _pair(capture: Capture) -> tuple[str, str] | None:
    """Prompt and response, if the capture is no more than them with its images before them."""
    if len(capture.messages) != 2:
        return None
    prompt = "".join(p.text for p in capture.messages[0].content if isinstance(p, TextPart))
    response = "".join(p.text for p in capture.messages[1].content if isinstance(p, TextPart))
    if prompt_and_response(len(capture.images), prompt, response) != capture.messages:
        return None
    return prompt, response
