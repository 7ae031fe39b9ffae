"""How fast an audit hashes a large bundle (V03), beside `openssl speed` in the same run.

    python -m bench.hashing                   # 4 GiB of four blobs, three rounds
    python -m bench.hashing --mebibytes 64    # of each blob

Writes a file of four blobs, takes the private copy that every audit reads, and hashes it in turns
with openssl: on one core, then on all. `openssl speed` hashes one MiB that stays in the cache and
counts processor time, so the shares do too; `openssl dgst` hashes the same file, and shows what
reading takes. What all cores gain is by the clock, and wants an idle machine. `anonymous` is the
memory of this process that no file backs. Room for two such files is needed under TMPDIR.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kolm import digest
from kolm.bundle import container_rules, layout, tar
from kolm.bundle.container import open_container
from kolm.bundle.limits import MIB

BLOBS = 4


def main() -> None:
    """Print a line for each round, then the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mebibytes", type=int, default=1024, help="of each of the four blobs")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    shares, of_files, gains = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "large.kolm"
        write(path, options.mebibytes)
        for _ in range(options.rounds):
            os.sched_setaffinity(0, cores[:1])
            peer, of_file, one = openssl_speed(), openssl_dgst(path), Audit(path)
            os.sched_setaffinity(0, cores)
            every = Audit(path)
            shares.append(one.by_processor / peer)
            of_files.append(one.by_processor / of_file)
            gains.append(every.by_clock / one.by_clock)
            print(
                f"openssl {peer / 1e6:,.0f} MB/s, of the file {of_file / 1e6:,.0f}  "
                f"one core {one.by_processor / 1e6:,.0f} MB/s, by "
                f"the clock {one.by_clock / 1e6:,.0f}  {len(cores)} cores by the clock "
                f"{every.by_clock / 1e6:,.0f}  anonymous {every.anonymous_mib:.0f} MiB  "
                f"copy {every.copied:.1f} s",
                flush=True,
            )
    share, of_file, gain = map(statistics.median, (shares, of_files, gains))
    print(
        f"median: {share:.2f} of openssl speed on one core, {of_file:.2f} of openssl dgst; "
        f"{gain:.2f} times that on {len(cores)}"
    )


def write(path: Path, mebibytes: int) -> None:
    """A file of the container's form with four blobs of noise; no manifest among them."""
    pieces = [random.Random(seed).randbytes(MIB) for seed in range(BLOBS)]

    def blob(seed: int) -> Iterator[bytes]:
        for count in range(mebibytes):
            yield count.to_bytes(8, "little") + pieces[seed][8:]

    with path.open("wb") as stream:
        for name, data in ((layout.LAYOUT_NAME, layout.LAYOUT), (layout.INDEX_NAME, b"{}")):
            stream.write(tar.header(name, len(data)) + data + tar.padding(len(data)))
        for seed in range(BLOBS):
            hasher = digest.Hasher()
            for piece in blob(seed):
                hasher.update(piece)
            name = tar.blob_name(digest.hex_of(hasher.digest()))
            stream.write(tar.header(name, mebibytes * MIB))
            stream.writelines(blob(seed))


class Audit:
    """One private copy, hashed once, as in every audit; bytes a second of V03."""

    def __init__(self, path: Path) -> None:
        began = time.perf_counter()
        container = open_container(path)
        self.copied = time.perf_counter() - began
        began, began_cpu = time.perf_counter(), time.process_time()
        wrong = [e for e in container_rules.blobs_match_names(container) if "DIGEST" in e.code]
        self.by_processor = len(container.view) / (time.process_time() - began_cpu)
        self.by_clock = len(container.view) / (time.perf_counter() - began)
        self.anonymous_mib = anonymous_mib()
        if wrong:
            raise SystemExit(str(wrong[0]))


def openssl_speed() -> float:
    """Bytes a second that openssl says of itself, in pieces of 1 MiB."""
    command = [openssl(), "speed", "-evp", "sha256", "-bytes", str(MIB), "-seconds", "3"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"^sha256 +([0-9.]+)k", out, re.IGNORECASE | re.MULTILINE)
    if found is None:
        raise SystemExit(f"openssl printed no rate:\n{out}")
    return float(found[1]) * 1000


def openssl_dgst(path: Path) -> float:
    """Bytes a second of processor time in which openssl reads and hashes a file."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([openssl(), "dgst", "-sha256", path], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return path.stat().st_size / took


def openssl() -> str:
    """Where it is installed."""
    program = shutil.which("openssl")
    if program is None:
        raise SystemExit("openssl is not installed")
    return program


def anonymous_mib() -> float:
    """Resident memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
