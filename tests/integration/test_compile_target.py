"""What `kolm compile` and `kolm eval` do with a file that is there already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kolm.bundle import writer
from kolm.bundle.reader import Bundle
from kolm.sign import making, predicates
from kolm.sign.keystore import KeyStore
from tests.support.bundles import audit_of
from tests.support.lines import Line, same_answer

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = Line.make(tmp_path_factory.mktemp("target"), rows=same_answer(32))
    made.demand("compile")
    return made


def test_clean_names_what_was_sealed_from_each_stage(line: Line) -> None:
    kept = line.demand("clean", "--json").document()["kept"]
    cid = Bundle.open(line.bundle).cid
    assert {one["name"]: one.get("sealed") for one in kept if one["kind"] == "runs"} == {
        "train": cid,
        "evaluate": cid,
    }


def test_compiling_again_keeps_the_claims_that_were_added(line: Line) -> None:
    key = KeyStore(line.home / "keys").load("default", lambda _: None)
    content = Bundle.open(line.bundle).content_id
    said = audit_of(content)
    claim = making.seal(making.statement(content, "x", predicates.VERIFICATION_SUMMARY, said), key)
    writer.add_claims(line.bundle, [claim])
    before = line.bundle.read_bytes()
    line.demand("compile")
    assert line.bundle.read_bytes() == before


@pytest.mark.parametrize("data", [b"precious", None])
def test_another_file_is_refused_before_anything_is_trained(
    line: Line, tmp_path: Path, data: bytes | None
) -> None:
    target = tmp_path / "mine.kolm"
    if data is None:  # another bundle
        spec = line.folder / "other.yaml"
        spec.write_text((line.folder / "kolm.yaml").read_text().replace("steps: ", "steps: 1"))
        data = line.bundle.read_bytes()
    else:
        spec = line.folder / "kolm.yaml"
    target.write_bytes(data)
    runs = sorted((line.folder / ".kolm" / "runs").iterdir())
    ran = line.kolm("compile", spec, "-o", target)
    assert (ran.code, "E_TARGET_EXISTS" in ran.stderr) == (2, True), ran.stderr
    assert "snapshot" not in ran.stderr  # captures and base were not read for it
    assert ("train.steps (" in ran.stderr) is (data != b"precious")
    assert target.read_bytes() == data
    assert sorted((line.folder / ".kolm" / "runs").iterdir()) == runs


def test_a_bundle_of_other_captures_is_refused_before_they_are_encoded(
    line: Line, tmp_path: Path
) -> None:
    rows = tmp_path / "more.jsonl"
    rows.write_text('{"image": [], "prompt": "2+2?", "response": "4"}')
    before = line.bundle.read_bytes()
    shutil.copytree(line.folder / "captures", line.folder / "more")
    line.demand("capture", "import", rows, "--store", "more")
    spec = line.folder / "more.yaml"
    told = (line.folder / "kolm.yaml").read_text()
    spec.write_text(told.replace("captures: captures", "captures: more"))
    ran = line.kolm("compile", spec)
    assert (ran.code, "E_TARGET_EXISTS" in ran.stderr) == (2, True), ran.stderr
    assert "data.root" in ran.stderr
    assert "encode" not in ran.stderr
    assert line.bundle.read_bytes() == before


def test_another_file_is_replaced_on_request_and_a_device_is_written_into(
    line: Line, tmp_path: Path
) -> None:
    target = tmp_path / "mine.kolm"
    target.write_bytes(b"precious")
    line.demand("compile", "-o", target, "--force")
    assert Bundle.open(target).content_id == Bundle.open(line.bundle).content_id
    line.demand("compile", "-o", "/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_scored_copy_is_not_written_over_a_file(line: Line, tmp_path: Path) -> None:
    target = tmp_path / "mine.kolm"
    target.write_bytes(b"precious")
    ran = line.kolm("eval", line.bundle, "--captures", "captures", "-o", target)
    assert (ran.code, "E_TARGET_EXISTS" in ran.stderr) == (2, True), ran.stderr
    assert target.read_bytes() == b"precious"
