"""Rows to fill in: what is written, and that nothing takes them before they are filled in."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from kolm.actions import capturing, templating
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Refused, Usage
from tests.support.pictures import picture

PROMPTS = ("What does it read?", "Is it safe?")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    (made / "below").mkdir(parents=True)
    (made / ".hidden").mkdir()
    for name in ("b.PNG", "a ü.png", "below/c.png", ".hidden/d.png", ".e.png"):
        (made / name).write_bytes(picture(len(name)))
    (made / "notes.txt").write_text("x")
    (made / "old.gif").write_bytes(b"GIF89a")
    return made


def _filled(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    text = text.replace("[ANNOTATE: the answer]", "4.2 bar")
    path.write_text(text.replace("[ANNOTATE: a worse answer]", "42 bar"), encoding="utf-8")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_every_picture_has_a_row_for_each_prompt(name: str, folder: Path) -> None:
    options: dict[str, Any] = {"tags": ("x", "a"), "license": "MIT", "split": "train"}
    done = templating.write_template(
        folder, prompts=PROMPTS, output=folder / name, rejected=True, **options
    )
    assert (done.rows, done.pictures, done.left_out, done.images) == (6, 3, 1, None)
    store = folder.parent / "store"
    _filled(done.file)
    taken = capturing.import_captures(done.file, store=store)
    assert taken.total == 6
    with CaptureStore.open(store) as opened:
        for row in opened.rows():
            assert row.capture.rejected == "42 bar"
            assert (row.capture.tags, row.capture.license) == (("a", "x"), "MIT")


def test_a_table_is_read_by_other_programs(folder: Path) -> None:
    done = templating.write_template(folder, prompts=PROMPTS, output=folder / "rows.csv")
    with done.file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows[::2]] == ["a ü.png", "b.PNG", "below/c.png"]
    assert {row["response"] for row in rows} == {"[ANNOTATE: the answer]"}


def test_the_name_of_a_picture_is_no_formula_of_a_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "=1+1.png").write_bytes(picture(1))
    done = templating.write_template(tmp_path, prompts=PROMPTS[:1], output=tmp_path / "rows.csv")
    assert "\n./=1+1.png," in done.file.read_text(encoding="utf-8")
    _filled(done.file)
    assert capturing.import_captures(done.file, store=tmp_path / "store").total == 1


def test_prompts_in_turn_are_one_a_picture(folder: Path) -> None:
    done = templating.write_template(folder, prompts=PROMPTS, in_turn=True, answer="a number")
    rows = [json.loads(line) for line in done.file.read_text().splitlines()]
    assert done.file == folder / templating.NAME
    assert [row["prompt"] for row in rows] == [PROMPTS[0], PROMPTS[1], PROMPTS[0]]
    assert rows[0]["response"] == "[ANNOTATE: a number]"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_an_import_refuses_rows_that_are_not_filled_in_by_their_numbers(
    name: str, folder: Path
) -> None:
    done = templating.write_template(folder, prompts=PROMPTS[:1], output=folder / name)
    lines = done.file.read_text(encoding="utf-8").splitlines(keepends=True)
    first = len(lines) - 3  # a table begins with the names of its columns
    lines[first] = lines[first].replace("[ANNOTATE: the answer]", "4.2 bar")
    done.file.write_text("".join(lines), encoding="utf-8")
    with pytest.raises(Refused) as caught:
        capturing.import_captures(done.file, store=folder.parent / "store")
    assert caught.value.code == "E_IMPORT_BAD_ROWS"
    assert "E_CAPTURE_UNFILLED" in caught.value.found
    assert caught.value.message.startswith("2 of 3 rows")
    assert f"{name}:{first + 2}, {first + 3}: " in caught.value.found


def test_a_worse_answer_that_is_not_filled_in_is_refused_too(folder: Path) -> None:
    done = templating.write_template(folder, prompts=PROMPTS[:1], rejected=True)
    text = done.file.read_text().replace("[ANNOTATE: the answer]", "4.2 bar")
    done.file.write_text(text)
    with pytest.raises(Refused) as caught:
        capturing.import_captures(done.file, store=folder.parent / "store")
    assert "E_CAPTURE_UNFILLED" in caught.value.found


def test_a_compile_refuses_what_is_not_filled_in(folder: Path, tmp_path: Path) -> None:
    from kolm.actions.preparing import gather
    from kolm.events import Silent

    done = templating.write_template(folder, prompts=PROMPTS[:1])
    rows = [json.loads(line) for line in done.file.read_text().splitlines()]
    for row in rows:
        row["image"] = folder / row["image"]
    spec = {"kolm": 1, "name": "toy", "base": "kolm/nano-1", "data": {"captures": "captures"}}
    parts = gather(spec, rows=rows, project=tmp_path, reporter=Silent())
    [problem] = [error for what, error in parts.problems if what == "captures"]
    assert problem.code == "E_IMPORT_BAD_ROWS"
    assert "row 1, 2, 3: " in problem.found
    spec["data"] = {"captures": str(done.file.relative_to(tmp_path))}
    parts = gather(spec, rows=None, project=tmp_path, reporter=Silent())
    [problem] = [error for what, error in parts.problems if what == "captures"]
    assert "kolm capture import" in problem.hint


def test_a_file_elsewhere_says_which_folder_to_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    above = templating.write_template(folder, prompts=PROMPTS, output=tmp_path / "rows.jsonl")
    assert above.images is None
    assert '"photos/b.PNG"' in above.file.read_text()
    apart = templating.write_template(folder, prompts=PROMPTS, output=tmp_path / "other" / "r.csv")
    assert apart.images == folder
    _filled(apart.file)
    taken = capturing.import_captures(apart.file, store=tmp_path / "store", images=apart.images)
    assert taken.total == 6


def test_a_file_that_somebody_fills_in_is_not_overwritten(folder: Path) -> None:
    done = templating.write_template(folder, prompts=PROMPTS)
    _filled(done.file)
    before = done.file.read_bytes()
    with pytest.raises(Usage) as caught:
        templating.write_template(folder, prompts=PROMPTS)
    assert caught.value.code == "E_TARGET_EXISTS"
    assert done.file.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"prompts": ()}, "E_TEMPLATE_TEXT"),
        ({"prompts": ("",)}, "E_TEMPLATE_TEXT"),
        ({"answer": "a] b"}, "E_TEMPLATE_TEXT"),
        ({"answer": "a\nb"}, "E_TEMPLATE_TEXT"),
        ({"output": "x.csv", "tags": ("a,b",)}, "E_TEMPLATE_TEXT"),
    ],
)
def test_what_would_not_come_back_is_refused(
    change: dict[str, Any], code: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(KolmError) as caught:
        templating.write_template(folder, **{"prompts": PROMPTS, **change})
    assert caught.value.code == code
    assert not (folder / templating.NAME).exists()


def test_a_folder_without_pictures_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.gif").write_bytes(b"")
    with pytest.raises(Refused) as caught:
        templating.write_template(tmp_path, prompts=PROMPTS)
    assert caught.value.code == "E_TEMPLATE_NO_PICTURES"
