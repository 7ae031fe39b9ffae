"""What starting and verifying cost, with torch and the network made to raise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import pytest

from tests.support.lines import KOLM, ROOT, Line

pytestmark = pytest.mark.slow
HELP_RATIO = 6  # times `python -c pass`
VERIFY_RATIO = 15
BASE_SECONDS = 0.05  # that a base which has not changed may add to an audit
DEMO_SECONDS = 2
DEMO_MEGABYTES = 300
ROUNDS = 11
REGISTRY = ROOT / "registry"


# A process of its own starts what is measured: the largest size of a child counts what its parent
# held when it was forked, and the process of the tests may hold much by then.
_LAUNCHER = """
import resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
took = time.perf_counter() - began
print(code, took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measure(command: Sequence[str | Path], env: Mapping[str, str]) -> tuple[float, float]:
    """Wall seconds and the largest resident size in MB of a process that has to succeed."""
    launch = [sys.executable, "-c", _LAUNCHER, *map(str, command)]
    ran = subprocess.run(launch, env=dict(env), capture_output=True, text=True, check=True)
    code, seconds, kibibytes = ran.stdout.split()
    assert code == "0", (command, ran.stderr)
    return float(seconds), int(kibibytes) * 1024 / 1e6


def ratio_to_nothing(command: Sequence[str | Path], env: Mapping[str, str]) -> float:
    """Medians of runs that take turns with `python -c pass`, so that both meet the same noise."""
    nothing = [sys.executable, "-c", "pass"]
    measure(command, env)  # bytecode
    pairs = [(measure(nothing, env)[0], measure(command, env)[0]) for _ in range(ROUNDS)]
    least, taken = (median(times) for times in zip(*pairs, strict=True))
    return taken / least


@pytest.fixture
def env(barred: Path, tmp_path: Path) -> dict[str, str]:
    """An empty home, neither torch nor a network, and modules compiled once, as pip leaves them."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    own = {"PYTHONPYCACHEPREFIX": tmp_path / "compiled", "KOLM_HOME": tmp_path / "home"}
    return {**kept, "PYTHONPATH": str(barred), **{k: str(v) for k, v in own.items()}}


@pytest.mark.parametrize("name", ["torch", "transformers", "peft"])
def test_the_bars_hold(env: dict[str, str], name: str) -> None:
    """Were one of them imported, or the network used, the other tests would see it."""
    ran = subprocess.run(
        [sys.executable, "-c", f"import {name}"], env=env, capture_output=True, check=False
    )
    assert b"was imported" in ran.stderr
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert b"the network was used" in ran.stderr


def test_help(env: dict[str, str]) -> None:
    ratio = ratio_to_nothing([KOLM, "--help"], env)
    print(f"\nkolm --help: {ratio:.1f} times python -c pass")
    assert ratio <= HELP_RATIO


def test_verify_of_the_reference_bundle(env: dict[str, str]) -> None:
    blobs = sorted((REGISTRY / "blobs" / "sha256").glob("*"))
    assert blobs, "registry/ holds no bundle; run: make reference"
    command = [KOLM, "verify", blobs[0], "--trust", REGISTRY / "trust.json"]
    _, megabytes = measure(command, env)
    ratio = ratio_to_nothing(command, env)
    print(f"\nkolm verify: {ratio:.1f} times python -c pass; {megabytes:.0f} MB")
    assert ratio <= VERIFY_RATIO


def test_a_base_that_was_audited_before(env: dict[str, str]) -> None:
    """Beside the same audit without the base, in turns: what is left is to look at the files."""
    blobs = sorted((REGISTRY / "blobs" / "sha256").glob("*"))
    without = [KOLM, "verify", blobs[0], "--trust", REGISTRY / "trust.json"]
    beside = [*without, "--base", "kolm/nano-1"]
    first, _ = measure(beside, env)  # reads it, and compiles what such an audit imports
    pairs = [(measure(without, env)[0], measure(beside, env)[0]) for _ in range(ROUNDS)]
    one, both = (median(times) for times in zip(*pairs, strict=True))
    print(f"\n--base kolm/nano-1: {1000 * (both - one):.0f} ms more; {first:.2f} s the first time")
    assert both - one <= BASE_SECONDS


def test_verify_of_the_demo(env: dict[str, str], demo: Line) -> None:
    command = [KOLM, "verify", demo.bundle]
    told = [measure(command, {**env, "KOLM_HOME": str(demo.home)}) for _ in range(ROUNDS)]
    seconds, megabytes = min(told)[0], max(size for _, size in told)
    print(f"\nkolm verify of the demo: {seconds:.2f} s, {megabytes:.0f} MB")
    assert seconds <= DEMO_SECONDS
    assert megabytes <= DEMO_MEGABYTES
