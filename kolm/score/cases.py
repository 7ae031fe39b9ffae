"""Eval cases as scoring sees them: a reference, tags, pictures.

Stands between `evalcases.jsonl` (captures, checked against their schema before) and statistics;
docs/format/evaluation.md, E1 and E7.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from kolm import canonical, digest
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format import sameness
from kolm.metrics.exact import normalise
from kolm.metrics.metric import References
from kolm.metrics.numbers import parse_number

if TYPE_CHECKING:
    from kolm.records.documents import Capture, CaptureImage


SMALL_PIXELS = 256 * 256
MEDIUM_PIXELS = 1024 * 1024


class Case(NamedTuple):
    """One declared eval case."""

    case: str
    references: References  # the response, then the capture's further ones
    tags: tuple[str, ...]
    images: tuple[str, ...]  # pixel digests, distinct
    image_size: str  # none | small | medium | large
    answer_type: str  # boolean | number | text
    question: bytes  # the same for all cases that ask the same, as a person sees it
    wording: bytes  # the same for all cases that ask the same, whatever their pictures show
    rejected: bool = False  # there is an answer that is worse than the reference

    @property
    def reference(self) -> str:
        """The response itself."""
        return self.references[0]


def read_cases(data: bytes | memoryview, *, where: str = "evalcases.jsonl") -> tuple[Case, ...]:
    """The cases of an `evalcases.jsonl`.

    Raises:
        Refused: a line that is no canonical JSON, or ``E_CASE_REFERENCE``.
    """
    rows = canonical.read_lines(data, where=where)
    return build_cases((digest.of_bytes(line), cast("Capture", row)) for _, line, row in rows)


def build_cases(captures: "Iterable[tuple[Digest, Capture]]") -> tuple[Case, ...]:
    """The cases of (capture id, capture) pairs, in the order given.

    Raises:
        Refused: ``E_CASE_REFERENCE`` when a capture does not end with the assistant's answer.
    """
    return tuple(_build(case, capture) for case, capture in captures)


def _build(case: str, capture: "Capture") -> Case:
    references = references_of(capture, where=case)
    return Case(
        case=case,
        references=references,
        tags=tuple(capture["tags"]),
        images=tuple(sorted({image["pixels"] for image in capture["images"]})),
        image_size=image_size(capture["images"]),
        answer_type=answer_type(references[0]),
        question=sameness.fingerprint(sameness.question(capture)),
        wording=_named(sameness.wording(capture)),
        rejected="rejected" in capture,
    )


@lru_cache(maxsize=256)
def _named(wording: sameness.Asked) -> bytes:
    return sameness.fingerprint(wording)


def reference_of(capture: "Capture", *, where: str) -> str:
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


def references_of(capture: "Capture", *, where: str) -> References:
    """The response, then what others answered.

    Raises:
        Refused: ``E_CASE_REFERENCE``.
    """
    return reference_of(capture, where=where), *capture.get("references", ())


def image_size(images: "Iterable[CaptureImage]") -> str:
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
