"""Report: the cases that went worst, with their pictures where they may be shown."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from heapq import nsmallest
from typing import TYPE_CHECKING, Literal
from xml.etree.ElementTree import Element

from kolm.counting import counted
from kolm.report.facts import Case, Facts, Pictures
from kolm.report.markup import element, pairs, said, section
from kolm.score.cases import reference_of

if TYPE_CHECKING:
    from kolm.records.documents import CaptureImage

_WORST, _SAMPLES = 12, 6
_SCORED: tuple[Literal["adapter", "base"], ...] = ("adapter", "base")
# A page that is to be mailed stays small; pictures beyond this are named, not shown.
_PICTURE_BYTES = 256 * 1024
_PAGE_BYTES = 1536 * 1024
_TEXT_CHARACTERS = 600


class Album:
    """Pictures as data inside the page, until there are too many bytes of them."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures
        self._room = _PAGE_BYTES

    def show(self, image: CaptureImage) -> Element:
        """A picture, or why it is not here."""
        size = f"{image['width']} × {image['height']}"
        if image["bytes"] > min(_PICTURE_BYTES, self._room):
            return element("p", f"A picture of {size}, too large for this page.", class_="gone")
        data = self._pictures(image["file"])
        if data is None:
            return element("p", f"A picture of {size}, which is not published.", class_="gone")
        self._room -= len(data)
        text = base64.b64encode(data).decode("ascii")
        return element(
            "img", src=f"data:{image['media_type']};base64,{text}", alt=f"picture of {size}"
        )


def worst(facts: Facts, album: Album) -> Element | None:
    """The cases with the lowest scores; among equals those that the base answered better."""
    counts = Counter[str]()
    shown = nsmallest(_WORST, _wrong(facts.cases(), counts), key=_rank)
    if not counts["cases"]:
        return section("Worst cases", element("p", _WITHHELD), id_="worst")
    told = (
        f"{counted(counts['wrong'], 'case')} of {counts['cases']} did not earn the full score; the "
        f"base scores higher on {counts['lost']} of them."
        if shown
        else f"All {counts['cases']} cases earned the full score."
    )
    return section(
        "Worst cases",
        element("p", told),
        element("div", [_card(case, album) for case in shown], class_="cards"),
        id_="worst",
    )


def _rank(case: Case) -> tuple[Decimal, Decimal, str]:
    answers = case.answers
    return Decimal(answers["adapter"]["score"]), -Decimal(answers["base"]["score"]), answers["case"]


def _wrong(cases: Iterable[Case], counts: Counter[str]) -> Iterator[Case]:
    """The cases without the full score, one at a time; counts them and all others."""
    for case in cases:
        scores = [Decimal(case.answers[run]["score"]) for run in _SCORED]
        counts["cases"] += 1
        if scores[0] < 1:
            counts["wrong"] += 1
            counts["lost"] += scores[1] > scores[0]
            yield case


def samples(facts: Facts, album: Album) -> Element | None:
    """A few cases as they come in the file, whose order nobody chose."""
    shown = [case for case, _ in zip(facts.cases(), range(_SAMPLES), strict=False)]
    if not shown:
        return None
    return section(
        "Samples",
        element(
            "p",
            "The first cases in the order of their digests, which nobody chose by how they went.",
        ),
        element("div", [_card(case, album) for case in shown], class_="cards"),
        id_="samples",
    )


_WITHHELD = "The bundle does not publish its cases, so none can be shown."


def _card(case: Case, album: Album) -> Element:
    answers = case.answers
    rows = [
        ("reference", cut(reference_of(case.capture, where="case"))),
        (f"adapter, {answers['adapter']['score']}", cut(answers["adapter"]["output"])),
        (f"base, {answers['base']['score']}", cut(answers["base"]["output"])),
    ]
    return element(
        "article",
        [album.show(image) for image in case.capture["images"][:2]],
        element("p", cut("\n".join(_asked(case))), class_="prompt"),
        pairs(rows),
        class_="card",
    )


def _asked(case: Case) -> Iterator[str]:
    """What was said before the reference answer."""
    for message in case.capture["messages"][:-1]:
        text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
        yield text if message["role"] == "user" else f"{message['role']}: {text}"


def cut(text: str) -> Element:
    """A text from outside, up to a length that a page has room for."""
    over = len(text) - _TEXT_CHARACTERS
    return said(f"{text[:_TEXT_CHARACTERS]}… ({over} characters more)" if over > 0 else text)
