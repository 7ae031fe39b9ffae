"""The command line: the table of error codes that ``kolm help E_…`` reads.

``docs/generate.py`` writes it from ``docs/reference/errors.d/*.md``, where each part of kolm
lists its own codes; the same rows make docs/reference/errors.md.
"""

from __future__ import annotations

from pathlib import Path

from kolm import canonical

FILE = Path(__file__).with_name("error_table.jsonl")


def rows() -> dict[str, dict[str, str]]:
    """Every error code with its family, cause and remedy."""
    lines = canonical.read_lines(FILE.read_bytes(), where=FILE.name)
    return {str(row["code"]): dict(row) for _, _, row in lines}
