"""Real file systems that are full, read-only or somebody else's, and what commands say of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kolm import canonical
from tests.support.commands import invoke
from tests.support.lines import Line, same_answer
from tests.support.mounts import read_only, tiny_disk
from tests.support.pictures import picture

NOBODY = 65534
ROWS = 12


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOLM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def rows(folder: Path) -> Path:
    """A file of rows to import, each with a picture of its own."""
    folder.mkdir(exist_ok=True)
    lines = []
    for number in range(ROWS):
        (folder / f"{number}.png").write_bytes(picture(number))
        split = "eval" if number < 4 else "train"
        lines.append(
            {"image": f"{number}.png", "prompt": "what?", "response": f"{number}", "split": split}
        )
    (folder / "rows.jsonl").write_bytes(canonical.dump_lines(lines))
    return folder / "rows.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    assert invoke("capture", "import", rows(tmp_path / "rows"), "--store", folder).code == 0
    return folder


READING = [
    ("stats",),
    ("list",),
    ("show", "rows.jsonl:3"),
    ("verify",),
    ("export", "out.jsonl"),
    ("snapshot",),
]


@pytest.mark.parametrize("verb", READING, ids=lambda verb: verb[0])
def test_a_reading_command_reads_a_read_only_store(store: Path, verb: tuple[str, ...]) -> None:
    expected = invoke("capture", *verb, "--store", store, "--json").document()
    if verb[0] == "export":
        Path("out.jsonl").unlink()
    before = sorted(store.rglob("*"))
    with read_only(store):
        ran = invoke("capture", *verb, "--store", store, "--json")
        assert ran.code == 0, ran.stderr
        assert ran.document() == expected
    assert sorted(store.rglob("*")) == before


def test_a_snapshot_of_a_read_only_store_is_told_though_it_cannot_be_kept(store: Path) -> None:
    with read_only(store):
        ran = invoke("capture", "snapshot", "--store", store, "--json")
        assert ran.code == 0
        assert ran.document()["folder"] is None
        assert "E_READ_ONLY" in ran.stderr


def test_writing_into_a_read_only_store_says_so(store: Path, tmp_path: Path) -> None:
    with read_only(store):
        ran = invoke("capture", "import", tmp_path / "rows" / "rows.jsonl", "--store", store)
        assert (ran.code, "E_READ_ONLY" in ran.stderr) == (4, True), ran.stderr


@pytest.mark.parametrize("kibibytes", [8, 32, 64, 96])
def test_a_full_disk_says_so(tmp_path: Path, kibibytes: int) -> None:
    source = rows(tmp_path / "rows")
    with tiny_disk(tmp_path / "disk", kibibytes=kibibytes) as disk:
        ran = invoke("capture", "import", source, "--store", disk / "store")
        assert (ran.code, "E_DISK_FULL" in ran.stderr) == (6, True), ran.stderr


def test_making_keys_on_a_read_only_file_system_says_so(home: Path) -> None:
    home.mkdir()
    with read_only(home):
        ran = invoke("keys", "new", "--json")
        assert (ran.code, ran.error()["code"]) == (4, "E_READ_ONLY")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
@pytest.mark.parametrize(
    "command",
    [
        ("inspect", "theirs.kolm"),
        ("keys", "trust", "theirs.kolm", "--as", "a", "--role", "builder"),
        ("verify", "theirs.kolm"),
    ],
)
def test_what_belongs_to_somebody_else_ends_in_4(tmp_path: Path, command: tuple[str, ...]) -> None:
    secret = tmp_path / "theirs.kolm"
    secret.write_bytes(b"x" * 2000)
    secret.chmod(0o600)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o755)
    invoke(*command)  # root: what the command imports may lie where nobody else may read
    os.seteuid(NOBODY)
    try:
        ran = invoke(*command, "--json")
    finally:
        os.seteuid(0)
    assert (ran.code, ran.error()["code"]) == (4, "E_PERMISSION"), ran.stderr


@pytest.mark.heavy
def test_check_and_compile_name_what_the_file_system_refuses_in_children_too(
    tmp_path: Path,
) -> None:
    line = Line.make(tmp_path / "line", rows=same_answer(32))
    with read_only(line.folder / "captures"):
        line.demand("check")
    with read_only(line.folder):
        ran = line.kolm("compile", "--json")
        assert (ran.code, "E_READ_ONLY" in ran.stderr) == (4, True), ran.stderr
    with tiny_disk(line.folder / ".kolm", kibibytes=600):  # the first checkpoint needs more
        ran = line.kolm("compile", "--json")
        assert (ran.code, "E_DISK_FULL" in ran.stderr) == (6, True), ran.stderr
        assert "checkpoint" in ran.stderr
    assert not line.bundle.exists()
