"""Report: the page: what stands on it and in which order, with its style inside."""

from __future__ import annotations

from importlib import resources
from xml.etree.ElementTree import Element

from kolm.report import cases, contents, scores, training, verdict
from kolm.report.facts import Facts
from kolm.report.markup import element, said, serialise

# A page from disk asks nobody for anything: not for a script, a style, a font or a picture.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render(facts: Facts) -> bytes:
    """The page as one HTML file.

    Args:
        facts: a bundle with its audit. The same facts give the same bytes.
    """
    receipt = facts.receipt
    sections = _sections(facts)
    title = f"{receipt['name']}: what an audit of this bundle found"
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
        element("h1", said(receipt["name"])),
        element(
            "p",
            "An adapter for ",
            said(receipt["base"]["id"]),
            f" ({receipt['base']['family']}), trained by "
            f"{receipt['vlm_train']['method']['kind']} on {receipt['vlm_train']['train_examples']} "
            "examples. Content id ",
            element("code", facts.bundle.cid),
            ".",
        ),
        verdict.banner(facts),
        element("nav", [_link(part) for part in sections]),
        sections,
        element(
            "footer",
            f"Made by kolm {facts.audit.kolm} from the bundle alone. Texts in it are quoted from "
            "the bundle; nothing on this page runs.",
        ),
    )
    return serialise(element("html", head, body, lang="en"))


def _sections(facts: Facts) -> list[Element]:
    album = cases.Album(facts)
    found = (
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
        contents.data(facts),
        contents.environment(facts),
        verdict.checks(facts),
        contents.files(facts),
        verdict.again(facts),
    )
    return [part for part in found if part is not None]


def _link(part: Element) -> Element:
    title = part.find("h2")
    return element(
        "a", (title.text if title is not None else None) or "", href=f"#{part.get('id')}"
    )
