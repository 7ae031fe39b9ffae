"""Write kolm/format/sameness.json: what becomes of each character when questions are compared.

From Python's own `unicodedata`, which must be of the version below, so that the table says the
same whoever makes it: python3.11 tools/sameness_table.py. Rules: docs/format/snapshot.md, S14.
"""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from kolm import canonical  # noqa: E402

UNICODE = "14.0.0"
TARGET = ROOT / "kolm" / "format" / "sameness.json"
HANGUL = range(0xAC00, 0xD7A4)  # their decomposition is arithmetic: Unicode 14.0, section 3.12
WHITE = {*"\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029\u2800"}  # beside the category Zs
# Shown as nothing, though no format characters: Other_Default_Ignorable_Code_Point and
# Variation_Selector of Unicode 14.0's PropList.txt.
UNSEEN = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180D), (0x180F, 0x180F),
    (0x2065, 0x2065), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)  # fmt: skip


def unseen(point: int) -> bool:
    """Whether a person sees nothing of a character."""
    category = unicodedata.category(chr(point))
    return category in ("Cc", "Cf") or any(first <= point <= last for first, last in UNSEEN)


def kept_apart(character: str) -> bool:
    """Raised and lowered characters: 5² is not 52."""
    return unicodedata.decomposition(character).startswith(("<super>", "<sub>"))


def folded(character: str) -> str:
    """A character as it is compared: decomposed (NFKD), without case, white space as one space."""
    if character in WHITE or unicodedata.category(character) == "Zs":
        return " "
    if unseen(ord(character)):
        return ""
    if kept_apart(character) or ord(character) in HANGUL:
        return character
    plain = unicodedata.normalize("NFKD", character)
    # A combining mark keeps its case, so that marks can be put in order afterwards.
    lower = "".join(c if unicodedata.combining(c) else c.casefold() for c in plain)
    again = unicodedata.normalize("NFKD", lower)
    return "".join("" if unseen(ord(c)) else c for c in again)


def table() -> dict[str, object]:
    """The whole table."""
    characters = [chr(p) for p in range(sys.maxunicode + 1) if not 0xD800 <= p <= 0xDFFF]
    fold, removed, classes = {}, [], {}
    for character in characters:
        to = folded(character)
        if to == "":
            removed.append(ord(character))
        elif to != character:
            fold[character] = to
        if order := unicodedata.combining(character):
            classes[character] = order
    return {"classes": classes, "fold": fold, "removed": runs(removed), "unicode": UNICODE}


def runs(points: list[int]) -> list[list[int]]:
    """Ascending numbers as [first, last] of each unbroken run."""
    found: list[list[int]] = []
    for point in points:
        if found and point == found[-1][1] + 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return found


def main() -> int:
    """Write the table."""
    if unicodedata.unidata_version != UNICODE:
        known = unicodedata.unidata_version
        sys.stderr.write(f"this Python knows Unicode {known}, not {UNICODE}\n")
        return 1
    TARGET.write_bytes(canonical.dumps(table()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
