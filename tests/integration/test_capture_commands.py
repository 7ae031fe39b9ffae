"""The `kolm capture` commands, as a script sees them."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from kolm.capture import database
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Unreadable
from tests.support.commands import invoke
from tests.support.pictures import picture


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    return tmp_path


def call(*arguments: str) -> dict[str, Any]:
    """The JSON answer of a command that succeeds; it fits its schema."""
    ran = invoke("--json", "capture", *arguments)
    assert ran.code == 0, ran.stderr
    return ran.document()


def say(*arguments: str) -> str:
    """What a command says to people."""
    ran = invoke("capture", *arguments)
    assert ran.code == 0, ran.stderr
    return ran.stdout


def refusal(exit_code: int, *arguments: str) -> dict[str, str]:
    """The error of a command that fails."""
    ran = invoke("--json", "capture", *arguments)
    assert ran.code == exit_code, ran.stderr
    if exit_code != 1:
        return ran.error()
    answer: dict[str, str] = json.loads(ran.stdout)["error"]  # a no is an answer
    return answer


def rows(count: int = 12, **changes: Any) -> list[dict[str, Any]]:
    return [
        {"image": f"{n}.png", "prompt": f"{n}?", "response": "this", **changes}
        for n in range(count)
    ]


def write(name: str, content: list[dict[str, Any]]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in content))
    return name


def test_add_takes_one_capture_with_several_images() -> None:
    words = ["--license", "MIT", "--split", "train"]
    asked = ["--image", "0.png", "--image", "1.png", "--prompt", "same?", "--response", "no"]
    answer = call("add", *asked, "--tag", "b", "--tag", "a", *words)
    assert (answer["captures"], answer["images"], answer["total"]) == (1, 2, 1)
    assert call("add", *asked, "--tag", "a", "--tag", "b", *words)["known"] == 1
    with CaptureStore.open(Path("captures")) as store:
        [stored] = store.rows()
    assert stored.capture.tags == ("a", "b")
    assert stored.capture.source.kind == "add"


def test_add_refuses_with_the_row_s_own_code() -> None:
    Path("broken.png").write_bytes(b"not a picture")
    found = refusal(1, "add", "--image", "broken.png", "--prompt", "x", "--response", "y")
    assert found["code"] == "E_IMAGE_FORMAT"


def test_import_export_import_gives_the_same_snapshot() -> None:
    name = write("rows.jsonl", rows())
    assert call("import", name)["captures"] == 12
    digests = {call("snapshot", "--split", "hash")["digest"]}
    for file in ("out.json", "out.jsonl"):
        exported = call("export", file)
        assert (exported["captures"], exported["images"]) == (12, 12)
        call("import", file, "--store", f"from-{file}")
        digests.add(call("snapshot", "--split", "hash", "--store", f"from-{file}")["digest"])
    assert len(digests) == 1


def test_a_bad_row_is_named_and_nothing_is_added() -> None:
    name = write("rows.jsonl", [*rows(3), {"image": "0.png", "prompt": "x", "response": ""}])
    found = refusal(1, "import", name)
    assert found["code"] == "E_IMPORT_BAD_ROWS"
    assert "rows.jsonl:4" in found["found"]
    assert not Path("captures").exists()


def test_rows_that_fail_alike_are_one_line_with_what_to_add_to_the_command() -> None:
    bad = [{"file_name": f"{n}.png", "Question": "what?", "Answer": "this"} for n in range(30)]
    found = refusal(1, "import", write("rows.jsonl", bad))
    assert found["found"] == (
        "rows.jsonl:1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 20 more: "
        "the row has unknown keys 'Question', 'Answer' [E_ROW_UNKNOWN_KEY]"
    )
    added = "--rename Question=question --rename Answer=answer"
    assert added in found["hint"]
    assert call("import", write("few.jsonl", bad[:12]), *added.split())["captures"] == 12


def test_pictures_that_are_not_there_are_one_line_with_the_folder_to_name() -> None:
    rows = [{"image": f"far/{n}.png", "prompt": "what?", "response": "this"} for n in range(30)]
    found = refusal(1, "import", write("rows.jsonl", rows))
    assert found["found"].count("\n") == 0
    assert found["found"].startswith("rows.jsonl:1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 20 more: ")
    assert "far/0.png" in found["found"]
    assert "--images DIR" in found["hint"]


def test_kinds_of_bad_rows_beyond_those_shown_are_counted() -> None:
    bad = [{"image": "0.png", "prompt": "what?", "response": number} for number in range(30)]
    lines = refusal(1, "import", write("rows.jsonl", [*bad, bad[0]]))["found"].splitlines()
    assert lines[0].startswith("rows.jsonl:1, 31: 'response' is not a text (found 0)")
    assert len(lines) == 21
    assert lines[-1] == "and 10 other rows"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"GIF89a", "a GIF picture"),
        (b"\0\0\0\x18ftypheic", "a HEIC or AVIF picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"hello", "bytes that begin with 68 65"),
    ],
)
def test_a_picture_that_is_not_taken_is_named_with_its_kind(start: bytes, kind: str) -> None:
    Path("mine.png").write_bytes(start + bytes(64))
    asked = [{"image": "mine.png", "prompt": "what?", "response": "this"}]
    found = refusal(1, "import", write("rows.jsonl", asked))
    assert found["message"].startswith("mine.png: not an image in a known format")
    assert kind in found["message"]


def test_what_is_no_file_of_rows_says_so() -> None:
    found = refusal(1, "import", "0.png")
    assert "is this a file of rows" in found["hint"]
    Path("empty.jsonl").touch()
    assert refusal(1, "import", "empty.jsonl")["where"] == "empty.jsonl"


def test_a_folder_of_pictures_alone_is_sent_to_the_template() -> None:
    Path("shots").mkdir()
    Path("shots/a.png").write_bytes(picture(1))
    hint = refusal(3, "import", "shots")["hint"]
    assert "kolm capture template shots --prompt TEXT" in hint


@pytest.mark.parametrize("more", [(), ("--skip-bad",)])
def test_a_store_that_nothing_could_be_added_to_is_not_left_behind(more: tuple[str, ...]) -> None:
    bad = write("bad.jsonl", rows(2, image="none.png"))
    assert refusal(1, "import", bad, *more)["code"] == "E_IMPORT_BAD_ROWS"
    assert not Path("captures").exists()
    call("import", write("rows.jsonl", rows(1)))
    refusal(1, "import", bad, *more)
    assert call("stats")["captures"] == 1


def test_a_store_that_somebody_has_open_is_not_discarded(folder: Path) -> None:
    with CaptureStore.open(folder / "new", create=True), CaptureStore.open(folder / "new") as other:
        other.discard_if_empty()
    assert (folder / "new" / "captures.db").is_file()
    with CaptureStore.open(folder / "new") as alone:
        alone.discard_if_empty()
    assert not (folder / "new").exists()


def test_nobody_opens_a_store_that_is_about_to_be_discarded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows would be in a file that is gone."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    with CaptureStore.open(folder / "new", create=True) as first:
        assert database.lock_alone(first._connection)
        with pytest.raises(Unreadable) as caught:
            CaptureStore.open(folder / "new")
    assert caught.value.code == "E_STORE_BUSY"
    CaptureStore.open(folder / "new").close()


@pytest.mark.parametrize("others", [(), ("notes.txt",)])
def test_who_waits_for_a_store_that_is_discarded_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...]
) -> None:
    enter = database._enter_wal

    def late(connection: sqlite3.Connection) -> None:
        """The file is open already, and nothing of it is locked yet."""
        monkeypatch.setattr(database, "_enter_wal", enter)
        first.discard_if_empty()
        first.close()
        enter(connection)

    (folder / "new").mkdir()
    for name in others:
        (folder / "new" / name).touch()
    with CaptureStore.open(folder / "new", create=True) as first:
        monkeypatch.setattr(database, "_enter_wal", late)
        with pytest.raises(KolmError):
            CaptureStore.open(folder / "new", create=True)


def test_skip_bad_takes_the_rest_and_lists_the_refused() -> None:
    name = write("rows.jsonl", [*rows(3), {"image": "0.png", "prompt": "x", "response": ""}])
    answer = call("import", name, "--skip-bad")
    assert answer["captures"] == 3
    assert [bad["where"] for bad in answer["refused"]] == ["rows.jsonl:4"]
    listed = Path(answer["refused_file"]).read_text().splitlines()
    assert [json.loads(line) for line in listed] == answer["refused"]


def test_a_missing_file_could_not_be_looked_at_and_makes_no_store() -> None:
    assert refusal(3, "add", "--image", "none.png", "--prompt", "a", "--response", "b")["code"] == (
        "E_FILE_MISSING"
    )
    assert refusal(3, "import", "none.jsonl")["code"] == "E_IMPORT_FILE"
    assert not Path("captures").exists()


def test_people_are_told_in_words() -> None:
    name = write("rows.jsonl", rows(split="train", tags=["t"], license="MIT"))
    assert "12 captures and 12 images added to captures" in say("import", name)
    told = say("stats")
    for part in ("captures    12", "train 12", "jsonl: rows.jsonl 12", "MIT 12", "t 12"):
        assert part in told
    assert "train" in say("snapshot", "--split", "hash")
    assert "12 captures in out.jsonl" in say("export", "out.jsonl")


def test_a_store_that_is_not_there_is_not_made_by_looking() -> None:
    for verb in ("stats", "snapshot"):
        assert refusal(3, verb)["code"] == "E_STORE_MISSING"
    assert refusal(3, "export", "x.jsonl")["code"] == "E_STORE_MISSING"
    assert not Path("captures").exists()


def test_a_snapshot_s_shares_are_numbers() -> None:
    assert refusal(2, "snapshot", "--eval", "much")["code"] == "E_SNAPSHOT_RULE"


def test_without_an_image_library_no_store_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("rows.jsonl", rows(1))
    monkeypatch.setitem(sys.modules, "PIL", None)
    added = refusal(6, "add", "--image", "0.png", "--prompt", "?", "--response", "this")
    assert added["code"] == refusal(6, "import", file)["code"] == "E_EXTRA_MISSING"
    assert not Path("captures").exists()


def test_captures_are_called_by_file_and_row() -> None:
    call("import", write("pairs.jsonl", rows(11)))
    listed = call("list")["captures"]
    assert [row["name"] for row in listed] == [f"pairs.jsonl:{n}" for n in range(1, 12)]
    assert [row["prompt"] for row in listed] == [f"{n}?" for n in range(11)]
    assert "pairs.jsonl:1 " in say("list", "--limit", "1")
    assert "and 10 more" in say("list", "--limit", "1")
    third = listed[2]
    for called in ("pairs.jsonl:3", third["id"], third["id"][7:15]):
        shown = call("show", called)
        assert (shown["id"], shown["name"]) == (third["id"], "pairs.jsonl:3")
        assert shown["capture"]["messages"][0]["content"][1]["text"] == "2?"
        assert Path(shown["image_files"][0]).read_bytes() == Path("2.png").read_bytes()
    assert "2?" in say("show", "pairs.jsonl:3")


def test_the_name_is_no_part_of_a_capture() -> None:
    call("import", write("pairs.jsonl", rows(2)))
    first = [row["id"] for row in call("list")["captures"]]
    Path("elsewhere").mkdir()
    for number in range(2):
        Path(f"elsewhere/{number}.png").write_bytes(picture(number))
    moved = write("elsewhere/pairs.jsonl", rows(2)[::-1])
    call("import", moved, "--store", "other")
    again = call("list", "--store", "other")["captures"]
    assert [row["id"] for row in again] == first[::-1]


def test_messages_call_captures_by_file_and_row() -> None:
    one = {"image": "0.png", "prompt": "which?", "response": "this"}
    call("import", write("pairs.jsonl", [one, {**one, "response": "that"}, *rows(4)]))
    error = refusal(1, "snapshot", "--split", "hash")
    assert error["code"] == "E_CAPTURE_CONTRADICTION"
    assert error["where"].startswith("capture pairs.jsonl:")
    assert "pairs.jsonl:1 (sha256:" in error["found"]
    assert "pairs.jsonl:2 (sha256:" in error["found"]


def test_captures_are_removed_with_images_that_nobody_shows() -> None:
    twice = {"image": "0.png", "prompt": "and?", "response": "that"}
    call("import", write("pairs.jsonl", [*rows(3), twice]))
    assert call("remove", "pairs.jsonl:1", "pairs.jsonl:2") == {
        "schema": "urn:kolm:cli-capture-remove:v1",
        "store": "captures",
        "captures": 2,
        "images": 1,
        "total": 2,
    }
    assert call("verify")["image_files"] == 2
    assert refusal(3, "show", "pairs.jsonl:1")["code"] == "E_STORE_NO_CAPTURE"
    assert [row["name"] for row in call("list")["captures"]] == ["pairs.jsonl:3", "pairs.jsonl:4"]
    assert call("import", "pairs.jsonl")["captures"] == 2


def test_one_unknown_capture_removes_none() -> None:
    call("import", write("pairs.jsonl", rows(3)))
    assert refusal(3, "remove", "pairs.jsonl:1", "pairs.jsonl:9")["code"] == "E_STORE_NO_CAPTURE"
    assert len(call("list")["captures"]) == 3


def test_a_name_of_two_captures_is_refused() -> None:
    call("import", write("pairs.jsonl", rows(1)))
    call("import", write("pairs.jsonl", rows(2)[1:]))
    assert refusal(2, "remove", "pairs.jsonl:1")["code"] == "E_STORE_SEVERAL_CAPTURES"


def test_a_damaged_image_is_found_by_verify() -> None:
    call("import", write("pairs.jsonl", rows(3)))
    assert call("verify")["captures"] == 3
    [file] = call("show", "pairs.jsonl:2")["image_files"]
    Path(file).chmod(0o644)
    Path(file).write_bytes(b"other")
    assert refusal(1, "verify")["code"] == "E_STORE_DAMAGED"


def test_captures_that_would_join_many_groups_are_counted() -> None:
    joining = {"image": [f"{n}.png" for n in range(12)], "prompt": "all?", "response": "no"}
    call("import", write("pairs.jsonl", [*rows(12), joining]))
    taken = call("snapshot", "--split", "hash", "--eval", "0.3", "--near-duplicates", "report")
    assert taken["snapshot"]["splits"]["none"] == {"captures": 1, "images": 12}
    said = say("snapshot", "--split", "hash", "--eval", "0.3", "--near-duplicates", "report")
    assert "left out   1 capture that" in said
    assert taken["on_no_side"][0].startswith("pairs.jsonl:13 (sha256:")
    assert "pairs.jsonl:13" in said


def test_near_twins_are_refused_counted_left_out_or_kept_on_one_side() -> None:
    """Two photographs of one thing: the same pixels but for a shade."""
    for name, shade in (("scored.png", 200), ("learned.png", 202)):
        made = Pillow.linear_gradient("L").resize((64, 64)).convert("RGB")
        made.paste((shade, 0, 0), (8, 8, 40, 40))
        made.save(name)
    sides = {"scored.png": "eval", "learned.png": "train"}
    twins = [
        {"image": name, "prompt": "twin?", "response": "yes", "split": side}
        for name, side in sides.items()
    ]
    call("import", write("pairs.jsonl", [*rows(12, split="train"), *twins]))
    frozen = ("snapshot", "--validation", "0", "--near-duplicates")
    assert refusal(1, *frozen, "refuse")["code"] == "E_SNAPSHOT_NEAR_DUPLICATES"
    counted = call(*frozen, "report")["snapshot"]
    assert counted["near_duplicates"]["across_splits"] == 1
    dropped = call(*frozen, "drop")
    assert dropped["snapshot"]["near_duplicates"]["dropped"] == 1
    assert dropped["snapshot"]["splits"]["none"]["captures"] == 1
    assert dropped["on_no_side"][0].startswith("pairs.jsonl:14 (sha256:")
    for share in ("0.1", "0.3", "0.5", "0.7"):
        grouped = call(*frozen, "group", "--split", "hash", "--eval", share)["snapshot"]
        assert grouped["near_duplicates"]["across_splits"] == 0
        assert grouped["splits"]["none"]["captures"] == 0
    assert refusal(2, *frozen, "group")["code"] == "E_SNAPSHOT_RULE"


@pytest.mark.parametrize(
    ("second", "code"),
    [
        ({"split": None}, "E_SNAPSHOT_NO_OFFICIAL_SPLIT"),
        ({"split": "train"}, "E_SNAPSHOT_IMAGE_ON_TWO_SIDES"),
        ({"response": "that"}, "E_CAPTURE_CONTRADICTION"),
        ({"tags": ["again"]}, "E_CAPTURE_REPEATED"),
    ],
)
def test_a_snapshot_that_is_refused_names_file_and_row(second: dict[str, Any], code: str) -> None:
    first, other = rows(2, split="eval")
    learned = {**other, "split": "train"}
    call("import", write("pairs.jsonl", [first, {**first, **second}, learned]))
    refused = refusal(1, "snapshot")
    assert refused["code"] == code
    assert refused["where"].startswith("capture pairs.jsonl:")
    assert "pairs.jsonl:2 (sha256:" in refused["found"]
