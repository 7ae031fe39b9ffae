"""Report: the page: what stands on it and in which order, with its style inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from xml.etree.ElementTree import Element

from kolm.report import cases, contents, cost, scores, training, verdict
from kolm.report.facts import Facts
from kolm.report.markup import element, said, serialise
from kolm.version import VERSION

# A page from disk asks nobody for anything: not for a script, a style, a font or a picture.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render(facts: Facts) -> bytes:
    """The page of one bundle as one HTML file.

    Args:
        facts: a bundle with its audit. The same facts give the same bytes.
    """
    receipt = facts.receipt
    return whole(
        f"{receipt['name']}: what an audit of this bundle found",
        [
            element("h1", said(receipt["name"])),
            element(
                "p",
                "An adapter for ",
                said(receipt["base"]["id"]),
                f" ({receipt['base']['family']}), trained by "
                f"{receipt['vlm_train']['method']['kind']} on "
                f"{receipt['vlm_train']['train_examples']} examples. Content id ",
                element("code", facts.bundle.cid),
                ".",
            ),
            verdict.banner(facts),
        ],
        _sections(facts),
    )


def whole(title: str, opening: Sequence[Element], sections: Iterable[Element | None]) -> bytes:
    """A page: what it opens with, links to its sections, the sections, and the style inside."""
    shown = [part for part in sections if part is not None]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
    )
    style = element("style")
    style.text = resources.files("kolm.report").joinpath("page.css").read_text("utf-8")
    head.append(style)
    body = element(
        "body",
        opening,
        element("nav", [_link(part) for part in shown]),
        shown,
        element(
            "footer",
            f"Made by kolm {VERSION}. Texts here are quoted; nothing on this page runs.",
        ),
    )
    return serialise(element("html", head, body, lang="en"))


def _sections(facts: Facts) -> tuple[Element | None, ...]:
    album = cases.Album(facts.pictures)
    return (
        verdict.verdicts(facts),
        verdict.vouching(facts),
        verdict.not_shown(facts),
        scores.scores(facts),
        scores.kscore(facts),
        scores.slices(facts),
        scores.confusion(facts),
        cases.worst(facts, album),
        cases.samples(facts, album),
        training.training(facts),
        training.modules(facts),
        cost.cost(facts),
        contents.data(facts),
        contents.environment(facts),
        verdict.checks(facts),
        contents.files(facts),
        verdict.again(facts),
    )


def _link(part: Element) -> Element:
    title = part.find("h2")
    return element(
        "a", (title.text if title is not None else None) or "", href=f"#{part.get('id')}"
    )
