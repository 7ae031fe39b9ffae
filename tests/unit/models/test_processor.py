"""A base's processor: the same pixels whatever is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kolm.errors import Refused
from kolm.models.load import load_model
from kolm.models.pictures import picture_processor
from kolm.models.processor import load_processor, pad_token_id
from tests.support import families, tiny_vlm, torchvision_stub

pytest.importorskip("torch")
pytest.importorskip("transformers")

_PIXELS = """
import sys
from PIL import Image
from kolm import digest
from kolm.models.pictures import picture_processor
from kolm.models.resolve import resolve_base

processor = picture_processor(resolve_base("kolm/nano-1").folder)
picture = Image.new("RGB", (300, 200))
places = [(x, y) for y in range(200) for x in range(300)]
picture.putdata([((x * 7) % 256, (y * 5) % 256, (x * y) % 256) for x, y in places])
inputs, run = processor.inputs(picture)
print(run.form, digest.of_bytes(inputs["pixel_values"].numpy().tobytes()))
"""


def pixels(path: Path | None) -> str:
    variables = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
    done = subprocess.run(
        [sys.executable, "-c", _PIXELS], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.heavy
def test_a_torchvision_changes_no_pixel_and_breaks_nothing(tmp_path: Path) -> None:
    plain = pixels(None)
    assert plain.startswith("(1, ")
    assert pixels(torchvision_stub.write(tmp_path / "works", broken=False)) == plain
    assert pixels(torchvision_stub.write(tmp_path / "breaks", broken=True)) == plain


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_vlm.save_base(tmp_path / "base")


def edit(path: Path, **changes: object) -> None:
    """Change a JSON file; None takes a key out."""
    document = json.loads(path.read_text()) | changes
    kept = {key: value for key, value in document.items() if value is not None}
    path.write_text(json.dumps(kept))


def patches(folder: Path) -> object:
    processor = picture_processor(folder)
    picture = tiny_vlm.make_picture(1, width=200, height=90)
    found, run = processor.inputs(picture)
    assert processor.run(90, 200) == run
    return found["pixel_values"].tolist()


@pytest.mark.heavy
@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"min_pixels": 256, "max_pixels": 4096}},
        {"size": None, "min_pixels": 256, "max_pixels": 4096},
        {"size": {"shortest_edge": 9, "longest_edge": 9}, "min_pixels": 256, "max_pixels": 4096},
    ],
)
def test_other_names_of_the_size_give_the_same_pixels(
    base: Path, settings: dict[str, object]
) -> None:
    expected = patches(base)
    edit(base / "preprocessor_config.json", **settings)
    assert patches(base) == expected


@pytest.mark.heavy
def test_a_template_beside_the_tokenizer_goes_before_the_tokenizers_own(base: Path) -> None:
    (base / "chat_template.jinja").unlink()
    edit(base / "tokenizer_config.json", chat_template=tiny_vlm.FORGETFUL)
    assert load_processor(base).chat_template == tiny_vlm.FORGETFUL
    (base / "chat_template.json").write_text(json.dumps({"chat_template": tiny_vlm.MARKED}))
    assert load_processor(base).chat_template == tiny_vlm.MARKED
    (base / "chat_template.jinja").write_text(tiny_vlm.PLAIN)
    assert load_processor(base).chat_template == tiny_vlm.PLAIN


@pytest.mark.heavy
def test_without_a_token_for_padding_the_one_that_ends_answers_is_taken(base: Path) -> None:
    assert pad_token_id(load_processor(base).tokenizer, {tiny_vlm.END}) == tiny_vlm.PAD
    edit(base / "tokenizer_config.json", pad_token=None)
    assert pad_token_id(load_processor(base).tokenizer, {tiny_vlm.END}) == tiny_vlm.END


@pytest.mark.heavy
@pytest.mark.parametrize("text", ["{}", '{"version": "9"}', '{"model": {"type": "Unknown"}}'])
def test_a_tokenizer_that_the_library_cannot_read_is_a_finding(base: Path, text: str) -> None:
    (base / "tokenizer.json").write_text(text)
    with pytest.raises(Refused) as caught:
        load_processor(base)
    assert caught.value.code == "E_BASE_PROCESSOR"
    assert caught.value.found


@pytest.mark.heavy
def test_an_image_processor_of_another_family_is_not_taken_with_torchvision(base: Path) -> None:
    edit(base / "preprocessor_config.json", image_processor_type="Lfm2VlImageProcessor")
    with pytest.raises(Refused) as caught:
        load_processor(base)
    assert caught.value.code == "E_BASE_PROCESSOR"


@pytest.mark.heavy
def test_a_way_to_resize_that_torch_does_not_have_is_refused_and_not_approximated(
    tmp_path: Path,
) -> None:
    base = families.save("lfm2_vl", tmp_path / "base")
    picture = tiny_vlm.make_picture(1, width=50, height=70)
    picture_processor(base).inputs(picture)
    settings = json.loads((base / "processor_config.json").read_text())
    settings["image_processor"]["resample"] = 1  # Lanczos
    (base / "processor_config.json").write_text(json.dumps(settings))
    with pytest.raises(Refused) as caught:
        picture_processor(base).inputs(picture)
    assert caught.value.code == "E_BASE_PROCESSOR"
    assert "torchvision only" in str(caught.value.found)


@pytest.mark.heavy
def test_a_config_that_the_library_cannot_read_is_a_finding(base: Path) -> None:
    edit(base / "config.json", text_config={"hidden_size": "many"})
    with pytest.raises(Refused) as caught:
        load_model(base)
    assert caught.value.code in ("E_BASE_CONFIG", "E_BASE_WEIGHTS")
