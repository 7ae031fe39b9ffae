"""Fixtures of the acceptance suite: the demo as `make demo` left it, and what must not be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lines import ROOT, Line

BARRED = ("torch", "transformers", "peft", "numpy", "PIL")
# Every way to the network ends in a traceback and exit code 70.
NO_NETWORK = """\
import sys


def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind"):
        raise AssertionError(f"the network was used: {event}")


sys.addaudithook(watch)
"""


@pytest.fixture(scope="session")
def demo() -> Line:
    """The project that `make demo` leaves."""
    line = Line(folder=ROOT / "demo", home=ROOT / "demo" / ".kolm", name="easy-vqa")
    if not line.bundle.is_file():
        pytest.fail(f"{line.bundle} is not there; run: make demo")
    return line


@pytest.fixture(scope="session")
def barred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH under which model libraries and the network raise."""
    folder = tmp_path_factory.mktemp("barred")
    for name in BARRED:
        text = f"raise AssertionError('{name} was imported')\n"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    (folder / "sitecustomize.py").write_text(NO_NETWORK, encoding="utf-8")
    return folder
