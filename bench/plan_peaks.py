"""The peak that `kolm plan` predicts beside the peak that a training observes.

    python -m bench.plan_peaks                 # the gauges of `kolm init`, 4 steps of each setting
    python -m bench.plan_peaks smolvlm         # settings of one base alone
    python -m bench.plan_peaks --own-pages     # and each again, with pages for every tensor

The embedded base, and a SmolVLM with random weights: text blocks, vocabulary and head as wide as
those of SmolVLM-256M, but six blocks and a small tower. Compiles once for each setting, in this
machine's memory, and prints what the compute claim states. With `--own-pages` it compiles again,
and every large tensor has pages of its own, which go back to the system when it is freed
(`MALLOC_MMAP_THRESHOLD_`): what the first peak is above that is what the C library's allocator
keeps of freed tensors between others (`kolm.planning.memory.KEPT`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Mapping
from multiprocessing import Process
from pathlib import Path
from unittest import mock

import yaml

from kolm.actions import capturing, compiling, inspecting, keyring, stages
from kolm.cli.examples import gauges
from tests.support import families

NANO, SMOLVLM = "kolm/nano-1", "smolvlm"
LORA = {"kind": "lora", "rank": 16, "alpha": 32}
SETTINGS: tuple[tuple[str, str, dict[str, object]], ...] = (
    (NANO, "batch 8", {"batch_size": 8}),
    (NANO, "batch 32", {}),
    (NANO, "batch 128", {"batch_size": 128}),
    (NANO, "rank 64", {"method": {"kind": "lora", "rank": 64}}),
    (NANO, "batch 64, bfloat16", {"batch_size": 64, "precision": "bfloat16"}),
    (NANO, "batch 64, dropout", {"batch_size": 64, "method": {**LORA, "dropout": 0.1}}),
    (SMOLVLM, "batch 4", {"batch_size": 4}),
    (SMOLVLM, "batch 16", {"batch_size": 16}),
    (SMOLVLM, "batch 16, rank 64", {"batch_size": 16, "method": {"kind": "lora", "rank": 64}}),
    (SMOLVLM, "batch 16, bfloat16", {"batch_size": 16, "precision": "bfloat16"}),
    (SMOLVLM, "batch 96", {"batch_size": 96}),
)
OWN_PAGES = {"MALLOC_MMAP_THRESHOLD_": str(64 << 10)}


def make_smolvlm(folder: Path) -> None:
    """SmolVLM-256M's widths (its config.json), six of its 30 blocks, random weights."""
    config = families.config("smolvlm")
    text = config.text_config
    text.hidden_size, text.intermediate_size, text.vocab_size = 576, 1536, 49280
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 9, 3, 64
    text.num_hidden_layers = 6
    families.make_model("smolvlm", made_for=config).save_pretrained(folder)
    families.processor("smolvlm").save_pretrained(folder)


def peaks(spec: Path, extra: Mapping[str, str]) -> tuple[int, int]:
    """The predicted and the observed peak of a training in MiB."""
    own = stages.child_environment

    def environment(threads: int) -> dict[str, str]:
        return {**own(threads), **extra}

    with mock.patch.object(stages, "child_environment", environment):
        made = compiling.compile_bundle(spec, allow_below_gate=True, force=True)
    (row,) = inspecting.inspect(made.bundle)["computes"]
    compute = row["compute"]
    return compute["predicted_peak_bytes"] >> 20, compute["measured"]["observed_peak_bytes"] >> 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base", nargs="?", choices=(NANO, SMOLVLM))
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--own-pages", action="store_true")
    asked = parser.parse_args()
    heads = ["predicted MiB", "observed MiB", "ratio", *(["own pages"] if asked.own_pages else [])]
    print(f"{'setting':36}" + "".join(f"{head:>15}" for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["KOLM_HOME"] = str(folder / "home")
        keyring.new_key()
        project = folder / "project"
        gauges.write(project)
        os.chdir(project)
        making = Process(target=make_smolvlm, args=(project / SMOLVLM,))
        making.start()  # here is only what a compile holds as well
        making.join()
        capturing.import_captures(project / "pairs.jsonl", store=project / "captures")
        path = project / "kolm.yaml"
        spec = yaml.safe_load(path.read_text())
        spec["data"]["split"] = {"eval": 0.01, "validation": 0}
        spec["evaluation"] = {**spec["evaluation"], "max_new_tokens": 2}
        for base, name, changed in SETTINGS:
            if asked.base not in (None, base):
                continue
            train = {**spec["train"], "steps": asked.steps, **changed}
            path.write_text(yaml.safe_dump({**spec, "base": base, "train": train}))
            predicted, observed = peaks(path, {})
            row = f"{predicted:15}{observed:15}{predicted / observed:15.2f}"
            shutil.rmtree(project / ".kolm")  # or the training would be found again
            if asked.own_pages:
                row += f"{peaks(path, OWN_PAGES)[1]:15}"
                shutil.rmtree(project / ".kolm")
            print(f"{base + ', ' + name:36}{row}", flush=True)


if __name__ == "__main__":
    main()
