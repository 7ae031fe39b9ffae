"""The command line that makes and measures the embedded base."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from tools.pretrain import architecture
from tools.pretrain.run import Run, export
from tools.pretrain.skills import measure_skills


def main(arguments: list[str]) -> None:
    """Train, export and measure, as far as asked."""
    parser = argparse.ArgumentParser(prog="python -m tools.pretrain")
    parser.add_argument("--out", type=Path, help="train in this folder, or go on there")
    parser.add_argument("--minutes", type=float, default=80, help="of training in all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export", type=Path, help="a run's folder")
    parser.add_argument("--to", type=Path, default=architecture.WEIGHTS)
    parser.add_argument("--evaluate", type=Path, help="a model folder")
    parser.add_argument("--scenes", type=int, default=1000, help="held-out scenes")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    if chosen.out:
        Run(chosen.out, chosen.minutes).train()
    if chosen.export:
        export(chosen.export, chosen.to)
    if chosen.evaluate:
        skills = measure_skills(chosen.evaluate, chosen.scenes)
        rows = [f"| {skill} | {n} | {100 * k / n:.1f} % |" for skill, (k, n) in skills.items()]
        table = ["| skill | questions | right |", "|---|---|---|", *rows]
        sys.stdout.write("\n".join(table) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
