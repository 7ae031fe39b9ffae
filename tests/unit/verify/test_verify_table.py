"""The table of questions: code, docs and tests ask the same under the same number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, schema
from kolm.bundle.snapshot_lines import read_snapshot_lines
from kolm.records import codec
from kolm.records.verification import Verification
from kolm.verify.check import TABLE, Check, check
from kolm.verify.checks import ALL_CHECKS
from tests.support.audits import World

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "format" / "verification.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.id)
def test_the_page_asks_what_the_code_asks(check: Check) -> None:
    row = re.search(rf"^\| {check.id} \| (.*?) \|", PAGE, re.MULTILINE)
    assert row is not None
    assert row[1].replace("`", "") == check.question


def test_the_page_has_no_other_numbers() -> None:
    told = re.findall(r"^\| (V\d\d) \|", PAGE, re.MULTILINE)
    assert told == [check.id for check in ALL_CHECKS]


ALWAYS_OPEN = {"V44", "V45"}


def test_every_check_has_a_negative_case() -> None:
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    named = {
        f"V{number}"
        for text in texts
        for name in re.findall(r"def test_((?:v\d\d_(?:to_|and_)?)+)", text)
        for number in _numbers(name)
    }
    assert {check.id for check in ALL_CHECKS} - named <= ALWAYS_OPEN


def _numbers(name: str) -> list[str]:
    found = re.findall(r"v(\d\d)", name)
    if "_to_" in name:
        return [f"{number:02}" for number in range(int(found[0]), int(found[1]) + 1)]
    return found


def test_what_a_check_needs_is_asked() -> None:
    known = {check.id for check in ALL_CHECKS}
    assert all(set(check.needs) <= known for check in ALL_CHECKS)


def test_a_number_is_given_once() -> None:
    first = ALL_CHECKS[0]
    with pytest.raises(ValueError, match="twice"):
        check(first.id, first.question)(first.body)
    assert TABLE[first.id] is first


def test_a_report_fits_its_schema_and_comes_back(tmp_path: Path) -> None:
    world = World.make(tmp_path)
    forged = world.parts.copy()
    forged.predictions[0]["adapter"]["output"] = "\x1b[31mred\x1b[0m"
    report = world.audit(forged).report
    document = canonical.loads(canonical.dumps(codec.to_document(report)), where="report")
    schema.check("verification", document, where="report")
    assert codec.from_document(Verification, document) == report


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@pytest.mark.parametrize("place", ["output", "tag", "name"])
def test_text_from_a_bundle_cannot_reach_the_terminal(tmp_path: Path, place: str) -> None:
    world = World.make(tmp_path)
    forged = world.parts.copy()
    evil = "\x1b]0;owned\x07" + "x" * 500
    if place == "output":
        forged.predictions[0]["adapter"]["output"] = evil
    elif place == "tag":
        forged.cases[0]["tags"] = [evil]
    else:
        lock = {**forged.lock, "name": evil}
        forged.members()
        forged.overrides["spec.lock.json"] = canonical.dumps(lock)
    document = codec.to_document(world.audit(forged).report)
    assert all(text.isprintable() and len(text) <= 201 for text in strings(document))


@pytest.mark.parametrize("kept_bytes", [0, 2**24])
def test_the_quick_reader_of_snapshot_lines_equals_the_long_one(
    kept_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kolm.bundle.snapshot_lines.KEPT_BYTES", kept_bytes)
    world = World.make(tmp_path)
    several = [dict(row) for row in world.parts.snapshot_rows]
    several[0]["images"] = several[0]["images"] + several[1]["images"]
    several[1]["images"] = []
    several[2]["images"] = several[2]["images"] + [
        image | {"twins": image["pixels"]} for image in several[3]["images"]
    ]
    data = canonical.dump_lines(several)
    lines = read_snapshot_lines(data, where="snapshot.jsonl")
    assert list(lines.rows()) == several
    assert b"".join(leaf + b"\n" for leaf in lines.leaves) == data


def test_rows_that_are_read_again_give_the_report_of_rows_that_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.make(tmp_path)
    kept = world.audit().report
    monkeypatch.setattr("kolm.bundle.documents.KEPT_BYTES", 0)
    monkeypatch.setattr("kolm.bundle.snapshot_lines.KEPT_BYTES", 0)
    assert world.audit().report._replace(bundle=kept.bundle) == kept
