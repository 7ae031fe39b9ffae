"""The files of `kolm/models/published/`: shapes as the library makes them of a config.

    .venv/bin/python -m tests.support.published   # writes the shapes of every file again

A new file needs ``base``, ``source`` (where its config can be read) and ``config`` (the keys that
sizes depend on); the rest is written here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from kolm.models import published

FOLDER = Path(published.__file__).parent / "published"
# A name inside one of a stack's blocks.
_NUMBER = re.compile(r"(?<=\.)(layers?|blocks|deepstack_merger_list)\.(\d+)\.")


def build(config: dict[str, Any]) -> Any:
    """The library's model of a config, without memory for its weights."""
    import torch
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    from kolm.models.library import model_class

    settings = {**config}
    model_type = settings.pop("model_type")
    with torch.device("meta"):
        made = model_class(model_type).from_config(CONFIG_MAPPING[model_type](**settings))
        made.tie_weights()
    return made


def shapes_of(model: Any) -> list[list[Any]]:
    """Patterns of names, how many there are of each or which numbers they have, and their shape."""
    found: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for name, parameter in model.named_parameters():
        shape = tuple(parameter.shape)
        number = _NUMBER.search(name)
        pattern = _NUMBER.sub(r"\1.*.", name, count=1) if number else name
        found.setdefault((pattern, shape), []).append(int(number[2]) if number else 0)
    return [
        [pattern, len(own) if own == [*range(len(own))] else own, [*shape]]
        for (pattern, shape), own in sorted(found.items())
    ]


def write(path: Path) -> None:
    """Write the shapes of a file again."""
    value = json.loads(path.read_text())
    model = build(value["config"])
    rows = ",\n".join(f"  {json.dumps(row)}" for row in shapes_of(model))
    value["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    head = "\n".join(
        f" {json.dumps(key)}: {json.dumps(value[key], sort_keys=True)},"
        for key in ("base", "source", "parameters", "config")
    )
    path.write_text(f'{{\n{head}\n "shapes": [\n{rows}\n ]\n}}\n')


if __name__ == "__main__":
    for file in sorted(FOLDER.glob("*.json")):
        write(file)
