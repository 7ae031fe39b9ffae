"""No bit of a bundle can be changed unnoticed: `kolm verify` says no, in good order."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kolm import canonical
from kolm.bundle.container import open_container
from kolm.bundle.reader import Bundle
from kolm.errors import Refused, Unreadable
from kolm.registry.check import without_gate
from kolm.verify.policy import BUILT_IN
from tests.support.audits import World
from tests.support.commands import invoke
from tests.support.lines import Line
from tests.support.toy_base import TOY

pytestmark = pytest.mark.slow
FLIPS = 2_000
MINIMAL_BYTES = 64 * 1024
# A base without blocks in its tower, and with one of attention alone in its language model.
LEFT_OUT = re.compile(r"blocks\.|layers\.1\.|layernorm|mlp\.\w+_proj|rotary")
Bit = tuple[int, int]


def flipped(path: Path, bits: Iterable[Bit]) -> Iterator[Bit]:
    """Flip one bit of the file at a time, and flip it back."""
    with path.open("r+b", buffering=0) as stream:
        for position, bit in bits:
            (byte,) = os.pread(stream.fileno(), 1, position)
            os.pwrite(stream.fileno(), bytes([byte ^ (1 << bit)]), position)
            yield position, bit
            os.pwrite(stream.fileno(), bytes([byte]), position)


def refusals(path: Path, bits: Iterable[Bit], *words: str | Path) -> dict[int, int]:
    """How often `kolm verify` ended with which exit code; all of them have to be refusals."""
    codes = {1: 0, 3: 0}
    for bit in flipped(path, bits):
        ran = invoke("verify", path, *words)
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


@dataclass(frozen=True)
class Minimal:
    """A bundle with every member and all five claims, and what `kolm verify` accepts it by."""

    path: Path
    policy: Path


@pytest.fixture
def minimal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Minimal:
    """One case, one example, one adapted layer; its publisher is trusted, and what the built-in
    policy demands but for its scores is demanded: one case shows nothing of how good it is.
    """
    modules = [module for module in TOY if not LEFT_OUT.search(module.name)]
    method = {"kind": "lora", "rank": 1, "alpha": 1, "targets": ["q_proj"]}
    world = World.make(tmp_path, cases=1, train=1, modules=modules, method=method)
    policy = world.home(tmp_path, monkeypatch) / "policy.json"
    policy.write_bytes(canonical.dumps(without_gate(BUILT_IN).document))
    made = Minimal(world.seal(), policy)
    assert made.path.stat().st_size <= MINIMAL_BYTES
    assert len(Bundle.open(made.path).claims) == len(world.parts.predicates())
    assert invoke("verify", made.path, "--policy", policy).code == 0
    return made


def test_every_bit_of_a_minimal_bundle_is_refused(minimal: Minimal) -> None:
    """Each bit of the file is flipped by itself, on the disk, and the file opened as everything
    opens it that uses a bundle: `Bundle.open` reads it anew and asks, until one refuses, the very
    functions that `kolm verify` asks as V01 to V05 and V09. It has to end in a typed error; any
    other ends the test. No bit is drawn, left out or concluded from another one.
    """
    data = minimal.path.read_bytes()
    codes: Counter[str] = Counter()
    opened = []
    began = time.perf_counter()
    for bit in flipped(minimal.path, ((p, bit) for p in range(len(data)) for bit in range(8))):
        try:
            Bundle.open(minimal.path)
        except (Refused, Unreadable) as error:
            codes[error.code] += 1
        else:
            opened.append(bit)
    took = time.perf_counter() - began
    print(f"\n{codes.total():,} bits of {len(data):,} bytes refused in {took:.0f} s: {dict(codes)}")
    assert not opened
    assert codes.total() == 8 * len(data)
    assert minimal.path.read_bytes() == data  # as it was accepted


def test_a_bit_of_every_byte_of_the_metadata_ends_the_command_in_order(minimal: Minimal) -> None:
    chosen = random.Random(7)
    bits = [(position, chosen.randrange(8)) for position in metadata_of(minimal.path)]
    codes = refusals(minimal.path, bits, "--policy", minimal.policy)
    print(f"\n{len(bits):,} bits, one of every byte: exit codes {codes}")
