"""A base's folder: what is not as expected is a finding, and never a crash."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kolm.bundle.base_files import own_template
from kolm.errors import KolmError, Refused, Unreadable
from kolm.models import folder as folders
from kolm.models.resolve import find_folder, read_config, resolve_base

WEIGHTS = find_folder("kolm/nano-1").folder
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The embedded base as a folder of one's own."""
    return Path(shutil.copytree(WEIGHTS, tmp_path / "base"))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def codes(folder: Path) -> list[tuple[str, str]]:
    return [(error.code, error.where) for error in folders.findings(folder)]


def test_a_whole_base_has_no_findings(base: Path) -> None:
    assert codes(base) == []


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "preprocessor_config.json"]
)
def test_a_git_lfs_pointer_is_told_once_with_its_file(base: Path, name: str) -> None:
    (base / name).write_text(POINTER)
    assert codes(base) == [("E_BASE_LFS_POINTER", name)]


def test_a_config_that_is_a_pointer_is_told_with_every_other_pointer(base: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (base / name).write_text(POINTER)
    assert [where for _, where in codes(base)] == ["config.json", "model.safetensors"]
    with pytest.raises(Refused) as caught:
        resolve_base(str(base))
    assert caught.value.code == "E_BASE_LFS_POINTER"


def test_missing_files_are_told_all_at_once(base: Path) -> None:
    for name in ("tokenizer.json", "preprocessor_config.json", "chat_template.jinja"):
        (base / name).unlink()
    assert codes(base) == [
        ("E_BASE_FILE_MISSING", "tokenizer.json"),
        ("E_BASE_FILE_MISSING", "preprocessor_config.json"),
        ("E_ENCODE_TEMPLATE", "chat template"),
    ]


def test_a_shard_that_the_index_names_and_nobody_downloaded(base: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    assert codes(base) == [("E_BASE_FILE_MISSING", "model-00001-of-00002.safetensors")]


def test_a_tokenizer_of_two_older_files_is_one(base: Path) -> None:
    (base / "tokenizer.json").rename(base / "vocab.json")
    assert codes(base) == [("E_BASE_FILE_MISSING", "tokenizer.json")]
    (base / "merges.txt").write_text("")
    assert codes(base) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"min_pixels": 1024, "max_pixels": 50176}},
        {"size": {"shortest_edge": 1024, "longest_edge": 50176}},
        {"min_pixels": 1024, "max_pixels": 50176},
        {"size": {"shortest_edge": 9, "longest_edge": 9}, "min_pixels": 1024, "max_pixels": 50176},
    ],
)
def test_the_size_of_pictures_is_read_in_every_form_that_it_has_had(
    base: Path, settings: dict[str, Any]
) -> None:
    def change(document: dict[str, Any]) -> None:
        document.pop("size")
        document |= settings

    edit(base / "preprocessor_config.json", change)
    assert folders.picture_size(base) == {"shortest_edge": 1024, "longest_edge": 50176}
    assert codes(base) == []


@pytest.mark.parametrize("size", [448, {"height": 448, "width": 448}, {"shortest_edge": 448}, []])
def test_a_size_of_another_kind_is_a_finding(base: Path, size: Any) -> None:
    edit(base / "preprocessor_config.json", lambda document: document.update(size=size))
    assert codes(base) == [("E_BASE_PICTURE_SIZE", "preprocessor_config.json")]


def test_the_image_processor_may_lie_in_the_processors_file(base: Path) -> None:
    own = json.loads((base / "preprocessor_config.json").read_text())
    (base / "preprocessor_config.json").unlink()
    (base / "processor_config.json").write_text(json.dumps({"image_processor": own}))
    assert codes(base) == []
    assert folders.picture_size(base) == {"shortest_edge": 1024, "longest_edge": 50176}


def test_the_token_of_a_picture_has_two_names(base: Path) -> None:
    number = read_config(base)["image_token_id"]

    def rename(document: dict[str, Any]) -> None:
        document["image_token_index"] = document.pop("image_token_id")

    edit(base / "config.json", rename)
    assert codes(base) == []
    assert folders.image_token_id(read_config(base)) == number
    edit(base / "config.json", lambda document: document.pop("image_token_index"))
    assert codes(base) == [("E_BASE_CONFIG", "config.json")]


@pytest.mark.parametrize("name", ["chat_template.json", "processor_config.json"])
def test_a_template_in_an_older_file_beside_the_tokenizer_is_found(base: Path, name: str) -> None:
    template = (base / "chat_template.jinja").read_text()
    (base / "chat_template.jinja").unlink()
    (base / name).write_text(json.dumps({"chat_template": template}))
    assert codes(base) == []
    assert own_template(base) == template


def test_another_family_is_told_by_its_name(base: Path) -> None:
    edit(base / "config.json", lambda document: document.update(model_type="janus"))
    assert ("E_ROLES_UNKNOWN_FAMILY" in [code for code, _ in codes(base)]) is True


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1, "a": 2}'])
def test_a_json_file_that_is_none_is_one_finding(base: Path, text: str) -> None:
    (base / "preprocessor_config.json").write_text(text)
    assert [where for _, where in codes(base)] == ["preprocessor_config.json"]


@given(
    st.dictionaries(
        st.sampled_from(
            ["size", "min_pixels", "max_pixels", "image_processor", "model_type", "text_config",
             "image_token_id", "image_token_index", "chat_template", "weight_map"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["shortest_edge", "max_pixels", "a"]), inner),
            max_leaves=4,
        ),
    )
)  # fmt: skip
def test_no_content_of_a_file_is_a_crash(document: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("config.json", "preprocessor_config.json", "processor_config.json",
                     "tokenizer_config.json", "model.safetensors.index.json"):  # fmt: skip
            (folder / file).write_text(json.dumps(document))
        assert all(isinstance(error, KolmError) for error in folders.findings(folder))
        folders.positions(document)


def test_a_folder_that_is_no_base_could_not_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Unreadable) as caught:
        resolve_base(str(tmp_path))
    assert caught.value.code == "E_BASE_NOT_FOUND"
    assert "config.json" in caught.value.message
    (only,) = folders.findings(tmp_path)
    assert isinstance(only, Unreadable)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("kolm/nano1", "did you mean kolm/nano-1?"),
        ("kolm/nono-1", "did you mean kolm/nano-1?"),
        ("Kolm/nano-1", "did you mean kolm/nano-1?"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", "hf download Qwen/Qwen2.5-VL-3B-Instruct"),
        ("kolm/something-else", ""),
        ("./weights/qwen", ""),
        ("/models/qwen", ""),
        ("a/b/c", ""),
    ],
)
def test_a_name_that_is_not_here_gets_only_a_hint_that_can_be_true(name: str, hint: str) -> None:
    with pytest.raises(Unreadable) as caught:
        resolve_base(name)
    assert caught.value.code == "E_BASE_NOT_FOUND"
    assert caught.value.hint.startswith(hint)
    assert bool(caught.value.hint) == bool(hint)


def test_a_model_in_the_hubs_cache_is_offered_for_a_typo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    (tmp_path / "models--Qwen--Qwen2.5-VL-3B-Instruct").mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unreadable) as caught:
        resolve_base("Qwen/Qwen2.5-VL-3B-Instuct")
    assert caught.value.hint == "did you mean Qwen/Qwen2.5-VL-3B-Instruct?"
