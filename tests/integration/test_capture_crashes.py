"""A capture store survives a kill at any moment, and two writers at once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from kolm.capture.store import CaptureStore
from tests.support.pictures import capture, picture
from tests.support.stores import add

ROWS = 120

WRITER = """
import sys
from pathlib import Path
from kolm.capture.store import CaptureStore
from tests.support.pictures import capture, picture
from tests.support.stores import add
folder, first, last, step = Path(sys.argv[1]), *map(int, sys.argv[2:5])
for number in range(first, last):
    picture(number)
print("ready", flush=True)
sys.stdin.readline()
for start in range(first, last, step):
    numbers = range(start, min(start + step, last))
    with CaptureStore.open(folder, create=True) as store:
        add(
            store,
            [capture(number, prompt=f"{number}?") for number in numbers],
            [picture(number) for number in numbers],
        )
"""


def writer(folder: Path, first: int, last: int, step: int) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(first), str(last), str(step)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def go(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()


def finish(child: subprocess.Popen[bytes]) -> None:
    _, said = child.communicate(timeout=120)
    assert child.returncode == 0, said.decode()


def test_a_kill_at_any_moment_leaves_a_store_that_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    chance = random.Random(20)
    counts = []
    for attempt in range(8):
        child = writer(folder, 0, ROWS, 5)
        go(child)
        time.sleep(chance.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert child.returncode in (-signal.SIGKILL, 0), attempt
        if not (folder / "captures.db").exists():
            continue
        with CaptureStore.open(folder, create=True) as store:
            captures, _ = store.verify()  # every row has its images' files, every blob its bytes
            assert captures % 5 == 0, "an addition is there whole or not at all"
            counts.append(captures)
    assert counts == sorted(counts), "what was committed stays"
    last = writer(folder, 0, ROWS, 5)
    go(last)
    finish(last)
    with CaptureStore.open(folder) as store:
        assert store.verify() == (ROWS, ROWS)
        for stored in store.rows():
            for image in stored.capture.images:
                assert store.read_image(image.file)
    assert list((folder / "blobs" / "tmp").glob("*.part")) == []


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    # The middle third is written by both.
    children = [writer(folder, 0, 80, 4), writer(folder, 40, ROWS, 4)]
    for child in children:
        go(child)
    for child in children:
        finish(child)
    with CaptureStore.open(folder) as store:
        assert store.verify() == (ROWS, ROWS)
        prompts = {stored.capture.messages[0].content[-1] for stored in store.rows()}
    assert len(prompts) == ROWS


def test_two_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        children = [writer(folder, number, number + 1, 1) for number in range(3)]
        for child in children:
            go(child)
        for child in children:
            finish(child)
        with CaptureStore.open(folder) as store:
            assert store.verify() == (3, 3)


def test_a_writer_waits_for_another_s_transaction(tmp_path: Path) -> None:
    with CaptureStore.open(tmp_path, create=True) as store:
        store._connection.execute("BEGIN IMMEDIATE")
        child = writer(tmp_path, 0, 5, 5)
        go(child)
        time.sleep(1.0)
        assert child.poll() is None
        store._connection.execute("ROLLBACK")
        finish(child)
        assert store.verify() == (5, 5)
        add(store, [capture(6)], [picture(6)])
