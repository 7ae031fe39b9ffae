"""The command line as a process of its own: what the interpreter adds at start and exit."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from kolm import canonical

KOLM = [sys.executable, "-m", "kolm"]


def test_a_reader_that_goes_away_ends_in_141_without_noise() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(
            [*KOLM, "help", "exit-codes"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(write)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_no_library_of_the_process_asks_the_hub() -> None:
    script = (
        "import sys\n"
        "from kolm.cli import main\n"
        "sys.argv = ['kolm', 'env']\n"
        "assert main.run() == 0\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_OFFLINE)\n"
    )
    environment = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.splitlines()[-1] == "True"


def test_an_interrupt_ends_in_130_without_a_traceback() -> None:
    script = (
        "import os, signal, sys\n"
        "from kolm.cli.commands import env\n"
        "from kolm.cli.main import main\n"
        # a job in the background inherits an ignored SIGINT
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "env.describe = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main(['env']))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 130
    assert "Traceback" not in ran.stderr
    assert "E_INTERRUPTED" in ran.stderr
    assert "run the same command again: kolm env" in ran.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_poor_terminal_encoding_breaks_no_answer(encoding: str) -> None:
    ran = subprocess.run(
        [*KOLM, "compile", "--help"],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"},
    )
    assert ran.returncode == 0, ran.stderr.decode(encoding)


def test_json_is_utf8_whatever_the_terminal_speaks() -> None:
    ran = subprocess.run(
        [*KOLM, "help", "compile", "--json"],
        capture_output=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )
    assert "…" in canonical.loads(ran.stdout, where="stdout")["text"]


def on_a_terminal(*arguments: str, cwd: Path) -> str:
    """What ``kolm`` writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    known = {**os.environ, "TERM": "xterm", "KOLM_HOME": str(cwd / "home")}
    known.pop("COLUMNS", None)
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    ran = subprocess.Popen([*KOLM, *arguments], cwd=cwd, env=known, **streams)  # type: ignore[call-overload]
    os.close(theirs)
    written = b""
    while True:
        try:
            more = os.read(ours, 1 << 16)
        except OSError:  # on Linux: the other side is closed
            break
        if not more:
            break
        written += more
    os.close(ours)
    ran.wait(60)
    return written.decode().replace("\r\n", "\n")


def test_an_error_takes_the_bar_down_and_fills_the_lines_of_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{'image': 'a.png', 'prompt': 'what?'}\n")
    written = on_a_terminal("capture", "import", "rows.jsonl", cwd=tmp_path)
    before, _, after = written.rpartition("\x1b[?25h")  # the cursor, which the bar hid
    assert "\x1b[?25l" in before
    assert "\x1b[?25l" not in after
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", after)
    assert shown.startswith("refused   not JSON")
    assert "\n          rows.jsonl:1\n" in shown  # the place, below the text
    assert max(map(len, shown.splitlines())) <= 80
