"""What the fuzzers of bundles and of parsers share: numbered iterations, and the command.

Each iteration is drawn from its number alone, so that one which failed can be run again.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol


class Failure(NamedTuple):
    """What an iteration did that it must not."""

    number: int
    what: str


class Fuzzer(Protocol):
    """Honest bytes, and what meets the ones that are made of them."""

    def run(self, number: int) -> Failure | None:
        """One iteration."""


def run(
    make: Callable[[Path], Fuzzer],
    first: int,
    count: int,
    *,
    tell: Callable[[str], None] | None = None,
    every: int = 1000,
) -> list[Failure]:
    """Run iterations in a folder of their own, and give the failures; `tell` hears how far."""
    failures = []
    with tempfile.TemporaryDirectory(prefix="kolm-fuzz-") as folder:
        fuzzer = make(Path(folder))
        for number in range(first, first + count):
            failure = fuzzer.run(number)
            if failure is not None:
                failures.append(failure)
                if tell:
                    tell(f"iteration {number}: {failure.what}")
            done = number - first + 1
            if tell and done % every == 0:
                tell(f"{done} done, {len(failures)} failures")
    return failures


def command(make: Callable[[Path], Fuzzer], description: str, *, every: int = 1000) -> int:
    """The command line of a fuzzer; 1 where an iteration failed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    began = time.monotonic()

    def tell(text: str) -> None:
        print(text, flush=True)

    failures = run(make, asked.first, asked.count, tell=tell, every=every)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    took = time.monotonic() - began
    print(f"{asked.count} iterations, {len(failures)} failures, {took:.0f} s, peak {peak} MiB")
    return 1 if failures else 0
