"""Every method on one real task: accuracy, size, time and memory, one line each.

    python -m bench.methods --steps 300 --threads 1
    python -m bench.methods --only lora,ia3

The task is that of `kolm init --example gauges`: 600 drawn dials whose needle must be read, judged
on pictures that no training saw. Everything but the method is the same, and each learns at the rate
that kolm takes where a spec states none. Each compiles in a process of its own; the figures are the
evaluation's, the receipt's and the provenance claim's. Writes the table as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from kolm.bundle.reader import Bundle
from kolm.format import names
from kolm.sign.envelope import open_envelope
from kolm.sign.predicates import PROVENANCE
from kolm.sign.statement import parse

Spec = dict[str, Any]

# What of ``train`` each changes.
VARIANTS: dict[str, Spec] = {
    "lora": {"method": {"kind": "lora", "rank": 16, "alpha": 32}},
    "dora": {"method": {"kind": "lora", "rank": 16, "alpha": 32, "use_dora": True}},
    "qlora": {"method": {"kind": "lora", "rank": 16, "alpha": 32}, "quantisation": "nf4"},
    "ia3": {"method": {"kind": "ia3"}},
    "bottleneck": {"method": {"kind": "bottleneck"}},
    "prefix": {"method": {"kind": "prefix"}},
    "prompt": {"method": {"kind": "prompt"}},
    "p_tuning": {"method": {"kind": "p_tuning"}},
    "p_tuning, lstm": {"method": {"kind": "p_tuning", "encoder": "lstm"}},
    "lora, projector lora": {"method": {"kind": "lora"}, "projector": "lora"},
    "lora, projector frozen": {"method": {"kind": "lora"}, "projector": "frozen"},
}
HEAD = ("variant", "accuracy (95 %)", "trained", "adapter", "rate", "s a step", "peak")


class Row(NamedTuple):
    """What one variant gave."""

    accuracy: str
    trained: str
    adapter: str
    rate: str
    seconds: str
    peak: str


def measure(change: Spec, *, steps: int, threads: int, home: Path) -> Row:
    """Compile the task with one change and read what came of it.

    Raises:
        subprocess.CalledProcessError: kolm refuses it; its error is on stderr.
    """
    with tempfile.TemporaryDirectory() as place:
        project = Path(place) / "gauges"
        environment = {**os.environ, "KOLM_HOME": str(home), "HF_HUB_OFFLINE": "1"}

        def kolm(*words: str, folder: Path = project) -> None:
            command = [sys.executable, "-m", "kolm", "-q", *words]
            subprocess.run(command, cwd=folder, env=environment, check=True, stdout=sys.stderr)

        kolm("init", str(project), "--example", "gauges", folder=home)
        kolm("keys", "new", "--if-missing")
        kolm("capture", "import", "pairs.jsonl")
        (project / "kolm.json").write_bytes(json.dumps(spec(change, steps, threads)).encode())
        kolm("compile", "kolm.json", "--allow-below-gate")
        return read(Bundle.open(project / "gauges.kolm"))


def spec(change: Spec, steps: int, threads: int) -> Spec:
    """The spec of the task with one change; no rate is stated, and nothing is demanded."""
    return {
        "kolm": 1,
        "name": "gauges",
        "base": "kolm/nano-1",
        "data": {
            "captures": "captures",
            "split": {"eval": 0.2, "validation": 0.05},
            "near_duplicates": "report",
        },
        "train": {**change, "steps": steps, "batch_size": 32, "threads": threads},
        "evaluation": {"metric": {"kind": "relaxed", "tolerance": 0.05}},
        "cost": "local",
    }


def read(bundle: Bundle) -> Row:
    """The row of a bundle."""
    found, trained = bundle.document(names.EVALUATION), bundle.receipt["vlm_train"]
    interval = found["adapter"]["interval"]
    measured = _measured(bundle)
    seconds = float(measured["train_seconds"]) / trained["steps"]
    return Row(
        accuracy=f"{float(found['adapter']['accuracy']):.3f} "
        f"({float(interval['low']):.3f} to {float(interval['high']):.3f})",
        trained=f"{trained['trained_parameters']:,}",
        adapter=f"{trained['adapter_bytes'] / 1024:,.0f} KiB",
        rate=str(trained["learning_rate"]),
        seconds=f"{seconds:.3f}",
        peak=f"{int(measured['peak_memory_bytes']) / 1024**2:,.0f} MiB",
    )


def _measured(bundle: Bundle) -> dict[str, Any]:
    for number, claim in enumerate(bundle.claims):
        said = parse(open_envelope(claim, where=str(number)).payload).of(PROVENANCE)
        if said:
            return dict(said["runDetails"]["byproducts"][0]["annotations"])
    raise LookupError("the bundle has no provenance")


def main() -> None:
    """Measure the variants in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", help="some of them, by name, with commas")
    asked = parser.parse_args()
    chosen = asked.only.split(",") if asked.only else list(VARIANTS)
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as home:
        for name in chosen:
            row = measure(VARIANTS[name], steps=asked.steps, threads=asked.threads, home=Path(home))
            print("| " + " | ".join((name, *row)) + " |", flush=True)


if __name__ == "__main__":
    main()
