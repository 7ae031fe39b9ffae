"""Slices: how the adapter does on the cases that share a tag, an image size or an answer type.

A good mean can hide a group that fails. docs/format/evaluation.md, E7.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from kolm.score.cases import Case
from kolm.score.intervals import summarise

if TYPE_CHECKING:
    from kolm.records.documents import EvaluationSlice, EvaluationSliceKind


ANSWER_TYPE: Final = "answer_type"
IMAGE_SIZE: Final = "image_size"
TAG: Final = "tag"
_Name: TypeAlias = "tuple[EvaluationSliceKind, str]"
MAX_TAGS = 256  # a tag a case would make the document grow with the cases, past its size limit


def slice_scores(cases: Sequence[Case], scores_millionths: Sequence[int]) -> list[EvaluationSlice]:
    """Every slice with its mean and interval, sorted by kind, then value."""
    tags = most_used_tags(cases)
    members: dict[_Name, list[int]] = defaultdict(list)
    for case, score in zip(cases, scores_millionths, strict=True):
        for name in _slices_of(case, tags):
            members[name].append(score)
    return [_measure(name, members[name]) for name in sorted(members)]


def most_used_tags(cases: Iterable[Case]) -> frozenset[str]:
    """The `MAX_TAGS` tags that most cases have; the first in code-point order among equals."""
    counts = Counter(tag for case in cases for tag in case.tags)
    ranked = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return frozenset(ranked[:MAX_TAGS])


def _slices_of(case: Case, tags: Container[str]) -> Iterator[_Name]:
    yield ANSWER_TYPE, case.answer_type
    yield IMAGE_SIZE, case.image_size
    for tag in case.tags:
        if tag in tags:
            yield TAG, tag


def _measure(name: _Name, scores_millionths: Sequence[int]) -> EvaluationSlice:
    mean = summarise(scores_millionths)
    return {
        "kind": name[0],
        "value": name[1],
        "cases": len(scores_millionths),
        "accuracy": mean["accuracy"],
        "interval": mean["interval"],
    }
