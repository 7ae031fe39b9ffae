"""The command line: a project of one's own, with the fewest keys a spec can have."""

from __future__ import annotations

from pathlib import Path

from kolm.cli.examples import project

SPEC = """\
# Every key: kolm help reference/spec
kolm: 1
name: my-task
base: kolm/nano-1
data:
  captures: captures
  split: {eval: 0.2, validation: 0.05}
"""

NEXT = (
    "kolm capture import pairs.jsonl",
    "kolm check",
    "kolm keys new --if-missing",
    "kolm compile",
)


def write(folder: Path) -> tuple[str, ...]:
    """Write the project and give the commands that come next."""
    project.start(folder, spec=SPEC)
    return NEXT
