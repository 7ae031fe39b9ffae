"""What every importer and exporter of preference rows does: a line in the tables inherits this."""

from __future__ import annotations

import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow.parquet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kolm.capture import exporters, exporting, importers, intake
from kolm.capture.drafts import BadRow, Defaults, Draft
from kolm.capture.store import CaptureStore
from kolm.errors import Refused
from kolm.records.capture import Capture, Correction, Source
from tests.support.captures import PICTURES, captures
from tests.support.pictures import DEFAULTS, capture, filled, picture

TURN = {"role": "assistant", "content": "a red box"}
WORSE = {"role": "assistant", "content": "a blue box"}
PARTS = [{"type": "image"}, {"type": "text", "text": "What?"}]
TEXT = {"question": "What?", "chosen": "a red box", "rejected": "a blue box"}
EDIT = Correction(start=2, end=7, replacement="red ")

# Rows that all say the same, by format: what is it, a red box, not a blue box.
SAME: dict[str, list[dict[str, Any]]] = {
    "trl": [
        {"images": ["0.png"], "prompt": "What?", "chosen": "a red box", "rejected": "a blue box"},
        {"image": "0.png", "prompt": [{"role": "user", "content": "What?"}], "chosen": [TURN],
         "rejected": [WORSE]},
        {"images": ["0.png"], "prompt": [{"role": "user", "content": PARTS}],
         "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "a red box"}]}],
         "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "a blue box"}]}]},
        {"images": ["0.png"],
         "prompt": [{"role": "user", "content": [{"type": "text", "text": "What?"}]}],
         "chosen": [TURN], "rejected": [WORSE]},
        {"images": ["0.png"], "chosen": [{"role": "user", "content": "What?"}, TURN],
         "rejected": [{"role": "user", "content": "What?"}, WORSE]},
        {"images": ["0.png"], "prompt": "What?", "chosen": [TURN], "rejected": [WORSE]},
        {"images": ["0.png"], "prompt": "<image>\nWhat?", "chosen": "a red box",
         "rejected": "a blue box"},
    ],
    "llama-factory": [
        {"instruction": "What?", "chosen": "a red box", "rejected": "a blue box",
         "images": ["0.png"]},
        {"instruction": "<image>What?", "input": "", "chosen": "a red box",
         "rejected": "a blue box", "images": ["0.png"], "history": []},
        {"conversations": [{"from": "human", "value": "<image>What?"}],
         "chosen": {"from": "gpt", "value": "a red box"},
         "rejected": {"from": "gpt", "value": "a blue box"}, "images": ["0.png"]},
        {"messages": [{"role": "user", "content": "<image>What?", "name": None}], "chosen": TURN,
         "rejected": WORSE, "images": ["0.png"]},
    ],
    "rlhf-v": [
        {"image": "0.png", "text": json.dumps(TEXT), "ds_name": "RLHF-V", "idx": 0,
         "image_path": "elsewhere/0.jpg", "origin_dataset": "x", "origin_split": "{}"},
        {"image_path": "0.png", "text": TEXT},
        {"image": "0.png", **TEXT, "ds_name": "RLAIF-V"},
    ],
}  # fmt: skip
# Rows that cannot be taken, and the code of the error.
BAD: dict[str, list[tuple[dict[str, Any], str]]] = {
    "trl": [
        ({"prompt": "What?", "chosen": "a"}, "E_ROW_MISSING_KEY"),
        ({"chosen": "a", "rejected": "b"}, "E_ROW_MISSING_KEY"),
        ({"prompt": "What?", "chosen": 3, "rejected": "b"}, "E_ROW_FIELD"),
        ({"prompt": "What?", "chosen": [], "rejected": "b"}, "E_ROW_FIELD"),
        ({"prompt": "What?", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"},
         "E_ROW_FIELD"),
        ({"prompt": "What?", "chosen": [TURN], "rejected": [
            {"role": "assistant", "content": [{"type": "image"}]}]}, "E_ROW_FIELD"),
        ({"prompt": "What?", "chosen": [TURN, {"role": "user", "content": "?"}, TURN],
          "rejected": [WORSE, {"role": "user", "content": "?"}, WORSE]}, "E_ROW_FIELD"),
        ({"prompt": "What?", "chosen": "a", "rejected": "b", "respnse": "a"}, "E_ROW_UNKNOWN_KEY"),
    ],
    "llama-factory": [
        ({"chosen": "a", "rejected": "b"}, "E_ROW_MISSING_KEY"),
        ({"instruction": "What?", "chosen": "a"}, "E_ROW_MISSING_KEY"),
        ({"instruction": "What?", "conversations": [1], "chosen": "a", "rejected": "b"},
         "E_ROW_FIELD"),
        ({"instruction": "What?", "history": [["q"]], "chosen": "a", "rejected": "b"},
         "E_ROW_FIELD"),
        ({"conversations": [{"from": "human", "value": "?"}], "chosen": [TURN, TURN],
          "rejected": WORSE}, "E_ROW_FIELD"),
        ({"conversations": [{"from": "human", "value": "?"}],
          "chosen": {"from": "human", "value": "a"}, "rejected": WORSE}, "E_ROW_FIELD"),
        ({"instruction": "What?", "chosen": "a", "rejected": "b", "videos": []},
         "E_ROW_UNKNOWN_KEY"),
    ],
    "rlhf-v": [
        ({"text": "{not JSON"}, "E_ROW_FIELD"),
        ({"text": {"question": "What?", "chosen": "a"}}, "E_ROW_FIELD"),
        ({"text": {**TEXT, "regions": []}}, "E_ROW_FIELD"),
        ({"question": "What?", "chosen": "a"}, "E_ROW_MISSING_KEY"),
        ({**TEXT, "score": 3}, "E_ROW_UNKNOWN_KEY"),
        ({**TEXT, "corrections": [{"start": 0, "end": 1, "replacement": "", "bbox": [0, 0, 9, 9]}]},
         "E_ROW_REGION"),
        ({**TEXT, "corrections": [{"start": 0, "end": 1, "replacement": "", "reward": -1}]},
         "E_ROW_REWARD"),
    ],
}  # fmt: skip
FORMS = sorted(SAME)
each_form = pytest.mark.parametrize("form", FORMS)


def written(folder: Path, rows: list[dict[str, Any]], holder: str = "jsonl") -> Path:
    (folder / "0.png").write_bytes(picture(0))
    if holder == "jsonl":
        path, data = folder / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode()
    elif holder == "json":
        path, data = folder / "rows.json", json.dumps(rows).encode()
    else:
        made = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), made)
        path, data = folder / "rows.parquet", made.getvalue()
    path.write_bytes(data)
    return path


def read(path: Path, form: str, **stated: Any) -> list[Draft | BadRow]:
    defaults = Defaults(source=Source(kind="test", name=""), **stated)
    return list(importers.rows(path, form=form, defaults=defaults))


def test_every_format_of_pairs_is_here() -> None:
    assert {name for name, form in exporters.TABLE.items() if form.pairs} == set(FORMS)


@pytest.mark.parametrize("holder", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize(("form", "number"), [(f, n) for f in FORMS for n in range(len(SAME[f]))])
def test_the_shapes_that_people_have(form: str, number: int, holder: str, tmp_path: Path) -> None:
    [draft] = read(written(tmp_path, [SAME[form][number]], holder), form)
    assert isinstance(draft, Draft), draft
    asked, answered = draft.messages
    assert [getattr(part, "text", None) for part in asked.content] == [None, "What?"]
    assert len(draft.images) == 1
    assert answered.content[0].text == "a red box"  # type: ignore[union-attr]
    assert draft.rejected == "a blue box"
    corrected = form == "rlhf-v" and "text" in SAME[form][number]
    assert draft.corrections == ((EDIT,) if corrected else None)


@pytest.mark.parametrize(("form", "number"), [(f, n) for f in FORMS for n in range(len(BAD[f]))])
def test_a_bad_row_costs_itself_and_is_named(form: str, number: int, tmp_path: Path) -> None:
    row, code = BAD[form][number]
    first, bad, last = read(written(tmp_path, [SAME[form][0], row, SAME[form][0]]), form)
    assert isinstance(first, Draft)
    assert isinstance(last, Draft)
    assert isinstance(bad, BadRow)
    assert (bad.code, bad.where) == (code, "rows.jsonl:2")


@each_form
def test_an_import_of_bad_rows_adds_nothing(form: str, tmp_path: Path) -> None:
    path = written(tmp_path, [SAME[form][0], BAD[form][0][0]])
    with CaptureStore.open(tmp_path / "store", create=True) as store:
        with pytest.raises(Refused) as caught:
            intake.take_in(store, read(path, form))
        assert caught.value.code == "E_IMPORT_BAD_ROWS"
        assert len(store) == 0


@each_form
def test_keys_can_be_passed_over_and_renamed(form: str, tmp_path: Path) -> None:
    row = {**SAME[form][0], "score": 3}
    path = written(tmp_path, [row], "parquet")
    assert [type(found) for found in read(path, form)] == [BadRow]
    [found] = read(path, form, ignored=frozenset(("score",)))
    assert isinstance(found, Draft)
    renamed = {"chosen": "better"}
    if form == "rlhf-v":
        row, renamed = SAME[form][-1], {"question": "asked"}
    other = {renamed.get(key, key): value for key, value in row.items() if key != "score"}
    (tmp_path / "other").mkdir()
    path = written(tmp_path / "other", [other], "parquet")
    [found] = read(path, form, renamed={new: old for old, new in renamed.items()})
    assert isinstance(found, Draft), found
    assert found.rejected == "a blue box"


def test_rows_of_another_program_are_told_as_such(tmp_path: Path) -> None:
    [bad] = read(written(tmp_path, [SAME["trl"][0]]), "jsonl")
    assert isinstance(bad, BadRow)
    assert "--format trl" in bad.hint


def test_input_stands_under_the_instruction_and_history_before_both(tmp_path: Path) -> None:
    row = {"instruction": "What?", "input": "Be brief.", "system": "You see.",
           "history": [["Is it red?", "yes"]], "chosen": "a", "rejected": "b"}  # fmt: skip
    [draft] = read(written(tmp_path, [row]), "llama-factory")
    assert isinstance(draft, Draft)
    told = [(message.role, message.content[0].text) for message in draft.messages]  # type: ignore[union-attr]
    assert told == [("system", "You see."), ("user", "Is it red?"), ("assistant", "yes"),
                    ("user", "What?\nBe brief."), ("assistant", "a")]  # fmt: skip


@pytest.mark.parametrize("stated", ["bytes", "struct"])
def test_an_image_may_be_the_bytes_of_its_file(stated: str, tmp_path: Path) -> None:
    data = picture(0)
    image = data if stated == "bytes" else {"bytes": data, "path": "0.jpg"}
    path = written(tmp_path, [{"image": image, "text": json.dumps(TEXT)}], "parquet")
    with CaptureStore.open(tmp_path / "store", create=True) as store:
        intake.take_in(store, read(path, "rlhf-v"))
        [row] = store.rows()
        assert store.read_image(row.capture.images[0].file) == data


def _pairs(values: list[Capture]) -> list[Capture]:
    return [value for value in values if value.rejected is not None]


@each_form
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.lists(captures(), min_size=1, max_size=4))
def test_exported_pairs_import_to_the_same_captures(form: str, values: list[Capture]) -> None:
    if form == "rlhf-v":  # one question a row
        values = [v for v in values if sum(m.role == "user" for m in v.messages) == 1]
    with TemporaryDirectory() as name:
        folder = Path(name)
        with filled(folder / "one", *values, pictures=PICTURES) as one:
            done = exporting.export(one, folder / "rows.x", form=form)
            wanted = [row.id for row in one.rows() if row.capture.rejected is not None]
            assert (done.captures, done.left_out) == (len(wanted), len(one) - len(wanted))
            if not wanted:
                return
            with CaptureStore.open(folder / "two", create=True) as two:
                intake.take_in(two, importers.rows(done.file, form=form, defaults=DEFAULTS))
                assert [row.id for row in two.rows()] == wanted


def test_a_capture_of_several_turns_is_no_row_of_rlhf_v(tmp_path: Path) -> None:
    one = capture(0, response="x", rejected="y")
    several = one._replace(messages=(*one.messages, *capture().messages), rejected="y")
    with filled(tmp_path / "s", several) as store, pytest.raises(Refused) as caught:
        exporting.export(store, tmp_path / "rows.jsonl", form="rlhf-v")
    assert caught.value.code == "E_EXPORT_SHAPE"
    assert not (tmp_path / "rows.jsonl").exists()
