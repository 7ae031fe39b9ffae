"""The tables of docs/format as data, for verifiers that are not kolm: docs/format/tables/*.json.

What stands there is what kolm itself computes with, so that nobody has to read it out of a page.
`python docs/generate.py` writes them, but for `casefold`, which needs the Python whose Unicode is
that of the format: python3.11 tools/format_tables.py.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from kolm import digest  # noqa: E402
from kolm.format import outline  # noqa: E402
from kolm.format.optimizer import OPTIMIZERS  # noqa: E402
from kolm.metrics.vqa import SPELLINGS  # noqa: E402
from kolm.roles import FAMILIES, Family, Stack  # noqa: E402

FOLDER = ROOT / "docs" / "format" / "tables"
UNICODE = "14.0.0"
CASEFOLD = FOLDER / "casefold.json"


def tables() -> Iterator[tuple[Path, str]]:
    """Each table that follows from the code, with its text."""
    yield FOLDER / "compute.json", _text(outline.NAMES)
    yield FOLDER / "families.json", _text({name: _family(one) for name, one in FAMILIES.items()})
    yield FOLDER / "optimizers.json", _text(OPTIMIZERS)
    yield FOLDER / "vqa.json", _text({"contractions": SPELLINGS})


def casefold() -> str:
    """What full case folding makes of each character that it changes."""
    folded = {chr(point): chr(point).casefold() for point in range(sys.maxunicode + 1)}
    return _text({"unicode": UNICODE, "fold": {c: to for c, to in folded.items() if c != to}})


def _family(table: Family) -> dict[str, Any]:
    """The part of a family's table that a verifier without a model reads."""
    return {
        "roles": {role.value: [*prefixes] for role, prefixes in table.prefixes.items()},
        "language": _stack(table.language),
        "vision": _stack(table.vision) if table.vision else None,
        "experts": [*table.experts],
        "projector_modules": [*table.projector_modules],
        "bare": [*table.bare],
        "spellings": {memory: [*stored] for memory, stored in table.spellings.items()},
        "aliases": dict(table.aliases),
        "parts": {pattern: [*below] for pattern, below in table.parts.items()},
        "swapped": [*table.swapped],
        "left_out": [*table.left_out],
        "branches": table.branches,
        "papers": [*table.papers],
        "templates": [digest.of_bytes(text.encode()) for text in table.training_templates],
    }


def _stack(own: Stack) -> dict[str, Any]:
    leaves = {leaf: [*parents] for leaf, parents in sorted(own.leaves.items())}
    return {"blocks": own.blocks, "more": [*own.more], "leaves": leaves}


def _text(table: object) -> str:
    return json.dumps(table, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    if unicodedata.unidata_version != UNICODE:
        sys.exit(f"this Python has Unicode {unicodedata.unidata_version}, not {UNICODE}")
    CASEFOLD.write_text(casefold(), encoding="utf-8")
