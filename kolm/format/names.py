"""The format: the names of a bundle's members, as the table in docs/format/bundle.md lists them.

A run folder holds most of them as files of the same names; `kolm.run.names` adds its own.
"""

from __future__ import annotations

from typing import Final

RECEIPT: Final = "receipt.json"
WEIGHTS: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
MODULES: Final = "modules.jsonl"
LOCK: Final = "spec.lock.json"
SNAPSHOT: Final = "snapshot.json"
LINES: Final = "snapshot.jsonl"
CASES: Final = "evalcases.jsonl"
EXAMPLES: Final = "examples.jsonl"
TRACE: Final = "trace.jsonl"
PREDICTIONS: Final = "predictions.jsonl"
EVALUATION: Final = "evaluation.json"
CARD: Final = "README.md"
