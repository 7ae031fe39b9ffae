"""Errors: how they look, and which exit code each ends in."""

from __future__ import annotations

import errno
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kolm import errors
from kolm.cli import exit_codes, failure
from kolm.cli.commands import check, env
from kolm.cli.exit_codes import MEANINGS, ExitCode, code_of, code_of_family
from tests.support.commands import Ran, invoke


def test_the_numbers_are_frozen() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "NO": 1,
        "USAGE": 2,
        "COULD_NOT_LOOK": 3,
        "DENIED": 4,
        "NETWORK": 5,
        "ENVIRONMENT": 6,
        "BUG": 70,
        "INTERRUPTED": 130,
        "BROKEN_PIPE": 141,
    }
    assert set(MEANINGS) == set(ExitCode)


def test_every_family_has_its_own_code() -> None:
    codes = {code_of(family("E_X", "x")) for family in errors.FAMILIES.values()}
    assert codes == {ExitCode(number) for number in range(1, 7)}
    assert set(exit_codes._OF_FAMILY) == set(errors.FAMILIES.values())
    assert code_of(errors.KolmError("E_X", "x")) is ExitCode.BUG


def failing(raised: BaseException, monkeypatch: pytest.MonkeyPatch, *flags: str) -> Ran:
    def fail() -> None:
        raise raised

    monkeypatch.setattr(env, "describe", fail)
    return invoke("env", *flags)


FULL = errors.Unreadable(
    "E_THING", "no such thing", where="kolm.yaml:3", expected="a", found="b", hint="do\nthis"
)


def test_an_error_says_what_where_expected_found_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = failing(FULL, monkeypatch)
    assert ran.code == 3
    assert ran.stdout == ""
    assert ran.stderr.splitlines() == [
        "error     no such thing   kolm.yaml:3",
        "expected  a",
        "found     b",
        "hint      do",
        "          this",
        "E_THING   kolm help E_THING",
    ]


def test_no_text_of_an_error_begins_a_line_or_has_a_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "x\r\x1b[32mok\x1b[0m \u2028ok\x85ok\x0bok"
    parts = dict.fromkeys(("where", "expected", "found", "hint"), f"{text}\nok")
    error = errors.Unreadable("E_THING", f"{text}\nok", **parts)
    ran = failing(error, monkeypatch, "--color", "always")
    for line in click.unstyle(ran.stderr).rstrip("\n").split("\n"):
        assert line.isprintable()
        assert not line.startswith("ok")
    assert "\x1b[32m" not in ran.stderr


def test_under_json_the_last_line_of_stderr_is_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = failing(FULL, monkeypatch, "--json")
    assert ran.stdout == ""
    assert ran.error() == {
        "code": "E_THING",
        "docs": "kolm help E_THING",
        "expected": "a",
        "found": "b",
        "hint": "do\nthis",
        "message": "no such thing",
        "where": "kolm.yaml:3",
    }


def test_a_no_is_an_answer_and_stands_on_stdout_under_json(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = failing(errors.Refused("E_WRONG", "it is wrong"), monkeypatch, "--json")
    assert ran.code == 1
    assert ran.document()["error"]["code"] == "E_WRONG"
    assert "refused" in ran.stderr


@pytest.mark.parametrize(
    ("raised", "code", "name"),
    [
        (ValueError("oops"), 70, "E_BUG"),
        (AssertionError(), 70, "E_BUG"),
        (MemoryError(), 6, "E_MEMORY"),
        (PermissionError(errno.EACCES, "denied", "/x"), 4, "E_PERMISSION"),
        (OSError(errno.ENOSPC, "no space left", "/x"), 6, "E_DISK_FULL"),
        (FileNotFoundError(errno.ENOENT, "not there", "/x"), 3, "E_FILE_MISSING"),
        (KeyboardInterrupt(), 130, "E_INTERRUPTED"),
        (EOFError(), 130, "E_INTERRUPTED"),
    ],
)
def test_no_exception_shows_a_traceback_unless_asked(
    raised: BaseException, code: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = failing(raised, monkeypatch, "--json")
    assert (ran.code, ran.error()["code"]) == (code, name)
    assert "Traceback" not in ran.stderr


def test_debug_shows_where_it_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = failing(ValueError("oops"), monkeypatch, "--debug")
    assert ran.code == 70
    assert "Traceback" in ran.stderr
    assert "ValueError: oops" in ran.stderr


def test_a_closed_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise BrokenPipeError(errno.EPIPE, "closed")

    monkeypatch.setattr(env, "describe", fail)
    monkeypatch.setattr("kolm.cli.main._silence_stdout", lambda: None)
    ran = invoke("env")
    assert (ran.code, ran.stdout, ran.stderr) == (141, "", "")


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)])
def test_a_stream_that_is_closed_is_no_error(closed: tuple[int, ...]) -> None:
    kept = {1: "", 2: ""} | {number: f" {number}>&-" for number in closed}
    line = f"exec {shlex.quote(sys.executable)} -m kolm families{kept[1]}{kept[2]}"
    ran = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (ran.returncode, bool(ran.stdout), ran.stderr) == (0, 1 not in closed, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compil",), "compile"),
        (("env", "--jsno"), "--json"),
        (("env", "-q", "-v"), "exclude"),
        (("env", "extra"), "unexpected"),
        (("env", "--color", "pink"), "auto"),
        (("completion",), "bash, fish, zsh"),
        (("help", "complie"), "compile"),
        (("init", ".", "--example", "nothing"), "gauges"),
    ],
)
def test_a_wrong_call_exits_2_and_says_what_would_be_right(
    arguments: tuple[str, ...], says: str
) -> None:
    ran = invoke(*arguments)
    assert (ran.code, ran.stdout) == (2, "")
    assert says in ran.stderr
    assert invoke(*arguments, "--json").error()["code"] in ("E_USAGE", "E_HELP_TOPIC")


def test_no_arguments_print_the_help_and_exit_2() -> None:
    ran = invoke()
    assert (ran.code, ran.stdout) == (2, "")
    assert "Make a bundle" in ran.stderr


def test_a_bug_names_our_own_line() -> None:
    try:
        Path("/nowhere/at/all").read_bytes()
    except OSError as error:
        made = failure.bug(error)
    assert made.code == "E_BUG"
    assert "line" in made.where


@pytest.mark.parametrize(
    ("asked", "suggested"), [("--stepz", ""), ("--setp", ""), ("--forc", "--force")]
)
def test_only_an_option_with_like_letters_is_suggested(asked: str, suggested: str) -> None:
    ran = invoke("compile", asked)
    assert ran.code == ExitCode.USAGE
    assert ("Did you mean" in ran.stderr) == bool(suggested)
    assert suggested in ran.stderr


def test_check_says_why_a_wrong_call_of_compile_is_wrong_here() -> None:
    """A bundle that is there already: 2 from `kolm compile`, 1 from `kolm check`."""
    assert code_of_family("Usage") is ExitCode.USAGE
    assert check._code("Usage") is ExitCode.NO
    assert "would call a wrong call (2)" in " ".join((check.command.help or "").split())
