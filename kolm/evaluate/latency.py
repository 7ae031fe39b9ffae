"""Evaluate: how long one call takes on this machine, from image bytes to text.

A measurement, so it never enters a bundle's content: it goes into `measurements.json` and from
there into the signed K-score claim, with the machine it was taken on. docs/format/kscore.md, K4.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kolm import canonical
from kolm.evaluate.plan import CaptureRow
from kolm.evaluate.session import EvaluationSession
from kolm.score.kscore import LATENCY_CALLS

WARM_UP_CALLS = 5  # the first calls pay for lazy imports and for memory that is kept afterwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Single calls, batch 1, nothing cached: microseconds, and tokens of prompt and answer."""

    calls: int
    p50_us: int
    p95_us: int
    tokens_per_call: str


def measure_latency(session: EvaluationSession) -> Latency:
    """Time single calls on cases spread evenly over the eval set, after a warm-up.

    A call is everything between a request and its text: reading and decoding the picture, the
    prompt's tokens, tower, projector and generation.
    """
    chosen = _spread(session.sources.captures, LATENCY_CALLS + WARM_UP_CALLS)
    timed = [_time_call(session, row) for row in chosen][WARM_UP_CALLS:]
    durations = sorted(duration for duration, _ in timed)
    tokens = sum(count for _, count in timed)
    return Latency(
        calls=len(durations),
        p50_us=_median(durations),
        p95_us=durations[math.ceil(0.95 * len(durations)) - 1],
        tokens_per_call=canonical.decimal(tokens / len(timed)),
    )


def machine_memory_bytes() -> int:
    """The physical memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _spread(rows: Sequence[CaptureRow], count: int) -> list[CaptureRow]:
    """`count` rows at even distances, starting over when there are fewer."""
    step = max(1, len(rows) // count)
    return [rows[index * step % len(rows)] for index in range(count)]


def _time_call(session: EvaluationSession, row: CaptureRow) -> tuple[int, int]:
    begin = time.perf_counter_ns()
    example = session.encoder.encode_prompt(row[1])
    (answer,) = session.answer([example], session.pictures())
    elapsed_us = (time.perf_counter_ns() - begin) // 1000
    return elapsed_us, len(example.input_ids) + answer.tokens


def _median(ordered: Sequence[int]) -> int:
    """The true median: of an even number of values, the mean of the middle two, rounded down."""
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) // 2
