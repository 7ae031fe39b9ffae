"""The peak that `kolm plan` predicts beside the peak that a training observes.

    python -m bench.plan_peaks                 # the gauges of `kolm init`, 4 steps of each setting

Compiles once for each setting, in this machine's memory, and prints what the compute claim states.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import yaml

from kolm.actions import capturing, compiling, inspecting, keyring
from kolm.cli.examples import gauges

SETTINGS: tuple[tuple[str, dict[str, object]], ...] = (
    ("batch 32", {}),
    ("batch 8", {"batch_size": 8}),
    ("batch 128", {"batch_size": 128}),
    ("rank 64", {"method": {"kind": "lora", "rank": 64}}),
    ("batch 64, bfloat16", {"batch_size": 64, "precision": "bfloat16"}),
    ("batch 16", {"batch_size": 16}),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=4)
    steps = parser.parse_args().steps
    print(f"{'setting':42}{'predicted MiB':>15}{'observed MiB':>15}{'ratio':>8}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["KOLM_HOME"] = str(folder / "home")
        keyring.new_key()
        project = folder / "project"
        gauges.write(project)
        os.chdir(project)
        capturing.import_captures(project / "pairs.jsonl", store=project / "captures")
        path = project / "kolm.yaml"
        spec = yaml.safe_load(path.read_text())
        spec["data"]["split"] = {"eval": 0.02, "validation": 0}
        for name, changed in SETTINGS:
            train = {**spec["train"], "steps": steps, **changed}
            path.write_text(yaml.safe_dump({**spec, "train": train}))
            bundle = folder / "made.kolm"
            compiling.compile_bundle(path, output=bundle, allow_below_gate=True)
            (row,) = inspecting.inspect(bundle)["computes"]
            predicted = row["compute"]["predicted_peak_bytes"]
            observed = row["compute"]["measured"]["observed_peak_bytes"]
            bundle.unlink()
            mebi = (predicted >> 20, observed >> 20)
            print(f"{name:42}{mebi[0]:>15}{mebi[1]:>15}{predicted / observed:8.2f}", flush=True)


if __name__ == "__main__":
    main()
