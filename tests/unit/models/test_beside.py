"""Pictures beside the text: which token reads which, held against the library's own mask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from kolm.models.beside import alike, seen  # noqa: E402
from kolm.models.taps import Recording  # noqa: E402

PICTURE, TILES = 9, 3


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]]]:
    """Rows of ids with equally many pictures, padded on either side, and the tiles of each."""
    count, length = draw(st.integers(1, 4)), draw(st.integers(4, 12))
    rows, tiles = [], []
    for _ in range(draw(st.integers(1, 3))):
        places = draw(st.permutations(range(length)))[:count]
        rows.append([PICTURE if place in places else 1 for place in range(length)])
        tiles.append([draw(st.integers(1, TILES)) for _ in range(count)])
    return rows, tiles


@given(batches())
def test_a_token_reads_what_the_librarys_processor_says(
    made: tuple[list[list[int]], list[list[int]]],
) -> None:
    from transformers.models.mllama import processing_mllama as library

    rows, tiles = made
    expected = library.convert_sparse_cross_attention_mask_to_dense(
        [library.get_cross_attention_token_mask(row, PICTURE) for row in rows],
        num_tiles=tiles,
        max_num_tiles=TILES,
        length=len(rows[0]),
    )
    filled = [[int(n < own) for n in range(TILES)] for row in tiles for own in row]
    found = seen((torch.tensor(rows) == PICTURE).long(), torch.tensor(filled)[:, None])
    assert torch.equal(found, torch.from_numpy(expected))


def test_rows_with_equally_many_pictures_go_together_with_theirs() -> None:
    shown = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    pictures = Recording(pictures=5, inputs={"number": torch.arange(5)[:, None]})
    found = [
        (rows, own and own.inputs["number"].flatten().tolist())
        for rows, own in alike(shown, pictures)
    ]
    assert found == [([1], None), ([2], [2]), ([0, 3], [0, 1, 3, 4])]
