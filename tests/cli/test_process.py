"""The command line as a process of its own: what the interpreter adds at start and exit."""

from __future__ import annotations

import os
import subprocess
import sys

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
