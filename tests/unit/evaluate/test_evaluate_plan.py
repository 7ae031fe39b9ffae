"""The parts of evaluation that need no model."""

from dataclasses import replace

from kolm.digest import Digest, of_bytes
from kolm.encode.examples import Example, ImageUse
from kolm.evaluate.latency import _median, _spread, machine_memory_bytes
from kolm.evaluate.pictures import picture_sizes
from kolm.evaluate.plan import Prompt, plan_batches, recorded_batches


def prompt(name: str, length: int, grid: tuple[int, int, int] | None = (1, 4, 4)) -> Prompt:
    uses = ()
    if grid is not None:
        digest = of_bytes(name.encode())
        uses = (
            ImageUse(file=digest, pixels=digest, form=grid, max_pixels=None, start=0, tokens=4),
        )
    ids = tuple(range(length))
    return Prompt(
        case=name,
        example=Example(position=-1, input_ids=ids, prefix=len(ids), trained=(), images=uses),
    )


def test_batches_hold_like_grids_and_lengths_together() -> None:
    prompts = [
        prompt("c", 9),
        prompt("a", 9),
        prompt("b", 5, (1, 8, 8)),
        prompt("d", 5),
        prompt("e", 7, None),
    ]
    batches = plan_batches(prompts, 2)
    names = [[p.case for p in batch.prompts] for batch in batches]
    assert names == [["e", "d"], ["a", "c"], ["b"]]
    assert [batch.number for batch in batches] == [0, 1, 2]


def test_the_same_question_of_several_pictures_comes_together() -> None:
    first, second = prompt("b", 3), prompt("a", 3)
    other = Prompt(case="c", example=replace(first.example, input_ids=(0, 1, 9)))
    names = [p.case for p in plan_batches([other, first, second], 3)[0].prompts]
    assert names == ["a", "b", "c"]
    before = Prompt(case="z", example=replace(first.example, input_ids=(0, 0, 9)))
    names = [p.case for p in plan_batches([other, first, before, second], 4)[0].prompts]
    assert names == ["z", "a", "b", "c"]


def test_the_recorded_batches_of_drawn_cases_come_whole() -> None:
    rows = [
        {"case": name, "batch": batch}
        for name, batch in zip("abcdef", [2, 0, 1, 0, 2, 1], strict=True)
    ]
    assert recorded_batches(rows, ["d", "a"]) == {0: ("b", "d"), 2: ("a", "e")}
    assert recorded_batches(rows, []) == {}


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert _median([1, 2, 9]) == 2
    assert _median([1, 2, 5, 100]) == 3
    assert _median([7]) == 7


def test_timed_cases_are_spread_and_repeat_when_few() -> None:
    rows = [(str(i), {}) for i in range(100)]
    assert [name for name, _ in _spread(rows, 4)] == ["0", "25", "50", "75"]
    assert [name for name, _ in _spread(rows[:2], 5)] == ["0", "1", "0", "1", "0"]


def test_memory_is_measured_in_bytes() -> None:
    assert machine_memory_bytes() > 10_000_000


def test_picture_sizes_are_found_by_pixels() -> None:
    pixels = Digest("sha256:" + "a" * 64)
    captures = [{"images": [{"pixels": pixels, "width": 3, "height": 5}]}, {"images": []}]
    assert picture_sizes(captures) == {pixels: (3, 5)}
