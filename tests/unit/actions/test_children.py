"""A child process that ends without a word is told of by what ended it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kolm.actions import children
from kolm.errors import KolmError, Lacking
from kolm.events import Silent
from kolm.records.verification import Verdict
from kolm.verify.findings import from_error

CUT = """
import mmap, os, sys
with open(sys.argv[2] + "/mapped", "w+b") as stream:
    stream.write(bytes(8192))
    stream.flush()
    mapped = mmap.mmap(stream.fileno(), 8192)
    os.truncate(stream.name, 0)
    mapped[5000]
"""
KILLED = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
SILENT = "import sys; sys.exit('no room in the attic')"


@pytest.mark.parametrize(
    ("ends", "code"),
    [(CUT, "E_CHILD_MAPPING"), (KILLED, "E_CHILD_KILLED"), (SILENT, "E_CHILD_DIED")],
)
def test_what_ended_a_child_has_its_name(tmp_path: Path, ends: str, code: str) -> None:
    package = tmp_path / "path" / "kolm"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "worker.py").write_text(ends)
    found = {**os.environ, "PYTHONPATH": str(package.parent)}
    with pytest.raises(KolmError) as ended:
        children.run("train", tmp_path / "run", environment=found, reporter=Silent())
    error = ended.value
    assert error.code == code
    assert error.where.endswith("train.log")
    assert isinstance(error, Lacking) == (code != "E_CHILD_DIED")
    assert ("no room in the attic" in error.found) == (code == "E_CHILD_DIED")


def test_an_audit_whose_child_lost_a_mapped_file_could_not_look() -> None:
    lost = Lacking("E_CHILD_MAPPING", "a file that it had mapped was cut", where="rescore.log")
    assert from_error(lost).verdict is Verdict.COULD_NOT_LOOK
