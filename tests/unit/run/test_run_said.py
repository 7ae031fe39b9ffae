"""The file that keeps what somebody answers: whole rows only, and those of one question."""

from __future__ import annotations

from pathlib import Path

import pytest

from kolm.errors import Unreadable, Usage
from kolm.run.said import AnswersFile, Row

ASKED: dict[str, object] = {"url": "http://127.0.0.1/v1", "model": "m", "max_new_tokens": 8}


def row(case: str, output: str = "red") -> Row:
    return {"case": case, "output": output, "tokens": 1, "finish": "stop", "said_by": "m-1"}


def test_what_was_answered_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    with AnswersFile(path, ASKED) as kept:
        kept.add(row("a"))
        kept.add(row("b", "blue"))
        first = kept.digest(["b", "a"])
    with AnswersFile(path, ASKED) as kept:
        assert "a" in kept
        assert "c" not in kept
        assert kept.said(["b"]) == {"b": {"output": "blue", "tokens": 1, "finish": "stop"}}
        assert kept.said_by(["a", "b"]) == ["m-1"]
        assert kept.digest(["a", "b"]) == first
        assert kept.digest(["a"]) != first


@pytest.mark.parametrize("lost", [1, 5, 30])
def test_half_a_row_at_the_end_is_asked_for_again(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "said.jsonl"
    with AnswersFile(path, ASKED) as kept:
        kept.add(row("a"))
        kept.add(row("b"))
    path.write_bytes(path.read_bytes()[:-lost])
    with AnswersFile(path, ASKED) as kept:
        assert "a" in kept
        assert "b" not in kept
        kept.add(row("b", "green"))
    with AnswersFile(path, ASKED) as kept:
        assert kept.said(["a", "b"])["b"]["output"] == "green"


def test_a_first_line_that_was_cut_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    path.write_bytes(b'{"max_new')
    with AnswersFile(path, ASKED) as kept:
        kept.add(row("a"))
    with AnswersFile(path, ASKED) as kept:
        assert "a" in kept


def test_answers_to_something_else_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    with AnswersFile(path, ASKED) as kept:
        kept.add(row("a"))
    before = path.read_bytes()
    with pytest.raises(Usage) as caught, AnswersFile(path, {**ASKED, "model": "n"}):
        pass
    assert caught.value.code == "E_ANSWERS_OTHER"
    assert path.read_bytes() == before


def test_a_row_of_another_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    with AnswersFile(path, ASKED) as kept:
        kept.add(row("a"))
    for wrong in (
        b"7\n",
        b'{"case":"b"}\n',
        b'{"case":"b","finish":"stop","output":7,"tokens":1}\n',
    ):
        path.write_bytes(path.read_bytes() + wrong)
        with pytest.raises(Unreadable) as caught, AnswersFile(path, ASKED):
            pass
        assert caught.value.code == "E_ANSWERS_BROKEN"
        path.write_bytes(path.read_bytes()[: -len(wrong)])


@pytest.mark.parametrize("data", [b"words\n", b"{}\n", b'{"b":1,"a":1}\n', b"\xff\n"])
def test_another_file_is_left_alone(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    with pytest.raises((Usage, Unreadable)) as caught, AnswersFile(path, ASKED):
        pass
    assert caught.value.code in ("E_ANSWERS_OTHER", "E_ANSWERS_BROKEN")
    assert path.read_bytes() == data
