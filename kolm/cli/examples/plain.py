"""The command line: a project of one's own, with the fewest keys a spec can have."""

from __future__ import annotations

import re
from pathlib import Path

from kolm.cli.examples import project

SPEC = """\
# Every key: kolm help reference/spec
kolm: 1
name: "{name}"
base: kolm/nano-1
data:
  captures: captures
  split: {{eval: 0.2, validation: 0.05}}
"""

NEXT = (
    "kolm keys new --if-missing",
    "kolm capture import pairs.jsonl",
    "kolm check",
    "kolm compile",
)


def write(folder: Path) -> tuple[str, ...]:
    """Write the project and give the commands that come next."""
    project.start(folder, spec=SPEC.format(name=_name(folder)))
    return NEXT


def _name(folder: Path) -> str:
    """The folder's name as a bundle's name."""
    allowed = re.sub(r"[^a-z0-9._-]+", "-", folder.absolute().name.lower())
    return allowed.lstrip("._-")[:64] or "my-task"
