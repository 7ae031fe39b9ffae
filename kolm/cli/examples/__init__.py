"""The command line: the examples of ``kolm init``, one file each with a function ``write``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kolm.cli.examples import easy_vqa, gauges, plain, plates

# name -> writes the project's files into a folder and gives their names and the next commands
Writer = Callable[[Path], tuple[str, ...]]

EXAMPLES: dict[str, Writer] = {
    "easy-vqa": easy_vqa.write,
    "gauges": gauges.write,
    "plates": plates.write,
}

write_plain: Writer = plain.write
