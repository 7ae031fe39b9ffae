"""Capture: the rules of one capture that a schema cannot say.

Pure functions of plain documents, so that whoever takes captures in and whoever verifies a bundle
ask the same. The rule numbers are those of docs/format/capture.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from kolm.capture import limits
from kolm.errors import Refused

if TYPE_CHECKING:
    from kolm.records.documents import Capture, CaptureCorrection, CaptureImage, CaptureMessage


# An answer somebody meant to write: [ANNOTATE: …], [TODO], [FILL IN: …]. Upper case only, so that
# an answer may still speak of to-dos. One without its end is read over, so that a text full of them
# is read once and not once for each.
_TEMPLATE = r"\[\s*(?:ANNOTATE|TODO|TBD|FILL[ _]?IN|PLACEHOLDER)(?![A-Za-z0-9_])[^\]\n]*(\]?)"


def check_rules(document: Capture, *, where: str) -> None:
    """Demand the rules C4, C7 to C12 and C16 of a document that fits its schema.

    Raises:
        Refused: ``E_CAPTURE_RULE`` and its siblings.
    """
    check_tags(document["tags"], where)
    check_turns([message["role"] for message in document["messages"]], where)
    check_sizes(document["images"], where)
    _check_places(document, where)
    for message in document["messages"]:
        if message["role"] == "assistant":
            check_answer(text_of(message), where=where)
    check_rare(document, text_of(document["messages"][-1]), where)


def check_turns(roles: Sequence[str], where: str) -> None:
    """Demand that the turns alternate, after a system text or none, and end with an answer.

    Raises:
        Refused: ``E_CAPTURE_TURNS``.
    """
    turns = list(roles[1:] if roles[:1] == ["system"] else roles)
    alternating = ["user", "assistant"] * (len(turns) // 2 + 1)
    if turns and len(turns) % 2 == 0 and turns == alternating[: len(turns)]:
        return
    unanswered = turns and turns == alternating[: len(turns)]
    raise Refused(
        "E_CAPTURE_TURNS",
        "the last turn has no assistant answer"
        if unanswered
        else "the turns are not user and assistant in alternation, ending with the assistant",
        where=where,
        expected="system (optional), then user, assistant, user, assistant, …",
        found=", ".join(roles[:12]),
        hint="add the assistant's answer to the row, or leave the row out"
        if unanswered
        else "join turns that follow one another from one side, and end with an answer",
    )


def check_answer(text: str, *, where: str) -> None:
    """Demand that an answer says something and is no template that was never filled.

    Raises:
        Refused: ``E_CAPTURE_EMPTY_RESPONSE`` or ``E_CAPTURE_UNFILLED``.
    """
    if not text.strip():
        raise Refused("E_CAPTURE_EMPTY_RESPONSE", "the response is empty", where=where)
    _demand_filled(text, "the response", where)


def _demand_filled(text: str, what: str, where: str) -> None:
    for template in re.finditer(_TEMPLATE, text) if "[" in text else ():
        if template.group(1):
            raise Refused(
                "E_CAPTURE_UNFILLED",
                f"{what} holds a template that was never filled",
                where=where,
                found=template.group()[:80],
                hint="write the answer, or leave the row out",
            )


def apply_corrections(text: str, corrections: Iterable[CaptureCorrection]) -> str:
    """The text after its corrections, whose offsets count characters of the original text."""
    parts, at = [], 0
    for edit in corrections:
        parts += [text[at : edit["start"]], edit["replacement"]]
        at = edit["end"]
    return "".join([*parts, text[at:]])


def text_of(message: CaptureMessage) -> str:
    """What a message says, without its images."""
    return "".join(part["text"] for part in message["content"] if part["type"] == "text")


def _broken(where: str, message: str) -> Refused:
    return Refused("E_CAPTURE_RULE", message, where=where)


def check_tags(tags: Sequence[str], where: str) -> None:
    """Demand that they are sorted and stand once each (C7)."""
    if any(left >= right for left, right in pairwise(tags)):
        raise _broken(where, "tags must be sorted, each once")


def check_rare(document: Capture, response: str, where: str) -> None:
    """Demand the rules of what few captures have beside their `response` (C10, C11, C16)."""
    references = document.get("references", [])
    if references != sorted(references):  # votes: one may stand there several times
        raise _broken(where, "further reference answers must be sorted")
    for text in references:
        check_answer(text, where=where)
    if "rejected" in document or "corrections" in document:
        _check_rejected(document, response, where)


def check_sizes(images: Sequence[CaptureImage], where: str) -> None:
    """Demand that none has more pixels than a picture of its kind may have (C4)."""
    for image in images:
        kind = image["media_type"].removeprefix("image/").upper()
        most = limits.MAX_FORMAT_PIXELS.get(kind, limits.MAX_IMAGE_PIXELS)
        if image["width"] * image["height"] > most:
            raise _broken(where, f"a picture of this kind has at most {most} pixels")


def _check_places(document: Capture, where: str) -> None:
    places: list[int] = []
    for message in document["messages"]:
        content, before = message["content"], ""
        if message["role"] != "user" and (len(content) > 1 or content[0]["type"] != "text"):
            raise _broken(where, f"a message of the {message['role']} is one text")
        for part in content:
            if part["type"] == "image":
                places.append(part["image"])
            elif before == "text":
                raise _broken(where, "two text parts follow one another; join them")
            before = part["type"]
    if places != list(range(len(document["images"]))):
        raise Refused(
            "E_CAPTURE_IMAGE_PLACES",
            "the messages do not show each image once, in order",
            where=where,
            expected=f"{len(document['images'])} places for images",
            found=f"places {places[:12]}",
        )


def _check_rejected(document: Capture, response: str, where: str) -> None:
    rejected, corrections = document.get("rejected"), document.get("corrections")
    if rejected is None:
        raise _broken(where, "corrections need the rejected answer that they correct")
    if not rejected.strip() or rejected == response:
        raise _broken(where, "the rejected answer is empty or the same as the response")
    _demand_filled(rejected, "the rejected answer", where)
    if corrections is None:
        return
    at = 0
    for edit in corrections:
        if not at <= edit["start"] <= edit["end"] <= len(rejected):
            raise _broken(where, "corrections overlap, run backwards or pass the text's end")
        at = edit["end"]
    if apply_corrections(rejected, corrections) != response:
        raise _broken(where, "the corrections do not turn the rejected answer into the response")
