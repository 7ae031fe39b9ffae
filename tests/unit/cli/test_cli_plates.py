"""The plates example: deterministic, balanced, and every picture of its own."""

from collections import Counter
from pathlib import Path

import pytest

from kolm import canonical, file_digests
from kolm.cli.examples import plates
from kolm.errors import KolmError

pytest.importorskip("PIL")


def draw(folder: Path) -> list[dict[str, str]]:
    plates.write(folder)
    data = (folder / "pairs.jsonl").read_bytes()
    return [row for _, _, row in canonical.read_lines(data, where="pairs.jsonl")]


def test_two_projects_are_equal_and_no_picture_is_there_twice(tmp_path: Path) -> None:
    rows, again = draw(tmp_path / "a"), draw(tmp_path / "b")
    assert rows == again
    pictures = sorted((tmp_path / "a" / "images").iterdir())
    assert len({file_digests.of_file(path) for path in pictures}) == len(pictures) == plates.PLATES
    for path in pictures:
        assert file_digests.of_file(path) == file_digests.of_file(
            tmp_path / "b" / "images" / path.name
        )


def test_every_paint_is_asked_about_equally_often(tmp_path: Path) -> None:
    counts = Counter(row["response"] for row in draw(tmp_path / "a"))
    assert set(counts) == set(plates.PAINTS)
    assert len(set(counts.values())) == 1


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    draw(tmp_path)
    with pytest.raises(KolmError):
        plates.write(tmp_path)
