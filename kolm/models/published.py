"""Models: sizes of published bases: their configs and the shapes of their parameters, as facts.

So that a training can be planned before a base is downloaded. One file a base in ``published/``,
named after it; the shapes are those that the library makes of the config, and a test builds every
model again without weights to hold them. Torch-free.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from kolm import canonical
from kolm.roles import Config

_FOLDER: Final = Path(__file__).parent / "published"


class Published(NamedTuple):
    """A published base.

    Attributes:
        base: its name on the hub.
        source: where its config is published.
        config: of it, the keys that sizes depend on.
        parameters: name in memory and shape of each; a tied head is not among them.
    """

    base: str
    source: str
    config: Config
    parameters: tuple[tuple[str, tuple[int, ...]], ...]


def names() -> list[str]:
    """The bases whose sizes are known, sorted."""
    return sorted(path.stem.replace("--", "/", 1) for path in _FOLDER.glob("*.json"))


@cache
def find(name: str) -> Published | None:
    """The sizes of a base; None where they are not known."""
    if name not in names():
        return None
    path = _FOLDER / f"{name.replace('/', '--', 1)}.json"
    value = canonical.loads(path.read_bytes(), where=path.name, floats=True)
    return Published(
        base=value["base"],
        source=value["source"],
        config=value["config"],
        parameters=tuple(
            (pattern.replace("*", str(number)), tuple(shape))
            for pattern, numbers, shape in value["shapes"]
            for number in (range(numbers) if isinstance(numbers, int) else numbers)
        ),
    )
