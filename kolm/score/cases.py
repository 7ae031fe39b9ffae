"""Eval cases as scoring sees them: a reference, tags, and which cases share a picture.

Stands between `evalcases.jsonl` (captures, checked against their schema before) and statistics;
docs/format/evaluation.md, E1 and E7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from kolm import canonical, digest
from kolm.errors import Refused
from kolm.format import sameness
from kolm.metrics.exact import normalise
from kolm.metrics.relaxed import parse_number

SMALL_PIXELS = 256 * 256
MEDIUM_PIXELS = 1024 * 1024


class Case(NamedTuple):
    """One declared eval case."""

    case: str
    reference: str
    tags: tuple[str, ...]
    images: tuple[str, ...]  # pixel digests, distinct
    image_size: str  # none | small | medium | large
    answer_type: str  # boolean | number | text
    cluster: str  # the same for all cases that are linked through shared pictures
    question: tuple[str, ...]  # the same for all cases that ask the same, as a person sees it


def read_cases(data: bytes | memoryview, *, where: str = "evalcases.jsonl") -> tuple[Case, ...]:
    """The cases of an `evalcases.jsonl`.

    Raises:
        Refused: a line that is no canonical JSON, or ``E_CASE_REFERENCE``.
    """
    rows = canonical.read_lines(data, where=where)
    return build_cases((digest.of_bytes(line), capture) for _, line, capture in rows)


def build_cases(captures: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[Case, ...]:
    """The cases of (capture id, capture) pairs, in the order given, clustered by shared pictures.

    Raises:
        Refused: ``E_CASE_REFERENCE`` when a capture does not end with the assistant's answer.
    """
    rows = list(captures)
    shown = [tuple(sorted({image["pixels"] for image in capture["images"]})) for _, capture in rows]
    clusters = cluster_names(shown)
    return tuple(
        _build(case, capture, images, clusters[images[0]] if images else case)
        for (case, capture), images in zip(rows, shown, strict=True)
    )


def _build(case: str, capture: Mapping[str, Any], images: tuple[str, ...], cluster: str) -> Case:
    reference = reference_of(capture, where=case)
    return Case(
        case=case,
        reference=reference,
        tags=tuple(capture["tags"]),
        images=images,
        image_size=image_size(capture["images"]),
        answer_type=answer_type(reference),
        cluster=cluster,
        question=sameness.question(capture),
    )


def reference_of(capture: Mapping[str, Any], *, where: str) -> str:
    """The text of the last message, which must be the assistant's.

    Raises:
        Refused: ``E_CASE_REFERENCE``.
    """
    last = capture["messages"][-1]
    if last["role"] != "assistant":
        raise Refused(
            "E_CASE_REFERENCE",
            "an eval case ends with the assistant's reference answer",
            where=where,
            expected="assistant",
            found=str(last["role"]),
        )
    return "".join(part["text"] for part in last["content"] if part["type"] == "text")


def image_size(images: Iterable[Mapping[str, Any]]) -> str:
    """The bucket of a case's largest picture, by its pixels."""
    largest = max((image["width"] * image["height"] for image in images), default=0)
    if not largest:
        return "none"
    if largest <= SMALL_PIXELS:
        return "small"
    return "medium" if largest <= MEDIUM_PIXELS else "large"


@lru_cache(maxsize=4096)
def answer_type(reference: str) -> str:
    """What kind of answer the reference is, whatever metric judges it."""
    if normalise(reference) in ("yes", "no"):
        return "boolean"
    return "text" if parse_number(reference) is None else "number"


def cluster_names(shown: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """For every picture the smallest pixel digest among those it is linked to.

    Args:
        shown: the pixel digests of each case; a case with several links them.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for images in shown:
        for image in images:
            parent.setdefault(image, image)
        for image in images[1:]:
            first, other = sorted((root(images[0]), root(image)))
            parent[other] = first
    return {image: root(image) for image in parent}
