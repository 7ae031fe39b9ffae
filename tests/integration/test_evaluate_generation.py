"""Greedy answers equal the library's, token for token, on ragged prompts with pictures."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import (  # noqa: E402
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from kolm import digest  # noqa: E402
from kolm.encode.batches import Batch, collate  # noqa: E402
from kolm.encode.examples import Example, ImageUse  # noqa: E402
from kolm.errors import Refused  # noqa: E402
from kolm.models.forward import Forward  # noqa: E402
from kolm.models.generation import Generated, end_token_ids  # noqa: E402
from kolm.models.taps import Recording, Tower, join  # noqa: E402
from kolm.roles import family  # noqa: E402

pytestmark = pytest.mark.heavy

IMAGE, PAD, VOCABULARY = 6, 0, 120
GRIDS = ((1, 4, 4), (1, 4, 8), (1, 8, 8))


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(11)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 48,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 512,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [4, 4, 4],
                "rope_theta": 10000.0,
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "out_hidden_size": 48,
            "window_size": 64,
            "fullatt_block_indexes": [0, 1],
        },
        image_token_id=IMAGE,
        video_token_id=7,
        vision_start_token_id=4,
        vision_end_token_id=5,
    )
    built = Qwen2_5_VLForConditionalGeneration(config).eval()
    with torch.no_grad():  # larger weights, so that answers differ between rows
        for parameter in built.parameters():
            parameter.mul_(3.0) if parameter.ndim > 1 else None
    built.generation_config = GenerationConfig(
        eos_token_id=list(range(8, VOCABULARY, 6)), pad_token_id=PAD, do_sample=False
    )
    return built


@pytest.fixture(scope="module")
def forward(model: Any) -> Forward:
    return Forward(model, Tower(model, family("qwen2_5_vl").taps(model.config.to_dict())))


def _example(length: int, grid: tuple[int, int, int] | None, seed: int) -> Example:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(8, VOCABULARY, (length,), generator=generator).tolist()
    if grid is None:
        return Example(position=seed, input_ids=tuple(ids), prefix=len(ids), trained=(), images=())
    tokens = grid[1] * grid[2] // 4
    ids[2:2] = [IMAGE] * tokens
    name = digest.of_bytes(str(seed).encode())
    use = ImageUse(file=name, pixels=name, form=grid, max_pixels=None, start=2, tokens=tokens)
    return Example(position=seed, input_ids=tuple(ids), prefix=len(ids), trained=(), images=(use,))


def _collate(examples: list[Example]) -> Batch:
    return collate(examples, image_token_id=IMAGE, pad_token_id=PAD, side="left")


def _inputs(use: ImageUse) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(int(use.file[7:15], 16))
    pixels = torch.randn(use.form[1] * use.form[2], 3 * 2 * 8 * 8, generator=generator)
    return {"pixel_values": pixels, "image_grid_thw": torch.tensor([use.form])}


def _ours(
    forward: Forward, batch: Batch, steps: int, ends: set[int], choose: Any = None
) -> list[Generated]:
    recordings = [forward.tower.record(_inputs(use), 1) for use in batch.images]
    pictures = join(recordings) if recordings else None
    return forward.answer(batch, pictures, max_new_tokens=steps, end_ids=ends, choose=choose)


def _stock(model: Any, batch: Batch, steps: int) -> list[tuple[int, ...]]:
    pictures: dict[str, Any] = {}
    if batch.images:
        shown = [Recording(pictures=1, inputs=_inputs(use)) for use in batch.images]
        pictures = dict(join(shown).inputs)
    out = model.generate(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        mm_token_type_ids=batch.image_mask,
        max_new_tokens=steps,
        **pictures,
    )
    ends = set(model.generation_config.eos_token_id)
    answers = []
    for row in out[:, batch.input_ids.shape[1] :].tolist():
        stop = next((i for i, token in enumerate(row) if token in ends), len(row) - 1)
        answers.append(tuple(row[: stop + 1]))
    return answers


@pytest.mark.parametrize(
    "shape",
    [
        [(9, GRIDS[0])] * 5,
        [(9, GRIDS[0]), (4, GRIDS[1]), (17, GRIDS[2]), (6, GRIDS[0]), (30, GRIDS[1])],
        [(12, None), (5, None), (8, None)],
        [(12, None), (5, GRIDS[2]), (3, GRIDS[0])],
        [(7, GRIDS[2])],
    ],
    ids=["equal lengths", "ragged", "text only", "with and without pictures", "one row"],
)
def test_equals_the_library_token_for_token(model: Any, forward: Forward, shape: list[Any]) -> None:
    examples = [_example(length, grid, 7 * i + 1) for i, (length, grid) in enumerate(shape)]
    batch = _collate(examples)
    ends = set(model.generation_config.eos_token_id)
    ours, stock = _ours(forward, batch, 12, ends), _stock(model, batch, 12)
    assert [row.ids for row in ours] == stock


def test_rows_end_at_different_steps_and_say_how(model: Any, forward: Forward) -> None:
    batch = _collate([_example(9, GRIDS[i % 3], i) for i in range(24)])
    ends = set(model.generation_config.eos_token_id)
    answers = _ours(forward, batch, 6, ends)
    assert {answer.finish for answer in answers} == {"stop", "length"}
    assert len({len(answer.ids) for answer in answers}) > 2
    for answer in answers:
        assert (answer.ids[-1] in ends) is (answer.finish == "stop")
        assert not ends & set(answer.ids[:-1])
        assert answer.finish == "stop" or len(answer.ids) == 6


def test_an_answer_may_end_with_the_very_last_token(model: Any, forward: Forward) -> None:
    batch = _collate([_example(9, GRIDS[0], i) for i in range(24)])
    ends = set(model.generation_config.eos_token_id)
    long = _ours(forward, batch, 6, ends)
    for row, answer in enumerate(long):
        if answer.finish == "stop":
            cut = _ours(forward, batch, len(answer.ids), ends)[row]
            assert cut == answer


def test_what_is_chosen_is_the_answer_and_what_it_is_chosen_from_are_the_logits(
    model: Any, forward: Forward
) -> None:
    batch = _collate([_example(9, GRIDS[i % 3], i) for i in range(4)])
    ends = set(model.generation_config.eos_token_id)
    seen: list[Any] = []

    def likeliest(logits: Any, rows: Any) -> Any:
        assert list(rows) == [0, 1, 2, 3]
        seen.append(logits.clone())
        return logits.argmax(dim=-1)

    assert _ours(forward, batch, 6, ends, likeliest) == _ours(forward, batch, 6, ends)
    assert seen[0].shape == (4, VOCABULARY)
    assert torch.isfinite(torch.stack(seen)).all()  # nothing was taken out of them before

    def tenth(logits: Any, rows: Any) -> Any:
        return logits.topk(10, dim=-1).indices[:, 9]

    first = [int(token) for token in seen[0].topk(10, dim=-1).indices[:, 9]]
    others = _ours(forward, batch, 6, ends, tenth)
    assert [answer.ids[0] for answer in others] == first
    assert others != _ours(forward, batch, 6, ends)


def test_what_a_base_says_of_sampling_changes_no_answer(model: Any, forward: Forward) -> None:
    batch = _collate([_example(9, GRIDS[i % 3], i) for i in range(4)])
    plain = _ours(forward, batch, 8, {1})
    stated = model.generation_config
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=9.0, repetition_penalty=5.0, eos_token_id=2
    )
    try:
        assert _ours(forward, batch, 8, {1}) == plain
    finally:
        model.generation_config = stated


def test_a_base_without_an_end_token_is_refused(model: Any) -> None:
    class Bare:
        eos_token_id = None
        generation_config = GenerationConfig()

    with pytest.raises(Refused) as caught:
        end_token_ids(Bare(), Bare())
    assert caught.value.code == "E_BASE_NO_END_TOKEN"
    assert end_token_ids(model, Bare()) == frozenset(range(8, VOCABULARY, 6))
