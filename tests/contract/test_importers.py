"""What every importer of files does, whatever the format: a line in the table inherits this."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import io
import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow.ipc
import pyarrow.parquet
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from kolm.capture import exporters, importers, intake, markers
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Usage
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
        writer.writerow([_cell(key, row.get(key, "")) for key in columns])
    return made.getvalue().encode()


def _cell(key: str, value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return json.dumps(value) if key == "references" else ",".join(value)


def _arrow(rows: list[dict[str, Any]]) -> pyarrow.Table:
    return pyarrow.Table.from_pylist(rows, _schema(rows))


def _schema(rows: list[dict[str, Any]]) -> pyarrow.Schema:
    """Of all keys: a row without one has a null, as Arrow knows no missing keys."""
    merged: dict[str, Any] = {}
    for row in rows:
        merged |= row
    return pyarrow.Table.from_pylist([merged]).schema


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    made = io.BytesIO()
    pyarrow.parquet.write_table(_arrow(rows), made)
    return made.getvalue()


def _stream(rows: list[dict[str, Any]]) -> bytes:
    made, table = io.BytesIO(), _arrow(rows)
    with pyarrow.ipc.new_stream(made, table.schema) as writer:
        writer.write_table(table)
    return made.getvalue()


# How each format writes rows: name of the file and its bytes. `test_every_format_is_written_here`
# holds it to the table.
WRITERS = {
    "jsonl": lambda rows: ("rows.jsonl", _lines(rows)),
    "llava": lambda rows: ("rows.json", json.dumps(rows, indent=1).encode()),
    "csv": lambda rows: ("rows.csv", _table(rows, ",")),
    "tsv": lambda rows: ("rows.tsv", _table(rows, "\t")),
    "folder": lambda rows: ("metadata.jsonl", _lines(rows)),
    "parquet": lambda rows: ("rows.parquet", _parquet(rows)),
    "hf-disk": lambda rows: ("data-00000-of-00001.arrow", _stream(rows)),
}
FOLDERS = ("folder", "hf-disk")
TABLES = ("csv", "tsv", "parquet", "hf-disk")  # every row has every column
PACKED = ("jsonl", "llava", "csv", "tsv")
each_format = pytest.mark.parametrize("form", WRITERS)


def written(folder: Path, form: str, rows: list[dict[str, Any]], *, packed: bool = False) -> Path:
    for number in range(2):
        (folder / f"{number}.png").write_bytes(picture(number))
    name, data = WRITERS[form](rows)
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(data) if packed else data)
    if form == "hf-disk":
        state = {"_data_files": [{"filename": name}], "_split": None, "_format_kwargs": {}}
        (folder / "state.json").write_text(json.dumps(state))
    return folder if form in FOLDERS else path


def read(path: Path, own: dict[str, str] | None = None, **stated: Any) -> list[Draft | BadRow]:
    defaults = Defaults(source=Source(kind="test", name=""), **stated)
    return list(importers.rows(path, defaults=defaults, options=own))


def said(draft: Draft | BadRow) -> Any:
    assert isinstance(draft, Draft), draft
    return len(draft.images), draft.messages, draft.tags, draft.split, draft.license


# Data sets with files of their own: the file to import, its options, and what its rows say.
def _vqa(folder: Path) -> tuple[Path, dict[str, str]]:
    for number in (7, 8):
        (folder / f"COCO_val2014_{number:012d}.jpg").write_bytes(picture(number))
    questions = [
        {"image_id": 7, "question": "Is it red?", "question_id": 70},
        {"image_id": 8, "question": "How many?", "question_id": 80},
        {"image_id": 8, "question": "Who?", "question_id": 81},
    ]
    answers = [
        {"question_id": number, "image_id": number // 10, "answer_type": kind,
         "multiple_choice_answer": answer, "question_type": "is it", "answers": [
             {"answer": said, "answer_confidence": "yes", "answer_id": 1}
             for said in (answer, "two", answer, "it is")]}
        for number, kind, answer in ((80, "number", "2"), (70, "yes/no", "yes"))
    ]  # fmt: skip
    path = folder / "v2_OpenEnded_mscoco_val2014_questions.json"
    head = {"info": {"year": 2017}, "data_type": "mscoco", "data_subtype": "val2014"}
    path.write_text(json.dumps({**head, "questions": questions}))
    (folder / "annotations.json").write_text(json.dumps({**head, "annotations": answers}))
    return path, {"annotations": str(folder / "annotations.json")}


def _captions(folder: Path) -> tuple[Path, dict[str, str]]:
    for number in (7, 8):
        (folder / f"{number}.jpg").write_bytes(picture(number))
    images = [{"id": number, "file_name": f"{number}.jpg", "license": 3} for number in (7, 8, 9)]
    captions = [
        {"id": number, "image_id": image, "caption": text}
        for number, image, text in ((5, 7, "a red box"), (4, 7, "a box"), (6, 8, "two"))
    ]
    path = folder / "captions_val2017.json"
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": captions}))
    return path, {"prompt": "What is there?"}


SETS: dict[str, tuple[Any, list[Any]]] = {
    "vqa": (_vqa, [("Is it red?", "yes", ("yes/no",)), ("How many?", "2", ("number",)), "81"]),
    "coco-captions": (
        _captions,
        [("What is there?", "a box", ()), ("What is there?", "two", ()), "no caption"],
    ),
}
FURTHER = {"vqa": ("it is", "two", "yes"), "coco-captions": ("a red box",)}
each_set = pytest.mark.parametrize("form", SETS)


@each_set
def test_a_data_set_is_read_from_its_own_files(form: str, tmp_path: Path) -> None:
    path, options = SETS[form][0](tmp_path)
    assert importers.guess(path) == form
    for row, meant in zip(read(path, options), SETS[form][1], strict=True):
        if isinstance(meant, str):
            assert isinstance(row, BadRow)
            assert meant in row.reason
            continue
        images, messages, tags, *_ = said(row)
        texts = [message.content[-1].text for message in messages]
        assert (images, *texts, tags) == (1, *meant)
        assert row.images[0].path.is_file()  # type: ignore[union-attr]


@pytest.mark.parametrize("form", FURTHER)
def test_what_others_answered_are_further_references(form: str, tmp_path: Path) -> None:
    path, options = SETS[form][0](tmp_path)
    first = next(iter(read(path, options)))
    assert isinstance(first, Draft)
    assert first.references == FURTHER[form]


@pytest.mark.parametrize("pattern", ["none", "%d%d", "%s", "%c", "%9999999d", "100%", "%(a)d"])
def test_a_pattern_of_names_has_one_place_for_a_number(pattern: str, tmp_path: Path) -> None:
    path, options = _vqa(tmp_path)
    with pytest.raises(Usage) as caught:
        read(path, {**options, "image_pattern": pattern})
    assert caught.value.code == "E_IMPORT_OPTION"
    named = [*read(path, {**options, "image_pattern": "50%%/COCO_%012d.jpg"})]
    assert str(named[0].images[0].path).endswith("50%/COCO_000000000007.jpg")  # type: ignore[union-attr]


@each_set
def test_a_data_set_needs_its_options(form: str, tmp_path: Path) -> None:
    path, _ = SETS[form][0](tmp_path)
    with pytest.raises(Usage) as caught:
        read(path)
    assert caught.value.code == "E_IMPORT_OPTION"
    assert importers.TABLE[form].options[0].flag in caught.value.message


@each_set
def test_another_file_is_no_such_data_set(form: str, tmp_path: Path) -> None:
    path, options = SETS[form][0](tmp_path)
    path.write_text('{"data_subtype": "val2014", "data": [1]}')
    with pytest.raises(Refused):
        read(path, options)


def test_every_format_is_written_here() -> None:
    packages = {name for name, form in importers.TABLE.items() if form.packaged}
    pairs = {name for name, form in exporters.TABLE.items() if form.pairs}  # test_preference_rows
    assert WRITERS.keys() | SETS.keys() | pairs | packages == importers.TABLE.keys()


@each_format
def test_the_same_rows_mean_the_same_in_every_format(form: str, tmp_path: Path) -> None:
    (tmp_path / "lines").mkdir()
    meant = [said(draft) for draft in read(written(tmp_path / "lines", "jsonl", GOOD))]
    assert [said(draft) for draft in read(written(tmp_path, form, GOOD))] == meant


TEXTS = st.text(
    st.one_of(
        st.sampled_from('",;\t\r\n\\\0\u2028\ufeff é<>[]{}='),
        st.characters(exclude_categories=("Cs",)),
    ),
    min_size=1,
    max_size=8,
).filter(lambda text: markers.marker_in(text) is None)
ROWS = st.lists(
    st.fixed_dictionaries(
        {"prompt": TEXTS, "response": TEXTS},
        optional={
            "image": st.sampled_from(["0.png", "1.png"]),
            "license": st.sampled_from(["MIT", "CC-BY-4.0"]),
            "references": st.lists(TEXTS, min_size=1, max_size=3),
            "rejected": TEXTS,
            "split": st.sampled_from(["train", "validation", "eval"]),
            "system": TEXTS,
            "tags": st.lists(st.sampled_from("abc"), min_size=1, max_size=2),
        },
    ),
    min_size=1,
    max_size=3,
)


@each_format
@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_any_rows_mean_the_same_in_every_format(form: str, rows: list[dict[str, Any]]) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), form, rows)
        for row, draft in zip(rows, read(path), strict=True):
            assert isinstance(draft, Draft), draft
            spoken = {message.role: message.content[-1].text for message in draft.messages}
            asked = {"user": row["prompt"], "assistant": row["response"]}
            assert spoken == {**asked, **({"system": row["system"]} if "system" in row else {})}
            assert [image.path.name for image in draft.images] == (
                [row["image"]] if "image" in row else []
            )
            told = (draft.license, draft.rejected, draft.split, draft.tags)
            assert list(draft.references or ()) == sorted(row.get("references", ()))
            tags = tuple(sorted(set(row.get("tags", []))))
            assert told == (
                row.get("license", ""), row.get("rejected"), row.get("split"), tags,
            )  # fmt: skip


@each_format
def test_its_name_says_which_format_it_is(form: str, tmp_path: Path) -> None:
    assert importers.guess(written(tmp_path, form, GOOD)) == form


@pytest.mark.parametrize("form", PACKED)
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
    if form in TABLES:
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


@pytest.mark.parametrize("form", ["jsonl", "llava", "folder", "parquet", "hf-disk"])
@pytest.mark.parametrize(
    ("values", "texts"), [((3, 4), ["3", "4"]), ((2.5, -1.0), ["2.5", "-1.0"]),
                          ((True, False), ["true", "false"])],
)  # fmt: skip
def test_numbers_are_answers_when_asked(
    form: str, values: tuple[Any, ...], texts: list[str], tmp_path: Path
) -> None:
    rows = [{"image": "0.png", "prompt": "How many?", "response": value} for value in values]
    path = written(tmp_path, form, rows)
    assert all(isinstance(row, BadRow) and "--coerce" in row.hint for row in read(path))
    assert [said(row)[1][-1].content[0].text for row in read(path, coerce=True)] == texts


@each_format
def test_a_key_can_be_read_as_another(form: str, tmp_path: Path) -> None:
    rows = [{"image": "0.png", "caption": "a box", "prompt": "What is it?"}]
    path = written(tmp_path, form, rows)
    [bad] = read(path)
    assert isinstance(bad, BadRow)
    assert "--rename caption=NAME" in bad.hint
    [draft] = read(path, renamed={"caption": "response"})
    assert said(draft)[1][-1].content[0].text == "a box"


@each_format
def test_an_option_of_another_format_is_refused(form: str, tmp_path: Path) -> None:
    with pytest.raises(Usage) as caught:
        read(written(tmp_path, form, GOOD), {"annotations": "x.json"})
    assert caught.value.code == "E_IMPORT_OPTION"
    assert "--format vqa" in caught.value.hint


@each_format
def test_an_import_that_is_wholly_bad_is_an_error(form: str, tmp_path: Path) -> None:
    path = written(tmp_path, form, [BAD])
    with CaptureStore.open(tmp_path / "store", create=True) as store, pytest.raises(Refused):
        intake.take_in(store, read(path), skip_bad=True)


def test_the_guide_names_every_format() -> None:
    guide = Path("docs/guides/capture.md").read_text()
    named = {name for line in guide.splitlines() if line.startswith("| `")
             for name in re.findall(r"`([^`]+)`", line.split("|")[1])}  # fmt: skip
    assert {name for name, form in importers.TABLE.items() if not form.packaged} <= named


@pytest.mark.parametrize("form", exporters.TABLE)
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


NEW_FORMAT = """
from kolm.capture.importers.drafting import drafts
from kolm.capture.importers.option import Option

OPTIONS = (Option("asked", "what is asked", required=True),)


def rows(path, folder, defaults, *, asked):
    answers = path.read_text().split()
    return drafts(((a, {"prompt": asked, "response": a}) for a in answers), folder, defaults)
"""


def test_a_new_format_is_a_file_and_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kolm.cli.commands import capture as before

    (tmp_path / "words.py").write_text(NEW_FORMAT)
    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
    line = importers.Importer("words", "answers with spaces between", ("*.words",))
    monkeypatch.setitem(importers.TABLE, "words", line)
    (tmp_path / "few.words").write_text("a b")
    assert [said(row)[1][-1].content[0].text for row in read(tmp_path / "few.words", {"asked": "?"})
            ] == ["a", "b"]  # fmt: skip
    spec = importlib.util.spec_from_file_location("capture_again", before.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    told = CliRunner().invoke(again.command, ["import", "--help"]).output
    assert "answers with spaces between" in told
    assert "For words: what is asked" in told
    assert "\n    words  " in told
