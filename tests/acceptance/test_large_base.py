"""A base of Qwen2.5-VL-3B's real shape through the line: read once, and little memory beside it.

The weights are random and lie in shards, as published ones do. What is measured is printed.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical
from kolm.bundle.reader import Bundle
from kolm.format.names import LOCK
from tests.support import large_base
from tests.support.lines import LOWEST_FLOORS, Line, Process, same_answer

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

GIBIBYTE = 1 << 30
CASES = 4
STEPS = 2
POLICY = {
    "schema": "urn:kolm:policy:v1",
    "name": "a-new-base",
    "claims": [
        {"predicate": "urn:kolm:modules:v1", "role": "builder", "threshold": 1},
        {"predicate": "urn:kolm:kscore:v1", "role": "evaluator", "threshold": 1},
    ],
    "freeze": ["vision frozen"],
    "minimum_eval_cases": CASES,
    "gate": "any",
    "reach": ["delta_scope", "base_identity", "scores"],
}
ASKED = ("V14", "V20", "V21", "V22", "V27", "V40", "V41", "V42", "V43", "V61", "V62", "V65")


def forget(base: Path) -> None:
    """Let the system's memory hold nothing of a folder's files."""
    os.sync()
    for path in base.iterdir():
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def told(what: str, ran: Process, size: int, read: int) -> None:
    print(
        f"{what}: {ran.seconds:.0f} s, peak memory {ran.peak_memory_bytes / GIBIBYTE:.2f} GiB, "
        f"read from disk {read / size:.2f} x the weights"
    )


def measured(line: Line, *words: str | Path) -> tuple[Process, int]:
    """Run a command; gives what it and its children read from the disk as well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock
    ran = line.demand(*words)
    return ran, 512 * (resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock - before)


def test_a_base_of_three_billion_parameters(tmp_path: Path) -> None:
    base = tmp_path / "base"
    size = large_base.write(base)
    print(f"\nweights: {size / GIBIBYTE:.2f} GiB in {len(list(base.glob('*.safetensors')))} files")
    time.sleep(2.1)  # a file that changed a moment ago is not remembered
    line = Line.make(
        tmp_path / "line",
        rows=[{**row, "response": "a"} for row in same_answer(4 * CASES)],
        base=base,
        steps=STEPS,
        batch_size=2,
        learning_rate=0.0002,
        floors=LOWEST_FLOORS.replace("k: 0", "k: 0.85"),
        metric="exact, max_new_tokens: 2, batch_size: 4",
        more="  precision: bfloat16\n",
    )
    policy = line.folder / "policy.json"
    policy.write_bytes(canonical.dumps(POLICY))

    forget(base)
    ran, read = measured(line, "compile", "--dry-run", "--json")
    told("plan", ran, size, read)
    assert ran.peak_memory_bytes < 2 * GIBIBYTE  # no weight is loaded
    again, read_again = measured(line, "compile", "--dry-run", "--json")
    told("plan, again", again, size, read_again)
    assert again.document()["lock"] == ran.document()["lock"]

    forget(base)
    ran, read = measured(line, "compile", "--allow-below-gate", "--policy", policy, "--json")
    told("compile", ran, size, read)
    made = ran.document()
    assert made["gate_passed"] is False
    assert ran.peak_memory_bytes <= 1.3 * size + 4 * GIBIBYTE
    assert read <= 1.1 * size
    lock = Bundle.open(line.bundle).document(LOCK)
    assert (lock["train"]["steps"], lock["base"]["dtype"]) == (STEPS, "bfloat16")

    line.demand("clean", "--bases")
    for name in ("verify", "verify, again"):
        forget(base)
        ran, read = measured(
            line, "verify", line.bundle, "--base", base, "--policy", policy, "--json"
        )
        told(name, ran, size, read)
        checks: dict[str, Any] = {check["id"]: check for check in ran.document()["checks"]}
        assert {number: checks[number]["verdict"] for number in ASKED} == dict.fromkeys(ASKED, "ok")
        assert ran.peak_memory_bytes < GIBIBYTE
    assert "not read again" in checks["V41"]["detail"]
