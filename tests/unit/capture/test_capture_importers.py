"""Rows of every format become drafts; what is wrong with a row is said with its place."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from kolm.capture import file_limits, importers, intake, limits, rows, shapes
from kolm.capture.drafts import BadRow, Defaults, Draft, FileImage, InlineImage
from kolm.capture.store import CaptureStore
from kolm.errors import Refused, Unreadable
from kolm.records.capture import ImagePart, Source, TextPart
from tests.support.pictures import DEFAULTS, good, picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(picture(number))
    (tmp_path / "in" / "sub" / "3.png").write_bytes(picture(3))
    (tmp_path / "secret.png").write_bytes(picture(4))
    return tmp_path / "in"


def read(path: Path, content: Any, **options: Any) -> list[Draft | BadRow]:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
    else:
        path.write_text(json.dumps(content))
    return list(importers.rows(path, defaults=DEFAULTS, **options))


def row(**changes: Any) -> dict[str, Any]:
    return {"image": "0.png", "prompt": "what?", "response": "this", **changes}


def turn(speaker: str, value: str) -> dict[str, str]:
    return {"from": speaker, "value": value}


def llava(*values: str, **changes: Any) -> dict[str, Any]:
    speakers = ["human", "gpt"] * len(values)
    said = [turn(speaker, value) for speaker, value in zip(speakers, values, strict=False)]
    return {"id": "7", "image": "0.png", "conversations": said, **changes}


def reason(found: list[Draft | BadRow]) -> BadRow:
    assert len(found) == 1
    assert isinstance(found[0], BadRow)
    return found[0]


def shape(draft: Draft) -> list[Any]:
    return [
        (m.role, [p.text if isinstance(p, TextPart) else p.image for p in m.content])
        for m in draft.messages
    ]


def test_a_prompt_and_response_row_shows_its_images_first(folder: Path) -> None:
    [draft] = good(read(folder / "r.jsonl", [row(image=["0.png", "sub/3.png"], tags=["b", "a"])]))
    assert shape(draft) == [("user", [0, 1, "what?"]), ("assistant", ["this"])]
    assert draft.images == (
        FileImage(path=folder / "0.png"),
        FileImage(path=folder / "sub" / "3.png"),
    )
    assert draft.tags == ("a", "b")
    assert draft.where == "r.jsonl:1"


def test_an_image_is_a_path_a_data_uri_or_base64(folder: Path) -> None:
    plain = base64.b64encode(picture(0)).decode()
    named = [row(), row(image=f"data:image/png;base64,{plain}"), row(image=plain)]
    drafts = good(read(folder / "r.jsonl", named))
    assert isinstance(drafts[0].images[0], FileImage)
    for draft in drafts[1:]:
        assert draft.images == (InlineImage(data=picture(0)),)


def test_what_a_string_means_does_not_depend_on_the_disk(folder: Path) -> None:
    plain = base64.b64encode(picture(0)).decode()
    (folder / plain[:40]).write_bytes(picture(1))
    [draft] = good(read(folder / "r.jsonl", [row(image=plain[:40])]))
    assert isinstance(draft.images[0], InlineImage)


@pytest.mark.parametrize(
    ("image", "code"),
    [
        ("../secret.png", "E_IMAGE_PATH"),
        ("\ud800.png", "E_JSON_VALUE"),
        ("sub/../../secret.png", "E_IMAGE_PATH"),
        ("/etc/hostname", "E_IMAGE_PATH"),
        ("link.png", "E_IMAGE_PATH"),
        ("a\0b", "E_IMAGE_PATH"),
        ([""], "E_IMAGE_PATH"),
        ("https://example.org/a.png", "E_IMAGE_PATH"),
        ("x" * 5000, "E_IMAGE_BASE64"),
        ("data:image/png;base64,@@@@", "E_IMAGE_BASE64"),
        ("data:image/png,abc", "E_IMAGE_BASE64"),
        ("data:text/html;base64,QUJD", "E_IMAGE_FORMAT"),
        (7, "E_ROW_FIELD"),
        ([None], "E_ROW_FIELD"),
    ],
)
def test_images_that_cannot_be_meant_are_refused(folder: Path, image: Any, code: str) -> None:
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    assert reason(read(folder / "r.jsonl", [row(image=image)])).code == code


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "sub" / "3.png")
    good(read(folder / "r.jsonl", [row(image="link.png")]))


def test_paths_are_relative_to_the_images_folder_when_one_is_named(folder: Path) -> None:
    [draft] = good(read(folder / "r.jsonl", [row(image="3.png")], images=folder / "sub"))
    assert draft.images == (FileImage(path=folder / "sub" / "3.png"),)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"respnse": "x"}, "E_ROW_UNKNOWN_KEY", "respnse"),
        ({"prompt": None}, "E_ROW_MISSING_KEY", "prompt"),
        ({"response": 4}, "E_ROW_FIELD", "response"),
        ({"split": "holdout"}, "E_ROW_FIELD", "test"),
        ({"tags": "a"}, "E_ROW_FIELD", "tags"),
        ({"source": {"kind": "x"}}, "E_ROW_FIELD", "source"),
        ({"corrections": [{"start": 0}]}, "E_ROW_FIELD", "corrections"),
        ({"corrections": [{"start": 0.5, "end": 1, "replacement": ""}]}, "E_ROW_FIELD", "whole"),
        ({"messages": []}, "E_ROW_FIELD", "too"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, changes: Any, code: str, said: str) -> None:
    bad = reason(read(folder / "r.jsonl", [row(**changes)]))
    assert (bad.code, bad.where) == (code, "r.jsonl:1")
    assert said in bad.reason


def test_the_nearest_key_is_suggested() -> None:
    with pytest.raises(Refused) as caught:
        shapes.draft_of(row(respnse="x"), lambda *_: None, DEFAULTS, where="r:1")  # type: ignore[arg-type,return-value]
    assert "did you mean 'response'?" in caught.value.hint


def test_a_name_that_resembles_none_is_answered_with_all_names(folder: Path) -> None:
    found = reason(read(folder / "rows.jsonl", [row(confidence=1)]))
    assert "did you mean" not in found.expected + found.hint
    assert "prompt" in found.expected
    assert "--ignore-key confidence" in found.hint


def test_each_kind_of_bad_row_keeps_its_hint(folder: Path, tmp_path: Path) -> None:
    path = folder / "rows.jsonl"
    wrong = [row(image="gone.png"), row(response=4), row(confidence=1)]
    path.write_text("".join(json.dumps(one) + "\n" for one in wrong))
    with (
        CaptureStore.open(tmp_path / "store", create=True) as store,
        pytest.raises(Refused) as refused,
    ):
        intake.take_in(store, importers.rows(path, defaults=DEFAULTS))
    assert refused.value.code == "E_IMPORT_BAD_ROWS"
    assert "--coerce" in refused.value.hint
    assert "--ignore-key confidence" in refused.value.hint
    assert "--skip-bad" in refused.value.hint
    assert refused.value.expected == ""  # what one row wants is not what all of them want


def test_a_marker_of_another_format_is_named_once(folder: Path) -> None:
    bad = reason(read(folder / "r.jsonl", [row(prompt="<|image_pad|>what?")]))
    assert (bad.code, bad.reason.count("<|image_pad|>")) == ("E_ROW_MARKER", 1)


def test_what_helps_some_bad_rows_stands_on_its_own_line_with_them(
    folder: Path, tmp_path: Path
) -> None:
    path = folder / "rows.jsonl"
    wrong = [row(response=4), row(confidence=1), row(response=5), row(response=""), row()]
    path.write_text("".join(json.dumps(one) + "\n" for one in wrong))
    with (
        CaptureStore.open(tmp_path / "store", create=True) as store,
        pytest.raises(Refused) as refused,
    ):
        intake.take_in(store, importers.rows(path, defaults=DEFAULTS))
    coerced, ignored, last = refused.value.hint.split("\n")
    assert coerced == "rows.jsonl:1, 3: --coerce takes numbers, true and false"
    assert ignored.startswith("rows.jsonl:2: what is not needed: --ignore-key confidence")
    assert last == "mend the rows, or leave them out with --skip-bad"


@pytest.mark.parametrize("image", [[], None, ""])
def test_a_row_may_be_text_only(folder: Path, image: Any) -> None:
    bare = row()
    del bare["image"]
    for one in (bare, row(image=image)):
        [draft] = good(read(folder / "r.jsonl", [one]))
        assert shape(draft)[0] == ("user", ["what?"])


@pytest.mark.parametrize(
    "line", ["{", "[1]", '{"image":"a","image":"b"}', '{"prompt":NaN}', "\xff", '{"a":' * 40]
)
def test_lines_that_are_no_rows_are_named(folder: Path, line: str) -> None:
    path = folder / "r.jsonl"
    path.write_bytes(b"\n" + line.encode("latin-1") + b"\n" + json.dumps(row()).encode())
    bad, fine = importers.rows(path, defaults=DEFAULTS)
    assert isinstance(bad, BadRow)
    assert bad.where == "r.jsonl:2"
    assert isinstance(fine, Draft)
    assert fine.where == "r.jsonl:3"


def test_a_row_over_its_limit_is_left_behind_and_the_next_one_read(
    folder: Path, monkeypatch
) -> None:
    monkeypatch.setattr(file_limits, "MAX_ROW_BYTES", 200)
    found = read(folder / "r.jsonl", [row(prompt="x" * 900), row()])
    assert isinstance(found[0], BadRow)
    assert found[0].code == "E_ROW_TOO_LONG"
    assert isinstance(found[1], Draft)


def test_a_byte_order_mark_and_windows_line_ends_are_taken(folder: Path) -> None:
    path = folder / "r.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(row()).encode() + b"\r\n\r\n")
    assert len(good(list(importers.rows(path, defaults=DEFAULTS)))) == 1


def test_control_text_in_a_prompt_is_data(folder: Path) -> None:
    text = "<|im_end|> <image> \u0007"
    [draft] = good(read(folder / "r.jsonl", [row(prompt=text, placeholder="<picture>")]))
    assert shape(draft)[0] == ("user", [0, text])


def test_a_messages_row_says_where_images_stand(folder: Path) -> None:
    parts = [{"type": "text", "text": "see"}, {"type": "image", "image": 0}]
    said = [{"role": "user", "content": parts}, {"role": "assistant", "content": "yes"}]
    [draft] = good(read(folder / "r.jsonl", [{"image": "0.png", "messages": said}]))
    assert shape(draft) == [("user", ["see", 0]), ("assistant", ["yes"])]


@pytest.mark.parametrize(
    "said",
    [
        "hello", [1], [{"role": "user"}], [{"role": "robot", "content": "x"}],
        [{"role": "user", "content": []}], [{"role": "user", "content": [{"type": "video"}]}],
    ],
)  # fmt: skip
def test_wrong_messages_are_named(folder: Path, said: Any) -> None:
    found = reason(read(folder / "r.jsonl", [{"image": "0.png", "messages": said}]))
    assert found.code in ("E_ROW_FIELD", "E_JSON_SYNTAX")


def test_the_lesson_s_llava_rows_are_read(folder: Path) -> None:
    rows_ = [
        {"image": f"{number}.png", "conversations": [
            turn("user", "<image>\nWhat tools are on the workbench?"),
            turn("assistant", "A screwdriver and a multimeter."),
        ]}
        for number in range(2)
    ]  # fmt: skip
    drafts = good(read(folder / "r.json", rows_))
    assert [draft.where for draft in drafts] == ["r.json row 1", "r.json row 2"]
    assert shape(drafts[0]) == [
        ("user", [0, "What tools are on the workbench?"]),
        ("assistant", ["A screwdriver and a multimeter."]),
    ]


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("<image>\nwhat?", [0, "what?"]),
        ("what?\n<image>", ["what?", 0]),
        ("a <image> b", ["a ", 0, " b"]),
        ("<image>\n\nwhat?", [0, "\nwhat?"]),
        ("<image>", [0]),
        ("what?", [0, "what?"]),
    ],
)
def test_a_placeholder_is_the_place_of_an_image(folder: Path, value: str, parts: Any) -> None:
    [draft] = good(read(folder / "r.json", [llava(value, "yes")]))
    assert shape(draft)[0] == ("user", parts)


def test_several_images_over_several_turns(folder: Path) -> None:
    value = llava(
        "<image>\n<image>\nsame?", "no", "and\n<image>\n?", "yes", image=["0.png", "1.png", "2.png"]
    )
    [draft] = good(read(folder / "r.json", [value]))
    assert shape(draft) == [
        ("user", [0, 1, "same?"]),
        ("assistant", ["no"]),
        ("user", ["and", 2, "?"]),
        ("assistant", ["yes"]),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (llava("<image><image>", "x"), "E_CAPTURE_IMAGE_PLACES"),
        (llava("<image>", "x", image=[]), "E_CAPTURE_IMAGE_PLACES"),
        (llava("a", "b", conversation=[]), "E_ROW_UNKNOWN_KEY"),
        (llava("a", "b", image={"bytes": "0.png"}), "E_ROW_FIELD"),
        ({"image": "0.png"}, "E_ROW_MISSING_KEY"),
        ({"image": "0.png", "conversations": [turn("robot", "x")]}, "E_ROW_FIELD"),
        ({"image": "0.png", "conversations": [{"from": "human"}]}, "E_ROW_FIELD"),
        ("text", "E_ROW_FIELD"),
    ],
)
def test_wrong_conversations_are_named(folder: Path, value: Any, code: str) -> None:
    found = reason(read(folder / "r.json", [value]))
    assert (found.code, found.where) == (code, "r.json row 1")


def test_llava_rows_may_be_lines(folder: Path) -> None:
    found = good(read(folder / "r.jsonl", [llava("a", "b"), llava("c", "d")], form="llava"))
    assert [draft.where for draft in found] == ["r.jsonl:1", "r.jsonl:2"]


def test_a_broken_json_array_is_refused_whole(folder: Path) -> None:
    path = folder / "r.json"
    path.write_text('[{"image": "0.png",')
    with pytest.raises(Refused) as caught:
        list(importers.rows(path, defaults=DEFAULTS))
    assert caught.value.code == "E_JSON_SYNTAX"


def test_a_missing_file_could_not_be_looked_at(tmp_path: Path) -> None:
    with pytest.raises(Unreadable) as caught:
        importers.rows(tmp_path / "none.jsonl", defaults=DEFAULTS)
    assert caught.value.code == "E_IMPORT_FILE"


def test_defaults_fill_what_rows_do_not_say(folder: Path) -> None:
    defaults = Defaults(
        source=Source(kind="jsonl", name="n"), license="MIT", split="eval", tags=("z",)
    )
    path = folder / "r.jsonl"
    path.write_text(
        json.dumps(row()) + "\n" + json.dumps(row(license="CC0-1.0", split="train", tags=["a"]))
    )
    first, second = good(list(importers.rows(path, defaults=defaults)))
    assert (first.license, first.split, first.tags) == ("MIT", "eval", ("z",))
    assert (second.license, second.split, second.tags) == ("CC0-1.0", "train", ("a", "z"))


def test_python_rows_take_every_kind_of_image(folder: Path) -> None:
    from PIL import Image as Pillow

    opened = Pillow.open(folder / "0.png")
    named: list[Any] = [
        opened, folder / "0.png", str(folder / "0.png"), picture(0),
        base64.b64encode(picture(0)).decode(), [opened, opened],
    ]  # fmt: skip
    drafts = good(list(rows.from_python(row(image=image) for image in named)))
    opened.close()
    assert [len(draft.images) for draft in drafts] == [1, 1, 1, 1, 1, 2]
    # picture() is itself written by the same encoder, so its pixels give its bytes again.
    assert drafts[0].images[0] == InlineImage(data=picture(0))


def test_python_rows_that_are_wrong_are_named() -> None:
    found = list(rows.from_python([row(image=3.5), "text", row(image="no.png")]))  # type: ignore[list-item]
    assert [getattr(bad, "where", "") for bad in found] == ["row 1", "row 2", "row 3"]
    assert [isinstance(bad, BadRow) for bad in found] == [True, True, False]


def test_a_bad_row_stops_an_import_before_anything_is_added(folder: Path, tmp_path: Path) -> None:
    content = [row(), row(image="1.png", response=""), row(image="none.png"), row(image="2.png")]
    (folder / "2.png").write_bytes(b"no image")
    found = read(folder / "r.jsonl", content)
    with CaptureStore.open(tmp_path / "s", create=True) as store:
        with pytest.raises(Refused) as caught:
            intake.take_in(store, found)
        assert caught.value.code == "E_IMPORT_BAD_ROWS"
        for place in ("r.jsonl:2", "r.jsonl:3", "r.jsonl:4"):
            assert place in caught.value.found
        assert len(store) == 0
        assert list(store.blobs.names()) == []
        taken = intake.take_in(store, found, skip_bad=True)
        assert (taken.captures, taken.images, len(taken.refused)) == (1, 1, 3)
        intake.list_refused(taken, tmp_path / "refused.jsonl")
    listed = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [item["where"] for item in listed] == ["r.jsonl:2", "r.jsonl:3", "r.jsonl:4"]


def test_importing_twice_adds_nothing(folder: Path, tmp_path: Path) -> None:
    content = [row(), row(image="1.png"), row(image="1.png")]
    with CaptureStore.open(tmp_path / "s", create=True) as store:
        first = intake.take_in(store, read(folder / "r.jsonl", content))
        assert (first.captures, first.known, first.images) == (2, 1, 2)
        again = intake.take_in(store, read(folder / "r.jsonl", content))
        assert (again.captures, again.known, again.images) == (0, 3, 0)


def test_an_image_that_many_rows_show_is_read_once(
    folder: Path, tmp_path: Path, monkeypatch
) -> None:
    seen: list[object] = []
    original = intake.sources.load
    monkeypatch.setattr(
        intake.sources,
        "load",
        lambda source, where: (seen.append(source), original(source, where=where))[1],
    )
    content = [row(prompt=f"{number}?") for number in range(20)]
    with CaptureStore.open(tmp_path / "s", create=True) as store:
        intake.take_in(store, read(folder / "r.jsonl", content))
    assert len(seen) == 1


def test_a_device_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    path = tmp_path / "r.jsonl"
    path.write_text(f"{json.dumps(row(image='pipe.png'))}\n{json.dumps(row(image=[]))}\n")
    with CaptureStore.open(tmp_path / "s", create=True) as store:
        taken = intake.take_in(store, importers.rows(path, defaults=DEFAULTS), skip_bad=True)
    assert [bad.code for bad in taken.refused] == ["E_IMAGE_PATH"]


def test_a_row_with_too_many_images_is_refused(folder: Path, tmp_path: Path) -> None:
    content = [row(image=["0.png"] * (limits.MAX_IMAGES + 1)), row()]
    with CaptureStore.open(tmp_path / "s", create=True) as store:
        taken = intake.take_in(store, read(folder / "r.jsonl", content), skip_bad=True)
    assert [bad.code for bad in taken.refused] == ["E_CAPTURE_RULE"]


def test_parts_of_a_draft_are_images_or_texts(folder: Path) -> None:
    [draft] = good(read(folder / "r.jsonl", [row()]))
    assert isinstance(draft.messages[0].content[0], ImagePart)


# How a row writes the name of a file, the files there are, and which one is meant, if any.
COMPOSED, TAKEN_APART = "caf\u00e9.png", "cafe\u0301.png"


@pytest.mark.parametrize(
    ("named", "files", "meant"),
    [
        (COMPOSED, [TAKEN_APART], TAKEN_APART),
        (TAKEN_APART, [COMPOSED], COMPOSED),
        (f"sub-{COMPOSED}/a.png", [f"sub-{TAKEN_APART}/a.png"], f"sub-{TAKEN_APART}/a.png"),
        ("a%20b.png", ["a b.png"], "a b.png"),
        ("caf%C3%A9.png", [TAKEN_APART], TAKEN_APART),
        ("a\\b.png", ["a/b.png"], "a/b.png"),
        ("a%20b.png", ["a b.png", "a%20b.png"], "a%20b.png"),
        (COMPOSED, [COMPOSED, TAKEN_APART], COMPOSED),
        ("a\u030a\u0323.png", ["\u1ea1\u030a.png", "\u00e5\u0323.png"], None),  # two fit
        ("A.png", ["a.png"], None),
        ("%2e%2e/secret.png", [], None),
        ("a%00.png", [], None),
        ("x" * 300 + ".png", [], None),
    ],
)
def test_a_name_that_is_written_otherwise_finds_the_one_file_it_can_mean(
    named: str, files: list[str], meant: str | None, tmp_path: Path
) -> None:
    root, store = tmp_path / "rows", tmp_path / "store"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(picture(9))
    for number, name in enumerate(files):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(picture(number))
    [draft] = good(read(root / "r.jsonl", [row(image=named)]))
    [source] = draft.images
    assert isinstance(source, FileImage)
    if meant is None:
        with CaptureStore.open(store, create=True) as opened, pytest.raises(Refused) as caught:
            intake.take_in(opened, [draft])
        assert caught.value.code == "E_IMAGE_FILE"
        return
    assert source.path == root / meant
    assert bool(draft.told) == (named != meant)


def test_a_way_out_of_the_folder_is_none_in_any_spelling(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.png").write_bytes(picture(9))
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    for name in ("link%2Fsecret.png", "link\\secret.png"):
        assert reason(read(tmp_path / "in" / "r.jsonl", [row(image=name)])).code == "E_IMAGE_PATH"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_end_as_any_system_ends_them(end: bytes, last: bool, folder: Path) -> None:
    written = [json.dumps(row(prompt=f"{number}?")).encode() for number in range(3)]
    (folder / "r.jsonl").write_bytes(end.join([*written, b""] if last else written))
    drafts = good(list(importers.rows(folder / "r.jsonl", defaults=DEFAULTS)))
    assert [draft.where for draft in drafts] == ["r.jsonl:1", "r.jsonl:2", "r.jsonl:3"]


def test_a_table_s_lines_may_end_in_returns_alone(folder: Path) -> None:
    (folder / "r.csv").write_bytes(b"image,prompt,response\r0.png,a?,b\r1.png,c?,d\r")
    assert len(good(list(importers.rows(folder / "r.csv", defaults=DEFAULTS)))) == 2


def test_a_line_over_its_limit_that_ends_in_a_return_costs_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_limits, "MAX_ROW_BYTES", 200)
    written = [json.dumps(row(prompt="x" * size)).encode() for size in (10, 900, 10)]
    (folder / "r.jsonl").write_bytes(b"\r".join(written))
    first, long, last = importers.rows(folder / "r.jsonl", defaults=DEFAULTS)
    assert isinstance(long, BadRow)
    assert long.code == "E_ROW_TOO_LONG"
    assert (first.where, long.where, last.where) == ("r.jsonl:1", "r.jsonl:2", "r.jsonl:3")
    good([first, last])


@pytest.mark.parametrize("name", ["r.jsonl", "r.json"])
def test_a_number_of_any_size_may_stand_where_nothing_is_read(name: str, folder: Path) -> None:
    number = 12345678901234567890123
    [draft] = good(read(folder / name, [row(id=number)]))
    assert shape(draft)[-1] == ("assistant", ["this"])
    [draft] = good(
        list(
            importers.rows(
                _lines_of(folder, row(response=number)),
                defaults=Defaults(source=DEFAULTS.source, coerce=True),
            )
        )
    )
    assert shape(draft)[-1] == ("assistant", [str(number)])


def test_a_number_of_more_digits_than_python_reads_costs_its_row(folder: Path) -> None:
    found = list(importers.rows(_lines_of(folder, row(), id="9" * 5000), defaults=DEFAULTS))
    assert reason(found).code == "E_JSON_VALUE"


def _lines_of(folder: Path, value: dict[str, Any], **numbers: str) -> Path:
    path = folder / "numbers.jsonl"
    bare = "".join(f', "{key}": {digits}' for key, digits in numbers.items())
    path.write_text(json.dumps(value)[:-1] + bare + "}\n")
    return path


@pytest.mark.parametrize("value", [True, 4, 2.5])
def test_a_question_that_is_no_text_is_no_case_for_coerce(folder: Path, value: Any) -> None:
    bad = reason(read(folder / "r.jsonl", [row(prompt=value)]))
    assert (bad.code, bad.hint) == ("E_ROW_FIELD", "")


def test_answers_among_image_parts_are_coerced_too(folder: Path) -> None:
    asked = [{"type": "image", "image": 0}, {"type": "text", "text": "Is it?"}]
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": True}]
    value = {"image": "0.png", "messages": turns}
    assert "--coerce" in reason(read(folder / "r.jsonl", [value])).hint
    defaults = Defaults(source=DEFAULTS.source, coerce=True)
    [draft] = good(list(importers.rows(folder / "r.jsonl", defaults=defaults)))
    assert shape(draft)[-1] == ("assistant", ["true"])


@pytest.mark.parametrize(
    ("stated", "side"),
    [("test", "eval"), ("Test", "eval"), ("val", "validation"), ("dev", "validation")],
)
def test_sides_have_other_names_elsewhere(folder: Path, stated: str, side: str) -> None:
    [draft] = good(read(folder / "r.jsonl", [row(split=stated)]))
    assert draft.split == side


def test_what_follows_an_array_is_not_lost_in_silence(folder: Path) -> None:
    path = folder / "r.json"
    path.write_text(json.dumps([row()]) + "\n" + json.dumps([row(prompt="second?")]))
    with pytest.raises(Refused) as caught:
        list(importers.rows(path, defaults=DEFAULTS))
    assert "follows" in caught.value.message


def test_an_array_among_lines_is_told_how_to_be_read(folder: Path) -> None:
    (folder / "r.jsonl").write_text(json.dumps([row()]) + "\n")
    bad = reason(list(importers.rows(folder / "r.jsonl", defaults=DEFAULTS)))
    assert "--format llava" in bad.hint


def test_the_guide_lists_every_word_for_whose_turn_it_is() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "capture.md").read_text()
    [told] = [part for part in guide.split("\n\n") if part.startswith("Whose turn it is")]
    assert {word for word in shapes.ROLES if f"`{word}`" in told} == set(shapes.ROLES)
