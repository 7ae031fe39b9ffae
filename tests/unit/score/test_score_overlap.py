"""What of a pack a bundle was trained on is found by ids and pictures."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kolm import digest
from kolm.records.documents import KscorePackOverlap as Overlap
from kolm.score.cases import Case
from kolm.score.overlap import learned, measure_overlap, seen_images


def name(kind: str, number: int) -> digest.Digest:
    return digest.of_bytes(f"{kind} {number}".encode())


def line(number: int, split: str, *pictures: int) -> dict[str, Any]:
    images = [{"file": name("file", p), "pixels": name("pixels", p)} for p in pictures]
    return {"capture": name("capture", number), "images": images, "split": split}


def case(number: int, *pictures: int) -> Case:
    shown = tuple(sorted(name("pixels", picture) for picture in pictures))
    return Case(
        case=name("capture", number),
        references=("yes",),
        tags=(),
        images=shown,
        image_size="small",
        answer_type="boolean",
        question=b"",
        wording=b"",
    )


ROWS = [
    line(0, "train", 0), line(1, "validation", 1), line(2, "eval", 2), line(3, "none", 3),
    line(4, "train"),
]  # fmt: skip


def test_captures_and_pictures_of_training_and_validation_are_found() -> None:
    seen = learned(ROWS)
    cases = [case(0, 0), case(10, 1), case(2, 2), case(3, 3), case(4), case(11, 0, 9)]
    assert measure_overlap(cases, seen) == Overlap(
        cases=6, seen_cases=4, captures=2, images=2, near_twins=None
    )
    assert seen_images(cases, seen) == {name("pixels", 0), name("pixels", 1)}


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sets(st.integers(0, 6), max_size=3)),
        unique_by=lambda c: c[0],
    )
)
def test_the_counts_are_within_each_other(asked: list[tuple[int, set[int]]]) -> None:
    found = measure_overlap([case(number, *shown) for number, shown in asked], learned(ROWS))
    assert found["captures"] <= found["seen_cases"] <= found["cases"] == len(asked)
    assert bool(found["images"]) <= bool(found["seen_cases"])
