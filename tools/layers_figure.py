"""Draw the layers of the code from ``pyproject.toml``, so that the picture cannot differ from them.

A row is a layer of the import contract, high to low; a box is a package, with the first words of
its docstring. What the verifier imports, and what uses a model library, are told by colour.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import grimp

ROOT = Path(__file__).parent.parent
WIDTH, MARGIN, HIGH, GAP = 964, 24, 50, 8
TOP = 74
LETTERS = 0.148  # that fit into a pixel of a box
MODEL_LIBRARIES = ("torch", "transformers", "peft")

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img" \
aria-labelledby="t d" font-size="12" font-family="system-ui, -apple-system, 'Segoe UI', sans-serif">
  <title id="t">The layers of the code</title>
  <desc id="d">A row may import what lies below it, nothing above. Blue frames are packages that \
the verifier imports; grey boxes use torch, transformers or peft.</desc>"""


class Box(NamedTuple):
    """One package or module of the floor."""

    name: str
    words: str
    verifying: bool
    modelling: bool


def layers() -> list[list[Box]]:
    """The rows, high to low."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    order = next(c for c in contracts if c["type"] == "layers")["layers"]
    graph = grimp.build_graph("kolm", include_external_packages=True, cache_dir=None)
    verifying = {_package(name) for name in graph.find_upstream_modules("kolm.verify.verifier")}
    verifying.add("kolm.verify")
    modelling = {
        _package(name)
        for library in MODEL_LIBRARIES
        for name in graph.find_modules_that_directly_import(library)
    }
    rows = []
    for layer in order:
        names = [name.strip(" ()") for name in re.split(r"[|:]", layer)]
        found = [name for name in names if _file(name).is_file()]
        if found:
            rows.append([_box(name, name in verifying, name in modelling) for name in found])
    return rows


def _package(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _box(name: str, verifying: bool, modelling: bool) -> Box:
    text = ast.get_docstring(ast.parse(_file(name).read_text(encoding="utf-8"))) or ""
    first = re.split(r"[.;](?:\s|$)", text.replace("\n", " "), maxsplit=1)[0]
    words = first.split(": ", 1)[-1].replace("``", "").replace("`", "")
    return Box(name.removeprefix("kolm."), words, verifying, modelling)


def _file(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def figure() -> str:
    """The picture as SVG."""
    rows = layers()
    height = TOP + len(rows) * (HIGH + GAP) + MARGIN
    parts = [
        HEAD.format(width=WIDTH, height=height),
        f'  <rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
        _text(MARGIN, 34, "a row imports what lies below it, never what lies above", bold=True),
        _text(MARGIN, 54, "blue frame: the verifier is made of these · grey: uses a model library"),
    ]
    for number, row in enumerate(rows):
        wide = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        for place, box in enumerate(row):
            x, y = MARGIN + place * (wide + GAP), TOP + number * (HIGH + GAP)
            parts += _drawn(box, x, y, wide)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _drawn(box: Box, x: float, y: float, wide: float) -> list[str]:
    fill = "#eaeef2" if box.modelling else "#ffffff"
    stroke = "#0969da" if box.verifying else "#d0d7de"
    place = f'x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{HIGH}"'
    return [
        f'  <rect {place} rx="6" fill="{fill}" stroke="{stroke}"/>',
        _text(x + 12, y + 20, box.name, bold=True),
        _text(x + 12, y + 38, _fitting(box.words, wide)),
    ]


def _text(x: float, y: float, words: str, *, bold: bool = False) -> str:
    style = 'font-weight="600" fill="#24292f"' if bold else 'fill="#57606a"'
    return f'  <text x="{x:.0f}" y="{y:.0f}" {style}>{escape(words)}</text>'


def _fitting(words: str, wide: float) -> str:
    room = int((wide - 24) * LETTERS)
    if len(words) <= room:
        return words
    return words[: room - 1].rsplit(" ", 1)[0].rstrip(",:") + " …"
