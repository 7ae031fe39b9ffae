"""The command line: what every project folder of ``kolm init`` holds, and the rule to keep."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from kolm import outputs
from kolm.errors import Refused

IGNORED = """\
# What kolm makes again, and what must never be committed.
/captures/
/runs/
/.kolm/
*.kolm
*.pem
"""


def start(folder: Path, *, spec: str, others: tuple[str, ...] = ()) -> None:
    """Write kolm.yaml and .gitignore.

    Args:
        folder: made when it is missing.
        spec: text of kolm.yaml.
        others: names of the files and folders that the example will write next.

    Raises:
        Refused: ``E_INIT_EXISTS``, one of the names is there already; nothing is written.
    """
    for name in ("kolm.yaml", ".gitignore", *others):
        if os.path.lexists(folder / name):  # also a link that leads to nothing yet
            raise Refused(
                "E_INIT_EXISTS",
                "this would overwrite a file",
                where=str(folder / name),
                hint="choose another folder, or move the file away",
            )
    outputs.write(folder / "kolm.yaml", spec.encode())
    outputs.write(folder / ".gitignore", IGNORED.encode())


def shipped_spec(name: str) -> str:
    """The text of a spec from ``specs/``: inside the package, or at the top of a checkout."""
    packaged = resources.files("kolm") / "_specs" / f"{name}.yaml"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    checkout = Path(__file__).parents[3] / "specs" / f"{name}.yaml"
    return checkout.read_text(encoding="utf-8")
