"""Every command with every global flag: each has an effect, before and after the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kolm import settings
from kolm.cli.output import Output
from kolm.errors import Refused
from tests.cli.cases import CASES
from tests.support.commands import Ran, invoke, leaves

COMMANDS = sorted(CASES)
each_command = pytest.mark.parametrize("name", COMMANDS)
pytestmark = pytest.mark.usefixtures("project")


_CURSOR = re.compile(r"\x1b\[[0-9?;]*[a-zA-Z]")  # of the progress bars

# What a second call needs because the first one has changed the project.
REPEAT = {
    "init": ("init", "newer"),
    "capture template": ("capture", "template", ".", "--prompt", "what?", "-o", "other.csv"),
    "capture export": ("capture", "export", "other.jsonl"),
    "capture remove": ("capture", "remove", "pairs.jsonl:2"),
    "report": ("report", "toy.kolm", "-o", "other.html"),
    "registry init": ("registry", "init", "third"),
    "registry pull": ("registry", "pull", "demo/toy", "-o", "second.kolm"),
    "pull": ("pull", "demo/toy", "-o", "second.kolm"),
    "keys import": ("keys", "list"),
    "keys new": ("keys", "new", "--name", "third"),
    "request new": ("request", "show", "own.request.json"),
    "keys trust": ("keys", "list"),
    "keys revoke": ("keys", "list"),
}


def call(name: str, *flags_after: str, before: tuple[str, ...] = ()) -> Ran:
    return invoke(*before, *name.split(), *CASES[name], *flags_after)


def test_every_command_has_a_case() -> None:
    assert {" ".join(path) for path, _ in leaves()} == set(CASES)


@each_command
def test_the_plain_call_answers_on_stdout_without_colours_or_questions(name: str) -> None:
    ran = call(name)  # stdin is empty: a prompt would end in an error
    assert ran.code == 0, ran.stderr
    assert ran.stdout.endswith("\n")
    assert "\x1b" not in ran.stdout + ran.stderr


@each_command
def test_no_line_is_wider_than_the_terminal_unless_it_is_one_thing_to_copy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "completion":
        pytest.skip("a script is no text for people")
    monkeypatch.setenv("COLUMNS", "80")
    words = ("--color", "never", *name.split(), *CASES[name])
    ran = invoke(*words, terminal=True)
    shown = [*ran.stdout.splitlines(), *_CURSOR.sub("", ran.stderr).splitlines()]
    wide = [line for line in shown if len(line) > 80 and "kolm " not in line]
    # What is copied stays whole: a path, for one, with its label before it.
    assert [line for line in wide if max(map(len, line.split())) < 60] == []


@pytest.mark.parametrize("name", ["plan", "registry list", "sweep", "compile", "keys list"])
def test_a_table_fits_80_columns_before_it_is_folded(name: str) -> None:
    shown = call(name).stdout.splitlines()
    rows = [line for line in shown if not line.startswith(("batch ", "parameters ", "Point "))]
    assert [line for line in rows if len(line) > 80 and "sha256:" not in line] == []


@each_command
@pytest.mark.parametrize("place", ["before", "after"])
def test_json_is_one_document_that_fits_its_schema(name: str, place: str) -> None:
    ran = call(name, before=("--json",)) if place == "before" else call(name, "--json")
    assert ran.code == 0, ran.stderr
    assert ran.document()["schema"].startswith("urn:kolm:")
    assert len(ran.stdout.splitlines()) == 1


@each_command
def test_quiet_says_nothing_on_stderr_and_less_on_stdout(name: str) -> None:
    quiet = call(name, "-q")
    assert (quiet.code, quiet.stderr) == (0, "")
    if name not in ("completion", "help", "run", "keys export"):  # the answer itself is brief
        assert len(quiet.stdout) < 400


@each_command
def test_verbose_tells_how_it_ended(name: str) -> None:
    ran = call(name, "-v")
    assert "exit 0 after" in ran.stderr
    assert "(online)" in ran.stderr


@each_command
def test_offline_holds_while_the_command_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    answer = Output.answer

    def spy(self: Output, *arguments: object, **named: object) -> None:
        seen.append((settings.offline(), settings.inherited().get("KOLM_OFFLINE")))
        answer(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Output, "answer", spy)
    ran = call(name, "--offline", "-v")
    assert ran.code == 0, ran.stderr
    assert seen == [(True, "1")]
    assert "(offline)" in ran.stderr


@each_command
def test_yes_reaches_every_question(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(Output, "answer", lambda self, *_, **__: asked.append(self.confirm("?")))
    arguments = tuple(word for word in CASES[name] if word != "--yes")
    assert invoke("--yes", *name.split(), *arguments).code == 0
    assert asked == [True]


@each_command
def test_debug_alone_shows_a_traceback(name: str, monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(*_: object, **__: object) -> None:
        raise Refused("E_TEST", "no")

    monkeypatch.setattr(Output, "answer", refuse)
    words = (*name.split(), *CASES[name])
    assert "Traceback" not in invoke(*words).stderr
    assert "Traceback" in invoke(*words, "--debug").stderr


@each_command
def test_colour_follows_flag_and_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Output, "answer", lambda self, *_, **__: self.tell(self.paint("said", "good"))
    )
    words = (*name.split(), *CASES[name])
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[32msaid" not in invoke(*words, terminal=True).stderr
    assert "\x1b[32msaid" in invoke("--color", "always", *REPEAT.get(name, words)).stderr


def test_revoking_without_a_terminal_names_the_flag() -> None:
    ran = invoke("keys", "revoke", "default", "--json")
    assert ran.code == 2
    assert ran.error()["hint"] == "pass --yes"


def test_colours_can_be_forced_and_forbidden(project: Path) -> None:
    (project / "kolm.yaml").write_text("kolm: 1\n")
    assert "\x1b[" in invoke("check", "--color", "always").stdout
    assert "\x1b[" not in invoke("check", "--color", "never", terminal=True).stdout
