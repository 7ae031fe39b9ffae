"""What transformers may find besides torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.support import families

pytestmark = pytest.mark.heavy

_USED = "def {name}(*arguments, **named):\n    raise AssertionError('{name} was used')\n"
_KERNELS = {
    "causal_conv1d/__init__.py": ("causal_conv1d_fn", "causal_conv1d_update"),
    "fla/__init__.py": (),
    "fla/ops/__init__.py": (),
    "fla/ops/gated_delta_rule.py": (
        "chunk_gated_delta_rule", "fused_recurrent_gated_delta_rule",
    ),
}  # fmt: skip
# A first import of transformers in a process of its own, as a training has it.
_LOADED = """
import sys, torch
from pathlib import Path
from kolm.models.load import load_model
model = load_model(Path(sys.argv[1]))
with torch.no_grad():
    model(input_ids=torch.tensor([[5, 6, 7]]))
import causal_conv1d, fla
print(causal_conv1d.__file__, fla.__file__)
"""


@pytest.mark.parametrize("model_type", ["lfm2_vl", "qwen3_5", "qwen3_5_moe"])
def test_kernels_that_are_installed_are_not_used_and_are_there_afterwards(
    model_type: str, tmp_path: Path
) -> None:
    for name, functions in _KERNELS.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(_USED.format(name=function) for function in functions))
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, str(families.save(model_type, tmp_path / "base"))],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(tmp_path)) == 2
