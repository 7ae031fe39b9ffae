"""The embedded base: scenes, questions, tokenizer, weights."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.pretrain import architecture, questions, scenes
from tools.pretrain import tokenizer as words
from tools.pretrain.scenes import Scene, Thing

tokenizers = pytest.importorskip("tokenizers")
TOKENIZER = tokenizers.Tokenizer.from_file(str(architecture.WEIGHTS / "tokenizer.json"))


def thing(shape, color, x=32, y=32, half=8):
    return Thing(shape=shape, color=color, x=x, y=y, half_width=half, half_height=half)


def test_a_scene_is_a_function_of_its_seed():
    first, again = (scenes.draw_scene(random.Random(5), 64) for _ in range(2))
    assert first[0] == again[0]
    assert first[1].tobytes() == again[1].tobytes()
    assert scenes.draw_scene(random.Random(6), 64)[1].tobytes() != first[1].tobytes()


@pytest.mark.parametrize("side", [32, 64, 112, 224])
def test_scenes_come_in_every_size(side):
    kinds = set()
    for seed in range(60):
        scene, image = scenes.draw_scene(random.Random(seed), side)
        kinds.add(scene.kind)
        assert (image.size, image.mode) == ((side, side), "RGB")
        assert questions.ask(random.Random(seed), scene, 4)
    assert kinds == {"shapes", "text", "bars", "dial"}


ONE = Scene(kind="shapes", side=64, things=(thing("circle", "red"),))
TWO = Scene(
    kind="shapes", side=64, things=(thing("circle", "red", x=10), thing("star", "blue", x=50))
)


def answers(maker, scene, pattern):
    found = {}
    for seed in range(3000):
        question = maker(random.Random(seed), scene)
        if question and re.search(pattern, question.text):
            found[question.text] = question.answer
    return found


def test_answers_are_true_of_a_hand_made_scene():
    assert set(answers(questions.shape, ONE, "").values()) == {"circle"}
    assert set(answers(questions.color, ONE, "").values()) == {"red"}
    assert set(answers(questions.exists, ONE, r"\bred (circle|shape)\b").values()) == {"yes"}
    assert set(answers(questions.exists, ONE, r"\bblue\b").values()) == {"no"}
    assert set(answers(questions.absent, ONE, r"\bred (circle|shape)\b").values()) == {"no"}
    assert set(answers(questions.absent, ONE, r"\bblue\b").values()) == {"yes"}
    assert set(answers(questions.attribute, ONE, "not red").values()) == {"no"}
    assert set(answers(questions.count, TWO, "shapes|objects").values()) == {"2"}
    assert set(answers(questions.relation, TWO, "red circle left of").values()) == {"yes"}
    assert set(answers(questions.relation, TWO, "red circle right of").values()) == {"no"}
    assert set(answers(questions.position, TWO, "left.*circle|circle.*left").values()) == {"left"}


def test_yes_and_no_are_about_as_frequent():
    rng = random.Random(0)
    counts = {"yes": 0, "no": 0}
    for _ in range(1500):
        scene, _ = scenes.draw_scene(rng, 64)
        for question in questions.ask(rng, scene, 4):
            if question.answer in counts:
                counts[question.answer] += 1
    assert 0.8 < counts["yes"] / counts["no"] < 1.25


def test_no_question_is_one_of_easy_vqa():
    easy_vqa = pytest.importorskip("easy_vqa")

    def normal(text):
        return re.sub(r"[^a-z0-9 ]", "", text.lower()).strip()

    theirs = {normal(q) for q in easy_vqa.get_train_questions()[0]}
    theirs |= {normal(q) for q in easy_vqa.get_test_questions()[0]}
    rng, ours = random.Random(1), set()
    for _ in range(4000):
        scene, _ = scenes.draw_scene(rng, 64)
        ours |= {normal(q.text) for q in questions.ask(rng, scene, 8)}
    assert not ours & theirs


@settings(max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_round_trips(text):
    for special in words.SPECIAL:
        text = text.replace(special, "")
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text


def test_digits_and_common_words_are_single_tokens():
    assert len(TOKENIZER.encode("742").ids) == 3
    for word in (*scenes.SHAPES, *scenes.COLORS, "yes", "no"):
        assert len(TOKENIZER.encode(word).ids) == 1


def test_building_a_tokenizer_gives_the_same_one_each_time(monkeypatch):
    monkeypatch.setattr(words, "_CORPUS_SCENES", 400)
    first, again = words.build_tokenizer(), words.build_tokenizer()
    assert first.to_str() == again.to_str()
    for number, special in enumerate(words.SPECIAL):
        assert first.token_to_id(special) == TOKENIZER.token_to_id(special) == number


def test_the_weights_fit_the_wheel():
    size = sum(p.stat().st_size for p in architecture.WEIGHTS.iterdir())
    assert size < 10_000_000


@pytest.mark.heavy
def test_stock_classes_load_it_and_ours_feed_it_the_same_patches():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    from kolm.models.processor import load_processor
    from tools.pretrain.batches import cut_patches

    model = transformers.AutoModelForImageTextToText.from_pretrained(
        architecture.WEIGHTS, dtype=torch.float32
    )
    assert 2_000_000 < sum(p.numel() for p in model.parameters()) < 4_500_000
    processor = load_processor(architecture.WEIGHTS)
    _, image = scenes.draw_scene(random.Random(3), 64)
    messages = [
        {
            "role": "user",
            "content": [{"type": "image"}, {"type": "text", "text": "what shape is it?"}],
        }
    ]
    text = processor.apply_chat_template(messages, add_generation_prompt=True)
    inputs = processor(text=[text], images=[image], return_tensors="pt")
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 16
    torch.testing.assert_close(inputs["pixel_values"], cut_patches([image]))
    out = model.generate(**inputs, max_new_tokens=4)
    assert out.shape[1] > inputs["input_ids"].shape[1]


@pytest.mark.heavy
def test_batched_attention_changes_no_bit():
    torch = pytest.importorskip("torch")

    from kolm.models.load import load_model
    from tools.pretrain.batches import cut_patches
    from tools.pretrain.vision_attention import batched_vision_attention

    model = load_model(architecture.WEIGHTS)
    for sides in ([64, 64, 64], [64, 96]):
        images = [scenes.draw_scene(random.Random(i), side)[1] for i, side in enumerate(sides)]
        patches = torch.cat([cut_patches([image]) for image in images])
        grids = torch.tensor([[1, side // 8, side // 8] for side in sides])
        with torch.inference_mode():
            stock = model.model.visual(patches, grid_thw=grids).pooler_output
            with batched_vision_attention(model):
                batched = model.model.visual(patches, grid_thw=grids).pooler_output
        assert torch.equal(stock, batched)
