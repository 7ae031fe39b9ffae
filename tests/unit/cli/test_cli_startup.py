"""Start: nothing is imported before it is needed, and the table tells the truth."""

from __future__ import annotations

import subprocess
import sys
from resource import RUSAGE_CHILDREN, getrusage

import click
import pytest
from click.shell_completion import ShellComplete

from kolm.cli.flags import GlobalOption, global_options
from kolm.cli.main import root
from kolm.cli.table import HELP
from tests.support.commands import invoke, leaves

HEAVY = (
    "torch", "transformers", "peft", "PIL", "numpy", "rich", "cryptography", "jsonschema",
    "ruamel", "sqlite3", "multiformats", "kolm.actions", "kolm.settings", "kolm.schema",
)  # fmt: skip
HELP_RATIO = 6  # times a bare interpreter


@pytest.mark.parametrize("name", HELP)
def test_the_table_equals_the_real_help(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.short_help == HELP[name], f"{name}: give short_help the text of the table"
    assert command.help, f"{name} has no help page"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_imports_nothing_heavy_and_no_command() -> None:
    ran = run_python(
        "import sys\nfrom kolm.cli.main import main\nassert main(['--help']) == 0\n"
        "print([n for n in sys.modules if n.startswith('kolm.cli.commands.')])\n"
        f"print([n for n in {HEAVY!r} if n in sys.modules])"
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_help_of_the_package_is_as_light() -> None:
    ran = run_python(f"import kolm, sys\nprint([n for n in {HEAVY!r} if n in sys.modules])")
    assert ran.stdout.strip() == "[]"


def test_help_takes_at_most_six_times_a_bare_interpreter() -> None:
    def fastest(code: str) -> float:
        """The least processor time of several tries: waiting for a busy machine costs none."""
        times = []
        for _ in range(7):
            before = getrusage(RUSAGE_CHILDREN)
            run_python(code)
            after = getrusage(RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    ratio = fastest("from kolm.cli.main import main; main(['--help'])") / fastest("pass")
    assert ratio <= HELP_RATIO


def complete(words: list[str], incomplete: str) -> list[str]:
    kind = ShellComplete(root, {}, "kolm", "_KOLM_COMPLETE")
    return [item.value for item in kind.get_completions(words, incomplete)]


def test_completion_knows_names_options_and_choices() -> None:
    assert complete([], "comp") == ["compile", "completion"]
    assert set(complete([], "")) == set(HELP)
    assert "--dry-run" in complete(["compile"], "--d")
    assert "--offline" in complete(["compile"], "--o")
    assert complete(["init", "--example"], "g") == ["gauges"]


def test_completing_a_name_imports_no_command() -> None:
    ran = run_python(
        "import os, sys\n"
        "os.environ.update(_KOLM_COMPLETE='bash_complete', COMP_WORDS='kolm com', COMP_CWORD='1')\n"
        "from kolm.cli.main import main\n"
        "try: main([])\n"
        "except SystemExit: pass\n"
        "print([n for n in sys.modules if n.startswith('kolm.cli.commands.')])"
    )
    assert ran.stdout.splitlines() == ["plain,compile", "plain,completion", "[]"]


def test_every_command_takes_every_global_option_and_redefines_none() -> None:
    ours = {name for option in global_options() for name in option.opts}
    for path, command in leaves():
        own = {
            name
            for parameter in command.params
            if not isinstance(parameter, GlobalOption)
            for name in parameter.opts
        }
        assert not own & ours, f"kolm {' '.join(path)} redefines {own & ours}"
        taken = {
            name
            for parameter in command.params
            if isinstance(parameter, GlobalOption)
            for name in parameter.opts
        }
        assert taken == ours


def test_every_command_and_every_option_explains_itself() -> None:
    for path, command in leaves():
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


def test_the_global_options_are_listed_once() -> None:
    assert "--offline" in invoke("--help").stdout
    page = invoke("env", "--help").stdout
    assert "--offline" not in page
    assert "Global options" in page


def test_the_version_is_that_of_the_package() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert invoke("--version").stdout.strip() == f"kolm {project['project']['version']}"


def test_the_package_verify_shows_the_signature_of_the_call_that_it_is() -> None:
    from inspect import signature

    import kolm
    from kolm.actions.verification import verify

    assert callable(kolm.verify)
    assert signature(kolm.verify) == signature(verify)
