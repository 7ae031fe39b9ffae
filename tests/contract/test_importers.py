"""What every importer of files does, whatever the format: a line in the table inherits this."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from kolm.capture import exporters, importers, intake
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.store import CaptureStore
from kolm.errors import Refused
from kolm.records.capture import Source
from tests.support.pictures import picture

GOOD = [
    {"image": "0.png", "prompt": "What is it?", "response": "a box", "tags": ["b", "a"]},
    {"image": "1.png", "prompt": "Grüße, “you”\nand me?", "response": "3,5; yes", "split": "eval"},
    {"prompt": "Name a prime.", "response": "7", "license": "MIT"},
]
BAD = {"image": "0.png", "prompt": "What?", "response": "x", "respnse": "y"}


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _table(rows: list[dict[str, Any]], delimiter: str) -> bytes:
    columns = sorted({key for row in rows for key in row})
    made = io.StringIO(newline="")
    writer = csv.writer(made, delimiter=delimiter)
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(key, "") for key in columns]
        writer.writerow([",".join(c) if isinstance(c, list) else c for c in cells])
    return made.getvalue().encode()


# How each format writes rows: name of the file and its bytes. `test_every_format_is_written_here`
# holds it to the table.
WRITERS = {
    "jsonl": lambda rows: ("rows.jsonl", _lines(rows)),
    "llava": lambda rows: ("rows.json", json.dumps(rows, indent=1).encode()),
    "csv": lambda rows: ("rows.csv", _table(rows, ",")),
    "tsv": lambda rows: ("rows.tsv", _table(rows, "\t")),
    "folder": lambda rows: ("metadata.jsonl", _lines(rows)),
}
each_format = pytest.mark.parametrize("form", importers.TABLE)


def written(folder: Path, form: str, rows: list[dict[str, Any]], *, packed: bool = False) -> Path:
    for number in range(2):
        (folder / f"{number}.png").write_bytes(picture(number))
    name, data = WRITERS[form](rows)
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)
    return folder if form == "folder" else path


def read(path: Path, **options: Any) -> list[Draft | BadRow]:
    defaults = Defaults(source=Source(kind="test", name=""), **options)
    return list(importers.rows(path, defaults=defaults))


def said(draft: Draft | BadRow) -> Any:
    assert isinstance(draft, Draft), draft
    return len(draft.images), draft.messages, draft.tags, draft.split, draft.license


def test_every_format_is_written_here() -> None:
    assert WRITERS.keys() == importers.TABLE.keys()


@each_format
def test_the_same_rows_mean_the_same_in_every_format(form: str, tmp_path: Path) -> None:
    (tmp_path / "lines").mkdir()
    meant = [said(draft) for draft in read(written(tmp_path / "lines", "jsonl", GOOD))]
    assert [said(draft) for draft in read(written(tmp_path, form, GOOD))] == meant


@each_format
def test_its_name_says_which_format_it_is(form: str, tmp_path: Path) -> None:
    assert importers.guess(written(tmp_path, form, GOOD)) == form


@pytest.mark.parametrize("form", [form for form in importers.TABLE if form != "folder"])
def test_gzip_is_unpacked(form: str, tmp_path: Path) -> None:
    path = written(tmp_path, form, GOOD, packed=True)
    assert importers.guess(path) == form
    assert all(isinstance(draft, Draft) for draft in read(path))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Refused) as caught:
        read(path)
    assert caught.value.code == "E_IMPORT_GZIP"


@each_format
def test_a_bad_row_costs_itself_and_is_named(form: str, tmp_path: Path) -> None:
    first, bad, last = read(written(tmp_path, form, [GOOD[0], BAD, GOOD[1]]))
    if form in ("csv", "tsv"):  # every row of a table has every column
        assert all(isinstance(row, BadRow) for row in (bad,))
        return
    assert isinstance(first, Draft)
    assert isinstance(last, Draft)
    assert isinstance(bad, BadRow)
    assert bad.code == "E_ROW_UNKNOWN_KEY"
    assert "2" in bad.where
    assert "did you mean 'response'" in bad.hint
    assert "--ignore-key respnse" in bad.hint


@each_format
def test_keys_can_be_passed_over(form: str, tmp_path: Path) -> None:
    path = written(tmp_path, form, [BAD])
    assert all(isinstance(row, Draft) for row in read(path, ignored=frozenset(("respnse",))))


@pytest.mark.parametrize("form", ["jsonl", "llava", "folder"])
def test_numbers_are_answers_when_asked(form: str, tmp_path: Path) -> None:
    rows = [{"image": "0.png", "prompt": "How many?", "response": number} for number in (3, 2.5)]
    path = written(tmp_path, form, rows)
    assert all(isinstance(row, BadRow) and "--coerce" in row.hint for row in read(path))
    answers = [said(row)[1][-1].content[0].text for row in read(path, coerce=True)]
    assert answers == ["3", "2.5"]


@each_format
def test_an_import_that_is_wholly_bad_is_an_error(form: str, tmp_path: Path) -> None:
    path = written(tmp_path, form, [BAD])
    with CaptureStore.open(tmp_path / "store", create=True) as store, pytest.raises(Refused):
        intake.take_in(store, read(path), skip_bad=True)


@pytest.mark.parametrize("form", exporters.FORMATS)
def test_what_is_exported_is_imported_by_the_format_of_the_same_name(form: str) -> None:
    assert form in importers.TABLE


# A row in a shape that data sets have, and what becomes of it: the parts of its first user's turn
# (numbers are images), or the code of its error.
CONVERSATION = "conversations"
SHAPES: list[tuple[str, dict[str, Any], Any]] = [
    ("image first", {"image": "0.png", "prompt": "<image>\nWhat?", "response": "a"}, [0, "What?"]),
    ("upper case", {"image": "0.png", "prompt": "<IMAGE>What?", "response": "a"}, [0, "What?"]),
    ("in between", {"image": "0.png", "prompt": "In <image> what?", "response": "a"},
     ["In ", 0, " what?"]),
    ("numbered", {"images": ["0.png", "1.png"], "prompt": "<image1> or <image2>?", "response": "a"},
     [0, " or ", 1, "?"]),
    ("numbered from 2", {"image": "0.png", "prompt": "<image2>?", "response": "a"}, "E_ROW_MARKER"),
    ("two places", {"image": "0.png", "prompt": "<image><image>?", "response": "a"},
     "E_CAPTURE_IMAGE_PLACES"),
    ("no image", {"prompt": "<image>?", "response": "a"}, "E_CAPTURE_IMAGE_PLACES"),
    ("another family", {"image": "0.png", "prompt": "<|image_pad|>?", "response": "a"},
     "E_ROW_MARKER"),
    ("video", {"image": "0.png", "prompt": "<video>?", "response": "a"}, "E_ROW_MARKER"),
    ("path in text", {"image": "0.png", "prompt": "<img>0.png</img>?", "response": "a"},
     "E_ROW_MARKER"),
    ("own placeholder",
     {"image": "0.png", "placeholder": "@", "prompt": "@<video>", "response": "a"}, [0, "<video>"]),
    ("own names", {"file_name": "0.png", "question": "What?", "answer": "a"}, [0, "What?"]),
    ("one thing twice", {"image": "0.png", "images": [], "prompt": "?", "response": "a"},
     "E_ROW_FIELD"),
    ("two shapes", {"image": "0.png", "prompt": "?", "response": "a", "messages": [1]},
     "E_ROW_FIELD"),
    ("wrapped", {"image": {"path": "0.png", "bytes": None}, "prompt": "What?", "response": "a"},
     [0, "What?"]),
    ("windows", {"image": ".\\0.png", "prompt": "What?", "response": "a"}, [0, "What?"]),
    ("web", {"image": "https://example.org/0.png", "prompt": "What?", "response": "a"},
     "E_IMAGE_PATH"),
    ("no text at all", {"prompt": "", "response": "a"}, "E_ROW_FIELD"),
    ("sharegpt", {"image": "0.png", "id": 7, "model": "x", "system": "Be brief.", CONVERSATION: [
        {"from": "Human", "value": "<image>\nWhat?"}, {"from": "ChatGPT", "value": "a"}]},
     [0, "What?"]),
    ("roles in any case", {"image": "0.png", CONVERSATION: [
        {"role": "USER", "content": "What?"}, {"role": "Assistant", "content": "a"}]},
     [0, "What?"]),
    ("a cell of JSON", {"image": "0.png", CONVERSATION: json.dumps([
        {"from": "human", "value": "What?"}, {"from": "gpt", "value": "a"}])}, [0, "What?"]),
    ("tools", {"image": "0.png", CONVERSATION: [
        {"from": "human", "value": "What?"}, {"from": "function_call", "value": "{}"}]},
     "E_ROW_FIELD"),
    ("marker in a system text", {"image": "0.png", "system": "<image>", CONVERSATION: [
        {"from": "human", "value": "What?"}, {"from": "gpt", "value": "a"}]}, "E_ROW_MARKER"),
    ("messages and images", {"images": ["0.png"], "messages": [
        {"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "a"}]},
     [0, "What?"]),
    ("openai", {"messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What?"},
            {"type": "image_url", "image_url": {"url": "0.png", "detail": "low"}}]},
        {"role": "assistant", "content": "a"}]}, ["What?", 0]),
    ("chat template", {"messages": [
        {"role": "user", "content": [
            {"type": "image", "image": "0.png"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}, [0, "What?"]),
    ("next image", {"image": ["0.png"], "messages": [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}, [0, "What?"]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "wanted"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_the_shapes_that_people_have(row: dict[str, Any], wanted: Any, tmp_path: Path) -> None:
    [found] = read(written(tmp_path, "jsonl", [row]))
    if isinstance(wanted, str):
        assert isinstance(found, BadRow), found
        assert found.code == wanted
        return
    assert isinstance(found, Draft), found
    [user, *_] = [message for message in found.messages if message.role == "user"]
    assert [getattr(part, "text", None) or part.image for part in user.content] == wanted


def test_a_marker_in_an_answer_is_told(tmp_path: Path) -> None:
    row = {"image": "0.png", "prompt": "Write HTML", "response": "Use <image>"}
    [found] = read(written(tmp_path, "jsonl", [row]))
    assert isinstance(found, Draft)
    assert found.told == ("the answer holds '<image>', which stays text",)


def test_absolute_paths_and_file_urls_count_within_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "secret.png"
    inside.mkdir()
    outside.write_bytes(picture(3))
    names = [str(inside / "0.png"), (inside / "0.png").as_uri(), str(outside), outside.as_uri()]
    rows = [{"image": name, "prompt": "What?", "response": "a"} for name in names]
    found = read(written(inside, "jsonl", rows))
    assert [isinstance(row, Draft) for row in found] == [True, True, False, False]


def test_a_broken_element_costs_itself(tmp_path: Path) -> None:
    good = '{"prompt": "What?", "response": "a [b] {c}, \\"d\\""}'
    elements = [good, '{"prompt": 1, "prompt": 2}', '{"prompt": NaN}', "7", "{'a': 1}", good]
    (tmp_path / "rows.json").write_text("[" + ",\n".join(elements) + "]")
    found = read(tmp_path / "rows.json")
    assert [isinstance(row, Draft) for row in found] == [True, False, False, False, False, True]
    (tmp_path / "rows.json").write_text('{"data": [' + good + "]}")
    assert len(read(tmp_path / "rows.json")) == 1
    (tmp_path / "rows.json").write_text("[" + good)
    with pytest.raises(Refused):
        read(tmp_path / "rows.json")


def test_other_encodings_and_tables_without_columns_are_named(tmp_path: Path) -> None:
    for name, data, code in (
        ("rows.jsonl", '{"prompt": "a"}'.encode("utf-16"), "E_IMPORT_ENCODING"),
        ("rows.csv", "prompt,response\nGrüße,a\n".encode("latin-1"), "E_IMPORT_ENCODING"),
        ("rows.csv", b"just words\n", "E_IMPORT_COLUMNS"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Refused) as caught:
            read(tmp_path / name)
        assert caught.value.code == code


def test_a_table_may_use_semicolons_and_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfprompt;response\r\nWhat?;a, b\r\n")
    [found] = read(tmp_path / "rows.csv")
    assert said(found)[1][-1].content[0].text == "a, b"


def test_lines_come_from_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BufferedReader(io.BytesIO(_lines(GOOD[2:])))  # type: ignore[arg-type]

    monkeypatch.setattr("sys.stdin", Stdin)
    [found] = read(Path("-"))
    assert isinstance(found, Draft)
    assert found.where == "stdin:1"


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_a_named_pipe_is_read_once(name: str, tmp_path: Path) -> None:
    import os
    import threading

    os.mkfifo(tmp_path / name)
    writer = threading.Thread(
        target=(tmp_path / name).write_bytes, args=(_lines(GOOD[2:]),), daemon=True
    )
    writer.start()
    assert [isinstance(row, Draft) for row in read(tmp_path / name)] == [True]


def test_a_packed_file_is_the_same_source(tmp_path: Path) -> None:
    from kolm.capture import reading

    assert reading.name_of(Path("rows.jsonl.gz")) == reading.name_of(Path("rows.jsonl"))
