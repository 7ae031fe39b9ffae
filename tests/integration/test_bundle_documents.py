"""V06 to V08: members that fit their schemas, are spelled canonically and agree, as verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kolm import canonical, digest, schema, whole_schema
from kolm.bundle import tensor_writer
from kolm.bundle.documents import NOT_CANONICAL, Documents
from kolm.bundle.reader import Bundle
from kolm.errors import Refused
from tests.support.bundles import BundleParts, make_parts
from tests.support.references import members_agree

Forge = Callable[[BundleParts], Any]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> BundleParts:
    return make_parts(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def parts(original: BundleParts) -> BundleParts:
    return original.copy()


def defects(parts: BundleParts, tmp_path: Path) -> list[tuple[str, str, str]]:
    """Check, code and place of everything wrong; V08 is asked when V06 and V07 hold."""
    bundle = Bundle.open(parts.seal(tmp_path / "x.kolm"))
    documents = Documents(bundle.documents.contents)
    found = []
    for name in documents.names:
        error = documents.error_of(name)
        if error is not None:
            check = "V07" if error.code in NOT_CANONICAL else "V06"
            found.append((check, error.code, error.where))
    if not found:
        found += [("V08", error.code, error.where) for error in members_agree(documents)]
    return found


def test_the_toy_bundle_is_clean(parts: BundleParts, tmp_path: Path) -> None:
    assert defects(parts, tmp_path) == []


@pytest.mark.parametrize(
    ("name", "data", "check", "code", "where"),
    [
        ("evaluation.json", b"not json", "V06", "E_JSON_SYNTAX", "evaluation.json"),
        ("evaluation.json", b"[]", "V06", "E_SCHEMA", "evaluation.json"),
        ("evaluation.json", b"{}", "V06", "E_SCHEMA", "evaluation.json"),
        ("evaluation.json", b'{"a":1,"a":2}', "V06", "E_JSON_VALUE", "evaluation.json"),
        ("evaluation.json", b'{"a":NaN}', "V06", "E_JSON_VALUE", "evaluation.json"),
        ("evaluation.json", b"[" * 10_000, "V06", "E_JSON_TOO_DEEP", "evaluation.json"),
        ("evaluation.json", b'{"\xff":1}', "V06", "E_JSON_ENCODING", "evaluation.json"),
        ("trace.jsonl", b"", "V08", "E_BUNDLE_REFERENCE", "trace.jsonl"),
        ("trace.jsonl", b"{}\n", "V06", "E_SCHEMA", "trace.jsonl:1"),
        ("trace.jsonl", b"{}", "V06", "E_JSONL_NO_NEWLINE", "trace.jsonl:1"),
        ("trace.jsonl", b"\n", "V06", "E_JSON_SYNTAX", "trace.jsonl:1"),
        ("trace.jsonl", b"x" * 70_000 + b"\n", "V06", "E_JSONL_LINE_TOO_LONG", "trace.jsonl:1"),
        ("README.md", b"\xff", "V06", "E_MEMBER_TEXT", "README.md"),
        ("README.md", b"# Best model", "V08", "E_BUNDLE_REFERENCE", "README.md"),
        ("adapter_model.safetensors", b"", "V06", "E_TENSORS_HEADER", "adapter_model.safetensors"),
        ("adapter_config.json", b'{"a":1e999}', "V06", "E_JSON_VALUE", "adapter_config.json"),
    ],
)
def test_a_bad_member_is_named(
    parts: BundleParts, tmp_path: Path, name: str, data: bytes, check: str, code: str, where: str
) -> None:
    parts.overrides[name] = data
    if name == "trace.jsonl":
        parts.overrides["receipt.json"] = parts.copy().receipt()
    found = defects(parts, tmp_path)
    assert (check, code) in [(c, e) for c, e, _ in found]
    assert any(place.startswith(where) for c, e, place in found if (c, e) == (check, code))


@pytest.mark.parametrize("name", ["evaluation.json", "spec.lock.json", "snapshot.json"])
def test_a_second_spelling_of_a_document_is_refused(
    parts: BundleParts, tmp_path: Path, name: str
) -> None:
    parts.overrides[name] = parts.members()[name].replace(b'":', b'": ', 1)
    assert ("V07", "E_JSON_NOT_CANONICAL", name) in defects(parts, tmp_path)


def test_a_second_spelling_of_a_row_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    parts.overrides["modules.jsonl"] = parts.members()["modules.jsonl"].replace(b"{", b"{ ", 1)
    assert defects(parts, tmp_path) == [("V07", "E_JSON_NOT_CANONICAL", "modules.jsonl:1")]


def test_a_library_made_safetensors_header_is_not_canonical(
    parts: BundleParts, tmp_path: Path
) -> None:
    data = tensor_writer.encode(parts.tensors)
    parts.overrides["adapter_model.safetensors"] = data.replace(b'"pt"', b'"tf"')
    found = defects(parts, tmp_path)
    assert found == [("V07", "E_TENSORS_CANONICAL", "adapter_model.safetensors")]


def _set(document: str, *path: Any, value: Any) -> Forge:
    """Change one field of the stored bytes of a member, everything else following."""

    def forge(parts: BundleParts) -> None:
        made = parts.receipt() if document == "receipt.json" else parts.members()[document]
        whole = canonical.loads(made, where=document)
        place = whole
        for step in path[:-1]:
            place = place[step]
        assert place[path[-1]] != value
        place[path[-1]] = value
        parts.overrides[document] = canonical.dumps(whole)

    return forge


def _row(document: str, number: int, *path: Any, value: Any) -> Forge:
    def forge(parts: BundleParts) -> None:
        rows = getattr(parts, document)
        place = rows[number]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return forge


OTHER = digest.of_bytes(b"other")
RECEIPT, LOCK = "receipt.json", "spec.lock.json"


@pytest.mark.parametrize(
    ("forge", "where"),
    [
        (_set(RECEIPT, "name", value="other"), "receipt.json#/name"),
        (_set(RECEIPT, "lock", value=OTHER), "receipt.json#/lock"),
        (_set(RECEIPT, "base", "root", value=OTHER), "receipt.json#/base/root"),
        (_set(RECEIPT, "environment_class", value=OTHER), "receipt.json#/environment_class"),
        (_set(RECEIPT, "snapshot_root", value=OTHER), "receipt.json#/snapshot_root"),
        (_set(RECEIPT, "trace", "chain", value=OTHER), "receipt.json#/trace/chain"),
        (_set(RECEIPT, "trace", "steps", value=9), "receipt.json#/trace/steps"),
        (_set(RECEIPT, "members", 3, "digest", value=OTHER), "receipt.json#/members"),
        (_set(RECEIPT, "counts", "vision", "trained", value=1), "receipt.json#/counts/vision"),
        (_set(RECEIPT, "vlm_train", "projector", value="frozen"), "receipt.json#/vlm_train"),
        (_set(RECEIPT, "vlm_train", "frozen_modules", value=["lm_head"]), "receipt.json#/vlm"),
        (_set(RECEIPT, "vlm_train", "train_examples", value=6), "receipt.json#/vlm_train"),
        (_set("snapshot.json", "root", value=OTHER), "snapshot.json#/root"),
        (_set("snapshot.json", "captures", value=13), "snapshot.json#/captures"),
        (_set("snapshot.json", "images", value=13), "snapshot.json#/images"),
        (_set("snapshot.json", "splits", "eval", "captures", value=7), "snapshot.json#/splits"),
        (_set(LOCK, "data", "snapshot", value=OTHER), "spec.lock.json#/data/snapshot"),
        (_set(LOCK, "data", "root", value=OTHER), "spec.lock.json#/data/root"),
        (_set(LOCK, "data", "cases", value=OTHER), "spec.lock.json#/data/cases"),
        (_set(LOCK, "environment", "threads", value=9), "spec.lock.json#/environment"),
        (_set(LOCK, "publish", "text", value=False), "spec.lock.json#/publish/text"),
        (_row("trace", 0, "step", value=1), "trace.jsonl:1"),
        (_row("trace", 2, "step", value=3), "trace.jsonl:3"),
        (_row("trace", 3, "state", value=OTHER), "trace.jsonl:4#/chain"),
        (_row("trace", 3, "chain", value=OTHER), "trace.jsonl:4#/chain"),
        (_row("trace", 1, "positions", value=[0, 99]), "trace.jsonl:2#/positions"),
    ],
)  # fmt: skip
def test_a_member_that_contradicts_another_is_named(
    parts: BundleParts, tmp_path: Path, forge: Forge, where: str
) -> None:
    forge(parts)
    found = defects(parts, tmp_path)
    assert {check for check, _, _ in found} == {"V08"}
    assert any(place.startswith(where) for _, _, place in found), found


def test_training_on_an_eval_capture_shows(parts: BundleParts, tmp_path: Path) -> None:
    parts.trace[1]["positions"] = [sum(row["split"] == "train" for row in parts.snapshot_rows)]
    assert ("V08", "E_BUNDLE_REFERENCE", "trace.jsonl:2#/positions") in defects(parts, tmp_path)


def test_a_reordered_snapshot_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    parts.snapshot_rows[:2] = parts.snapshot_rows[1::-1]
    assert any(where.startswith("snapshot.jsonl:") for _, _, where in defects(parts, tmp_path))


@pytest.mark.parametrize("name", ["receipt", "modules_row", "trace_row", "manifest"])
def test_our_checker_and_jsonschema_agree_on_every_single_change(
    parts: BundleParts, tmp_path: Path, name: str
) -> None:
    bundle = Bundle.open(parts.seal(tmp_path / "x.kolm"))
    documents: dict[str, list[Any]] = {
        "receipt": [bundle.receipt],
        "modules_row": parts.modules[3:5],
        "trace_row": parts.trace[:2],
        "manifest": [bundle.manifest],
    }
    oracle = jsonschema.Draft202012Validator(whole_schema.load(name))
    ours = schema.checker(name)
    for document in documents[name]:
        assert ours(document) is None
        for changed in _single_changes(document):
            assert (ours(changed) is None) == oracle.is_valid(changed), changed


def _single_changes(value: Any) -> list[Any]:
    """Every document with one key dropped or added, or one leaf replaced."""
    if isinstance(value, dict):
        found = [{**value, "extra": 1}]
        found += [{k: v for k, v in value.items() if k != key} for key in value]
        for key, item in value.items():
            found += [{**value, key: changed} for changed in _single_changes(item)]
        return found
    if isinstance(value, list):
        found = [[], [*value, None]]
        for number, item in enumerate(value[:2]):
            rest = value[number + 1 :]
            found += [[*value[:number], changed, *rest] for changed in _single_changes(item)]
        return found
    return [None, True, -1, "", "x y", "sha256:" + "g" * 64, 2**60]


def test_a_trace_without_checkpoints_is_refused_not_crashed_on(
    parts: BundleParts, tmp_path: Path
) -> None:
    receipt = parts.receipt()
    steps = [row for row in parts.trace if row["kind"] == "step"]
    parts.overrides["receipt.json"] = receipt
    parts.overrides["README.md"] = parts.members()["README.md"]
    parts.overrides["trace.jsonl"] = canonical.dump_lines(steps)
    assert ("V08", "E_BUNDLE_REFERENCE", "trace.jsonl") in defects(parts, tmp_path)


def test_reading_a_missing_member_is_refused(parts: BundleParts, tmp_path: Path) -> None:
    bundle = Bundle.open(parts.seal(tmp_path / "x.kolm"))
    with pytest.raises(Refused):
        bundle.document("nothing.json")
