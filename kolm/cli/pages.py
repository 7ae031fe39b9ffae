"""The command line: the pages of docs/, which a wheel carries too, and the verifier's questions.

An auditor's machine has nothing but what was installed, so `kolm help` can print them all.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kolm.verify.check import Check

_FOLDERS = ("guides", "reference", "concepts", "format", "adr")


def names() -> list[str]:
    """Every page by its path in docs/ without the ending, such as ``reference/spec``.

    Decisions come last: they are many, and of use to those who change kolm.
    """
    folder = _folder()
    known = (
        str(path.relative_to(folder).with_suffix(""))
        for path in folder.rglob("*.md")
        if not path.parent.name.endswith(".d")
    )
    return sorted(known, key=lambda name: (name.startswith("adr/"), name))


def text(name: str) -> str:
    """A page's Markdown by one of `names`, without the remark that it is generated."""
    page = (_folder() / f"{name}.md").read_text(encoding="utf-8")
    return page.split("-->", 1)[1].lstrip() if page.startswith("<!--") else page


def row_of(page: str, key: str) -> dict[str, str]:
    """The row of a page's table whose first cell is `key`: each cell under its column's heading.

    Signs that only mean something in Markdown are left out; an empty cell, or one that holds a
    dash, is no entry.
    """
    heading: list[str] = []
    for line in text(page).splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            heading = []
        elif not heading:
            heading = cells
        elif cells[0] == key:
            named = zip(heading, cells, strict=False)
            return {name: cell for name, cell in named if cell not in ("", "–")}
    return {}


def name_of(topic: str) -> str | None:
    """The page that somebody means by a path, or by a bare name as `_FOLDERS` are ordered."""
    plain = topic.removeprefix("docs/").removesuffix(".md")
    known = names()
    tried = (plain, *(f"{folder}/{plain}" for folder in _FOLDERS))
    return next((name for name in tried if name in known), None)


def question(number: str) -> Check | None:
    """The verifier's check with a number such as ``V21``."""
    from kolm.verify.checks import ALL_CHECKS

    return next((check for check in ALL_CHECKS if check.id == number), None)


def _folder() -> Path:
    packaged = Path(str(resources.files("kolm"))) / "_docs"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "docs"
