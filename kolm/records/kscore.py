"""The K-score claim as Python values; its meaning is docs/format/kscore.md.

A claim, not content: latency and cost are measurements of one machine, and a re-score may state
others beside it without changing the bundle's id.
"""

from __future__ import annotations

from typing import NamedTuple


class Inputs(NamedTuple):
    """What the formula of kscore/v1 reads; each is demanded, none has a default."""

    accuracy: str
    coverage: str
    size_bytes: int
    p50_latency_us: int
    p95_latency_us: int
    latency_calls: int
    cost_usd_per_call: str


class Axes(NamedTuple):
    """Accuracy, size, latency, cost and coverage on 0 to 1, written with four places."""

    A: str
    S: str
    L: str
    C: str
    V: str


class Gate(NamedTuple):
    """The verdict: K and every floor that are demanded must pass."""

    k: str | None
    k_passed: bool | None
    floors_passed: bool
    verdict: str  # passed | failed


class Overlap(NamedTuple):
    """What of a pack the bundle was trained or validated on.

    Attributes:
        cases: all cases of the pack.
        seen_cases: those that show a picture that training saw, or were trained on themselves.
        captures: those that were trained on themselves, to the letter.
        images: pictures of the pack that training saw.
        near_twins: further pictures of the pack that have a near twin among those that training
            saw; None where those pictures were not at hand.
    """

    cases: int
    seen_cases: int
    captures: int
    images: int
    near_twins: int | None


class Pack(NamedTuple):
    """Which cases were scored: the Merkle root of their snapshot leaves, and whose they are.

    Attributes:
        overlap: with training; None for the bundle's own cases, of which V39 and V49 tell it.
    """

    root: str
    owner: str
    overlap: Overlap | None = None


class Machine(NamedTuple):
    """Where latency was measured."""

    cpu: str
    threads: int
    device: str
    memory_bytes: int


class KScore(NamedTuple):
    """The composite with everything it was computed from."""

    schema: str
    spec: str
    inputs: Inputs
    axes: Axes
    composite: str
    gate: Gate
    evaluation: str
    pack: Pack
    machine: Machine
    measured_on: str
