"""No bit of a bundle can be changed unnoticed: `kolm verify` says no, in good order."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.errors import Refused, Unreadable
from tests.support.audits import World
from tests.support.commands import invoke
from tests.support.lines import Line

pytestmark = pytest.mark.slow
FLIPS = 2_000
Bit = tuple[int, int]


def flipped(path: Path, bits: Iterable[Bit]) -> Iterator[Bit]:
    """Flip one bit of the file at a time, and flip it back."""
    with path.open("r+b", buffering=0) as stream:
        for position, bit in bits:
            (byte,) = os.pread(stream.fileno(), 1, position)
            os.pwrite(stream.fileno(), bytes([byte ^ (1 << bit)]), position)
            yield position, bit
            os.pwrite(stream.fileno(), bytes([byte]), position)


def refusals(path: Path, bits: Iterable[Bit]) -> dict[int, int]:
    """How often `kolm verify` ended with which exit code; all of them have to be refusals."""
    codes = {1: 0, 3: 0}
    for bit in flipped(path, bits):
        ran = invoke("verify", path)
        assert ran.code in codes, (bit, ran)
        assert "Traceback" not in ran.stderr, (bit, ran.stderr)
        codes[ran.code] += 1
    return codes


def test_random_bits_of_a_compiled_bundle(
    compiled: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(compiled.home))
    path = tmp_path / "flipped.kolm"
    data = compiled.bundle.read_bytes()
    path.write_bytes(data)
    assert invoke("verify", path).code == 0
    chosen = random.Random(20260301)
    bits = {(chosen.randrange(len(data)), chosen.randrange(8)) for _ in range(FLIPS)}
    while len(bits) < FLIPS:
        bits.add((chosen.randrange(len(data)), chosen.randrange(8)))
    codes = refusals(path, sorted(bits))
    print(f"\n{FLIPS} flips in {len(data):,} bytes: exit codes {codes}")
    assert sum(codes.values()) == FLIPS
    assert path.read_bytes() == data


def metadata_of(path: Path) -> list[int]:
    """The positions of every byte that belongs to no member: tar headers, padding, index,
    manifests and claims."""
    members = {member.digest for member in Bundle.open(path).members}
    inside: set[int] = set()
    for entry in open_container(path).entries:
        if f"sha256:{entry.name.rpartition('/')[2]}" in members:
            inside.update(range(entry.offset, entry.offset + entry.size))
    return [position for position in range(path.stat().st_size) if position not in inside]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """The smallest bundle, and the home of somebody who trusts its publisher."""
    return World.make(tmp_path, cases=1, train=1).seal()


def test_every_bit_of_the_metadata_is_refused_on_opening(small: Path) -> None:
    positions = metadata_of(small)
    bits = [(position, bit) for position in positions for bit in range(8)]
    unnoticed = []
    for bit in flipped(small, bits):
        try:
            Bundle.open(small)
        except (Refused, Unreadable):
            continue
        unnoticed.append(bit)
    print(f"\n{len(bits):,} bits of {len(positions):,} bytes of metadata, each refused")
    assert not unnoticed


def test_a_bit_of_every_byte_of_the_metadata_ends_the_command_in_order(
    compiled: Line, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLM_HOME", str(compiled.home))
    chosen = random.Random(7)
    bits = [(position, chosen.randrange(8)) for position in metadata_of(small)]
    print(f"\n{len(bits):,} bits, one of every byte: exit codes {refusals(small, bits)}")
