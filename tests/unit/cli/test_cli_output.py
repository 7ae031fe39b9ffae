"""Output: which stream says what, colours, prompts and progress."""

from __future__ import annotations

import sys

import pytest

from kolm import settings
from kolm.cli import failure, flags, output, progress
from kolm.cli.output import Output
from kolm.errors import Usage
from kolm.events import Silent
from tests.support.commands import streams

DOCUMENT = {"n": 1}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


def written(*, terminal: bool = False, **asked: object) -> tuple[str, str]:
    with streams(terminal=terminal) as (out, err):
        made = Output(flags.Flags(**asked), out, err)  # type: ignore[arg-type]
        made.answer("cli-init", DOCUMENT, lambda: made.paint("for people", "good"), brief="brief")
        made.reporter.warned("careful")
        made.reporter.noted("by the way")
    return out.text(), err.text()


def test_an_answer_is_for_people_by_default() -> None:
    assert written() == ("for people\n", "warning  careful\n")


def test_json_prints_the_document_alone() -> None:
    assert written(json=True)[0] == '{"n":1,"schema":"urn:kolm:cli-init:v1"}\n'


def test_quiet_prints_the_brief_form_and_no_warning() -> None:
    assert written(quiet=True) == ("brief\n", "")


def test_quiet_json_still_prints_the_document() -> None:
    assert written(quiet=True, json=True) == ('{"n":1,"schema":"urn:kolm:cli-init:v1"}\n', "")


def test_verbose_shows_notes() -> None:
    assert "by the way" in written(verbose=True)[1]


@pytest.mark.parametrize(
    ("terminal", "color", "no_color", "painted"),
    [
        (True, "auto", False, True),
        (False, "auto", False, False),
        (True, "auto", True, False),
        (True, "never", False, False),
        (False, "always", False, True),
        (False, "always", True, True),
    ],
)
def test_colours_follow_the_flag_then_no_color_then_the_terminal(
    terminal: bool, color: str, no_color: bool, painted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    assert ("\x1b[" in written(terminal=terminal, color=color)[0]) is painted


def test_a_question_without_a_terminal_names_the_flag() -> None:
    with streams() as (out, err), pytest.raises(Usage) as raised:
        Output(flags.Flags(), out, err).confirm("really?", flag="--force")
    assert raised.value.code == "E_CLI_NO_TERMINAL"
    assert "--force" in raised.value.hint


def test_yes_answers_a_confirmation_without_a_terminal() -> None:
    with streams() as (out, err):
        assert Output(flags.Flags(yes=True), out, err).confirm("really?")
    assert out.text() + err.text() == ""


def test_a_secret_without_a_terminal_is_refused() -> None:
    with streams() as (out, err), pytest.raises(Usage):
        Output(flags.Flags(yes=True), out, err).ask_secret("passphrase", flag="--no-passphrase")


def log_of_100_steps(monkeypatch: pytest.MonkeyPatch, seconds_a_step: float) -> list[str]:
    """The lines of a stage where nobody looks on; nothing of it is on the standard output."""
    now = [0.0]
    monkeypatch.setattr(progress, "perf_counter", lambda: now[0])
    with streams() as (out, err):
        reporter = Output(flags.Flags(), out, err).reporter
        reporter.started("train", 100, "steps")
        for step in range(1, 101):
            now[0] += seconds_a_step
            reporter.advanced("train", step, loss=0.5)
        reporter.finished("train", loss=0.25)
    assert out.text() == ""
    return err.text().splitlines()


def test_lines_come_every_tenth_and_not_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = log_of_100_steps(monkeypatch, 0.5)
    assert lines[0] == "train  100 steps"
    assert lines[1] == "train  10/100 steps  loss 0.5"
    assert len(lines) == 12
    assert "loss 0.25" in lines[-1]


def test_a_stage_of_seconds_has_no_line_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = log_of_100_steps(monkeypatch, 0.04)
    assert lines == ["train  100 steps", "train  done in 4.0 s  loss 0.25"]


def test_lines_come_every_thirty_seconds_when_a_tenth_takes_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "perf_counter", lambda: now[0])
    with streams() as (out, err):
        reporter = Output(flags.Flags(), out, err).reporter
        reporter.started("train", None, "steps")
        for step in range(1, 7):
            now[0] += 10
            reporter.advanced("train", step)
    assert [line.split()[1] for line in err.text().splitlines()[1:]] == ["3", "6"]


def test_a_terminal_gets_bars_and_quiet_gets_nothing() -> None:
    with streams(terminal=True) as (out, err):
        assert isinstance(Output(flags.Flags(), out, err).reporter, progress.Bars)
        assert isinstance(Output(flags.Flags(json=True), out, err).reporter, progress.Lines)
        assert isinstance(Output(flags.Flags(quiet=True), out, err).reporter, Silent)


def test_bars_end_in_one_line_and_leave_stdout_alone() -> None:
    with streams(terminal=True) as (out, err):
        made = Output(flags.Flags(color="never"), out, err)
        made.reporter.started("train", 3, "steps")
        made.reporter.advanced("train", 2, loss=1.0)
        made.reporter.finished("train")
        made.reporter.started("score", 3, "cases")
        made.close_progress()
    assert "done  train in" in err.text()
    assert out.text() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stage_that_goes_on_says_after_what_and_quiet_does_not(terminal: bool) -> None:
    with streams(terminal=terminal) as (_, err):
        reporter = Output(flags.Flags(), sys.stdout, sys.stderr).reporter
        reporter.started("train", 300, "steps", 120)
        reporter.finished("train")
        Output(flags.Flags(quiet=True), sys.stdout, sys.stderr).reporter.started("x", 9, "y", 3)
    assert err.text().count("train  goes on after 120/300 steps, which an earlier run did\n") == 1
    assert " x " not in err.text()


def test_the_current_output_is_one_object_while_the_flags_hold() -> None:
    with streams():
        flags.reset()
        assert output.current() is output.current()


def test_offline_is_forgotten_when_the_next_command_starts() -> None:
    flags.reset()
    flags._forbid_network(True)
    flags._flags = flags.Flags(offline=True)
    assert settings.offline()
    flags.reset()
    assert not settings.offline()


HOSTILE = "x\x1b[2J\x1b]0;title\x07\x9b31m\u202egpj\u2066\r\x08\x7fend"


@pytest.mark.parametrize("color", ["always", "never"])
def test_what_a_bundle_says_does_not_steer_the_terminal(color: str) -> None:
    with streams(terminal=True) as (out, err):
        made = Output(flags.Flags(color=color), out, err)
        made.answer("cli-init", DOCUMENT, f"{made.paint('ok', 'good')} {HOSTILE}\tکتاب\u200cها")
        made.tell(HOSTILE)
    for text in (out.text(), err.text()):
        left = text.replace("\x1b[32m", "").replace("\x1b[0m", "")
        assert not set(left) & set("\x1b\x07\x9b\u202e\u2066\r\x08\x7f")
    assert out.text().endswith("end\tکتاب\u200cها\n")  # text that needs its joiners keeps them
    assert ("\x1b[32mok\x1b[0m" in out.text()) == (color == "always")


def test_an_error_keeps_to_its_line() -> None:
    with streams(terminal=False) as (out, err):
        made = Output(flags.Flags(), out, err)
        error = Usage("E_X", "wrong", where="name\nerror    forged", found="a\nb")
        failure.show(error, made, debug=False)
    lines = err.text().splitlines()
    assert lines[0].endswith("name\N{REPLACEMENT CHARACTER}error    forged")
    assert lines[1:3] == ["found     a", "          b"]


def test_json_takes_a_file_name_that_is_no_text() -> None:
    with streams(terminal=False) as (out, err):
        made = Output(flags.Flags(json=True), out, err)
        made.answer("cli-init", {"file": "\udcff.kolm", "more": ["\udcff", 1, None]}, "")
    assert out.text() == '{"file":"?.kolm","more":["?",1,null],"schema":"urn:kolm:cli-init:v1"}\n'


def test_a_bar_shows_a_total_only_where_one_is_known() -> None:
    with streams(terminal=True) as (out, err):
        reporter = Output(flags.Flags(), out, err).reporter
        reporter.started("read", None, "captures")
        reporter.advanced("read", 1500)
        reporter.finished("read")
        reporter.started("train", 20, "steps")
        reporter.advanced("train", 5)
        reporter.finished("train")
    assert "None" not in err.text()
    assert "1,500 captures" in err.text()
    assert "5/20 steps" in err.text()


def test_a_bar_fits_80_columns_with_its_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with streams(terminal=True) as (_, err):
        reporter = Output(flags.Flags(), sys.stdout, sys.stderr).reporter
        reporter.started("train", 300, "steps")
        reporter.advanced("train", 120, loss=0.0001511, tokens_per_second=1044.4, seconds_left=43.1)
        reporter.finished("train")
    assert "120/300 steps  loss 0.0001511  tokens per second 1044" in err.text()
    assert "seconds left" not in err.text()
    assert "…" not in err.text()


def test_bars_are_down_before_an_answer_and_after_a_stage_that_began_twice() -> None:
    with streams(terminal=True) as (out, err):
        made = Output(flags.Flags(), out, err)
        bars = made.reporter
        assert isinstance(bars, progress.Bars)
        bars.started("train", 20, "steps")
        first = bars._bars["train"][0]
        bars.started("train", 20, "steps")
        second = bars._bars["train"][0]
        made.answer("cli-init", DOCUMENT, "done")
    assert (first.live.is_started, second.live.is_started, bars._bars) == (False, False, {})
