"""Every method on one real task: accuracy, size, time and memory, one line each.

    pip install --no-deps scikit-image scikit-learn
    python -m bench.methods
    python -m bench.methods --folder build/methods --only lora,ia3    # some of them, kept

The task: 1,797 scanned digits (UCI, in scikit-learn), a fifth of them kept for the score. Steps,
batch and threads are the same for all; each learns at the rate that kolm takes where a spec states
none, which was chosen on another task, but LoRA at the one beside which the others were chosen.
Each compiles in processes of its own, is sealed, and is verified with base and captures. The
figures are the evaluation's, the receipt's and the compute claim's. Writes the table as Markdown.
"""

from __future__ import annotations

from typing import Any

from bench.pictures import digits
from bench.variants import Made, Task, run, step_seconds, with_interval

RATE = {"learning_rate": 0.001, "projector_learning_rate": 0.0005}
# What of ``train`` each changes.
VARIANTS: dict[str, dict[str, Any]] = {
    "lora": RATE,
    "rslora": {**RATE, "method": {"kind": "lora", "rslora": True}},
    "dora": {**RATE, "method": {"kind": "lora", "dora": True}},
    "qlora": {**RATE, "quantisation": "nf4"},
    "ia3": {"method": "ia3"},
    "bottleneck": {"method": "bottleneck"},
    "prefix": {"method": "prefix"},
    "prompt": {"method": "prompt"},
    "p_tuning": {"method": "p_tuning"},
    "p_tuning-lstm": {"method": {"kind": "p_tuning", "encoder": "lstm"}},
}
HEAD = (
    "variant",
    "accuracy (95 %)",
    "trained",
    "adapter",
    "rate",
    "CPU s a step",
    "peak",
    "verified",
)
TASK = Task(
    rows=digits,
    split={"eval": 0.2, "validation": 0.05},
    metric="exact",
    train={"batch_size": 32, "threads": 1},
)


def row(made: Made) -> tuple[str, ...]:
    """What one variant gave."""
    trained = made.trained
    return (
        with_interval(made.evaluation["adapter"]),
        f"{trained['trained_parameters']:,}",
        f"{trained['adapter_bytes'] / 1024:,.0f} KiB",
        trained["learning_rate"],
        f"{step_seconds(made):.3f}",
        f"{made.peak_bytes / 1024**2:,.0f} MiB",
        made.verified,
    )


if __name__ == "__main__":
    run(__doc__, TASK, VARIANTS, steps=200, head=HEAD, row=row)
