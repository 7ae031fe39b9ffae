"""What is derived: receipt counts, the PEFT config, the model card, the base root."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from kolm import canonical, digest, file_digests
from kolm.bundle import tensor_writer
from kolm.bundle.base_root import base_root
from kolm.errors import Refused, Unreadable
from kolm.format import adapter_config, card, receipt
from kolm.format.base import root_of
from tests.support.bundles import BundleParts, make_parts
from tests.support.toy_base import checkpoint, digest_of, write_base


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    return make_parts(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def parts(original: BundleParts) -> BundleParts:
    return original.copy()


def test_counts_by_role_add_up_to_the_base(parts: BundleParts) -> None:
    counts = receipt.count_roles(parts.modules)
    total = sum(count["parameters"] for count in counts.values())
    assert total == parts.lock["base"]["parameters"]
    assert counts["vision"]["frozen"] == counts["vision"]["parameters"] > 0
    assert counts["vision"]["trained"] == 0
    assert counts["projector"]["frozen"] == 0
    assert counts["projector"]["trained"] == counts["projector"]["parameters"]
    assert counts["language"]["frozen"] == counts["language"]["parameters"]
    assert counts["head"]["parameters"] == 0, "the head is an alias of the embeddings"


def test_the_receipt_summarises_modules(parts: BundleParts) -> None:
    document = canonical.loads(parts.receipt(), where="receipt.json")
    assert document["vlm_train"]["trainable_modules"] == [
        "model.language_model.layers.*.self_attn.q_proj",
        "model.language_model.layers.*.self_attn.v_proj",
        "model.visual.merger.ln_q",
        "model.visual.merger.mlp.*",
    ]
    labels = [row["label_tokens"] for row in parts.trace if row["kind"] == "step"]
    assert document["vlm_train"]["label_tokens"] == sum(labels)
    assert [m["name"] for m in document["members"]] == sorted(
        m["name"] for m in document["members"]
    )
    assert "README.md" not in {m["name"] for m in document["members"]}


def test_the_config_has_exactly_the_closed_list_of_keys(parts: BundleParts) -> None:
    config = json.loads(adapter_config.derive(parts.lock, parts.modules))
    assert list(config) == sorted(config)
    assert config == {
        "base_model_name_or_path": "kolm/toy",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": 4,
        "lora_dropout": 0,
        "modules_to_save": [
            "model.visual.merger.ln_q",
            "model.visual.merger.mlp.0",
            "model.visual.merger.mlp.2",
        ],
        "peft_type": "LORA",
        "r": 2,
        "target_modules": parts.lock["train"]["method"]["target_expression"],
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }


def test_a_fraction_is_written_as_a_number(parts: BundleParts) -> None:
    parts.lock["train"]["method"]["dropout"] = "0.05"
    assert b'"lora_dropout":0.05,' in adapter_config.derive(parts.lock, parts.modules)
    rows = [row for row in parts.modules if row["state"] != "trained"]
    assert b'"modules_to_save":null' in adapter_config.derive(parts.lock, rows)


def test_a_module_below_another_that_is_trained_is_saved_with_it(parts: BundleParts) -> None:
    first = next(row for row in parts.modules if row["state"] == "trained")
    inner = {**first, "module": f"{first['module']}.inner"}
    assert adapter_config.derive(parts.lock, [inner, *parts.modules]) == adapter_config.derive(
        parts.lock, parts.modules
    )


@pytest.mark.parametrize("dropout", ["9" * 400, "9007199254740993", "1", "2", "-1", "-0.5"])
def test_a_dropout_that_is_no_share_has_no_config(parts: BundleParts, dropout: str) -> None:
    parts.lock["train"]["method"]["dropout"] = dropout
    with pytest.raises(Refused) as refused:
        adapter_config.derive(parts.lock, parts.modules)
    assert refused.value.code == "E_ADAPTER_METHOD"


def test_a_method_that_peft_does_not_load_has_no_config(parts: BundleParts) -> None:
    parts.lock["train"]["method"]["kind"] = "vera"
    with pytest.raises(Refused) as refused:
        adapter_config.derive(parts.lock, parts.modules)
    assert refused.value.code == "E_ADAPTER_METHOD"


HOSTILE = [
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "| a | b |",
    "![x](http://evil.example/x.png)",
    "https://evil.example www.evil.example @everyone",
    "`code` *bold* _x_ ~~gone~~ $$x$$ &lt;",
    "a\n# heading\n---\n\u202e\u0000",
    "x" * 5000,
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_does_nothing_in_the_card(parts: BundleParts, text: str) -> None:
    plain = bytes(parts.members()["README.md"]).decode()
    parts.evaluation["slices"][0]["value"] = text
    parts.lock["base"]["id"] = parts.lock["base"]["license"] = text
    page = bytes(parts.members()["README.md"]).decode()
    assert _structure(page) == _structure(plain)
    assert not re.search(r"(?<!\\)://|www\.|(?<!\\)@\w|[\0\u202e]", page)


def _structure(page: str) -> list[str]:
    """What a Markdown parser makes of a page, its text left out."""
    tokens = (
        MarkdownIt("commonmark", {"html": True}).enable("table").parse(page.split("---\n", 2)[2])
    )
    found = []
    for token in tokens:
        found.append(token.type)
        found += [c.type for c in token.children or () if not c.type.startswith("text")]
    return found


@given(st.text())
def test_escaped_text_is_one_line_of_printable_text(text: str) -> None:
    shown = card.escape(text)
    assert shown.isprintable()
    assert "\n" not in shown
    assert "<" not in shown


def test_the_base_root_is_the_documented_merkle_root(tmp_path: Path) -> None:
    folder = write_base(tmp_path / "base")
    facts = base_root(folder)
    lines = [
        {"digest": t.digest, "dtype": t.dtype, "file": t.file, "key": t.key, "shape": list(t.shape)}
        for t in sorted(facts.tensors, key=lambda t: (t.file, t.key))
    ] + [
        {"digest": file_digests.of_file(folder / name), "name": name}
        for name in (
            "chat_template.jinja", "config.json", "generation_config.json",
            "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json",
        )
    ]  # fmt: skip
    assert facts.root == digest.merkle_root(map(canonical.dumps, lines))
    assert facts.root == root_of(facts.tensors[::-1], facts.files[::-1])
    assert {t.key: t.digest for t in facts.tensors} == {
        key: digest_of(tensor) for key, tensor in checkpoint().items()
    }
    assert (facts.model_type, facts.dtype) == ("qwen2_5_vl", "float32")


def test_where_the_folder_lies_does_not_matter(tmp_path: Path) -> None:
    left, right = write_base(tmp_path / "a"), write_base(tmp_path / "b" / "c")
    (right / "README.md").write_text("a model card changes no output")
    (right / "training_args.bin").write_bytes(b"neither does this")
    assert base_root(left) == base_root(right)


def _append(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes() + b" ")


def _move_tensor(folder: Path) -> None:
    """The same tensors under another cut into shards."""
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    (folder / "model.safetensors").write_bytes(tensor_writer.encode(checkpoint()))


def _write_twice(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(tensor_writer.encode(checkpoint()))


def _one_weight(folder: Path) -> None:
    path = next(iter(sorted(folder.glob("*.safetensors"))))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        _append("config.json"),
        _append("tokenizer.json"),
        _append("tokenizer_config.json"),
        _append("chat_template.jinja"),
        _append("preprocessor_config.json"),
        _append("generation_config.json"),
        lambda folder: (folder / "modeling_x.py").write_text("remote code"),
        lambda folder: (folder / "merges.txt").write_text("a b"),
        lambda folder: (folder / "chat_template.jinja").unlink(),
        _move_tensor,
        _one_weight,
    ],
)
def test_whatever_changes_outputs_changes_the_root(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    folder = write_base(tmp_path / "base")
    before = base_root(folder).root
    change(folder)
    assert base_root(folder).root != before


def _only(name: str) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        for path in folder.glob("*.safetensors*"):
            path.unlink()
        (folder / name).write_bytes(b"x")

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_only("pytorch_model.bin"), "E_BASE_FORMAT"),
        (_only("consolidated.00.pth"), "E_BASE_FORMAT"),
        (_only("model.safetensors"), "E_TENSORS_HEADER"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "E_BASE_FORMAT"),
        (lambda f: (f / "config.json").write_text("{}"), "E_BASE_FORMAT"),
        (lambda f: (f / "config.json").write_text("{"), "E_JSON_SYNTAX"),
        (lambda f: (f / "model.safetensors.index.json").write_text("{}"), "E_BASE_FORMAT"),
        (_write_twice, "E_BASE_FORMAT"),
        (lambda f: (f / "model-00003.safetensors").write_bytes(b""), "E_BASE_FORMAT"),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_pinned_is_refused(
    tmp_path: Path, change: Callable[[Path], Any], code: str
) -> None:
    folder = write_base(tmp_path / "base")
    change(folder)
    with pytest.raises(Refused) as refused:
        base_root(folder)
    assert refused.value.code == code


def test_a_missing_base_could_not_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(Unreadable):
        base_root(tmp_path / "nowhere")
    folder = write_base(tmp_path / "base")
    (folder / "config.json").unlink()
    with pytest.raises(Unreadable):
        base_root(folder)
    _only("notes.txt")(folder)  # a folder mistyped: no model was looked at
    with pytest.raises(Unreadable, match="no model in this folder"):
        base_root(folder)
