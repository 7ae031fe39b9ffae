"""Capture: preference rows as RLHF-V and RLAIF-V publish them.

RLHF-V keeps ``question``, ``chosen`` and ``rejected`` as JSON in ``text``; RLAIF-V has them as
columns. T. Yu et al., "RLHF-V" (2023, arXiv:2312.00849): a person rewrote the segments of an answer
that are wrong. The published rows hold both answers whole, so the segments are their difference,
word by word (`kolm.capture.segments`); a row that states ``corrections`` keeps those.
"""

from __future__ import annotations

from kolm.capture import fields, segments
from kolm.capture.drafts import Row
from kolm.capture.importers import pairs

_SAID = ("question", "chosen", "rejected")
# What the data sets say of a row's own past; it is no part of a pair.
_UNUSED = (
    "ds_name", "dataset_name", "origin_dataset", "origin_split", "origin_split_inner_idx", "idx",
)  # fmt: skip
KEYS = frozenset((*_SAID, "text"))
_ALL = frozenset((*KEYS, *_UNUSED))


def _own(row: Row, where: str) -> Row:
    pairs.check_keys(row, _ALL, where=where)
    rest = pairs.rest(row, _ALL)
    if any(rest.get(key) not in (None, "") for key in ("image", "images")):
        rest.pop("image_path", None)  # where the image lay once
    corrected = row.get("text") is not None
    said = _said(row, where) if corrected else row
    question, chosen, rejected = (fields.text(said, key, where=where) for key in _SAID)
    if corrected and "corrections" not in row:
        edits = segments.corrections(rejected, chosen)
        found = [edit._asdict() for edit in edits] or None
        rest["corrections"] = said.get("corrections") or found
    return {**rest, "prompt": question, "response": chosen, "rejected": rejected}


def _said(row: Row, where: str) -> Row:
    value = row["text"]
    if isinstance(value, str):
        value = pairs.parsed(value, "text", where)
    if not isinstance(value, dict) or set(value) - {"corrections"} != set(_SAID):
        raise fields.wrong("text", "an object of question, chosen and rejected", value, where)
    return value


rows = pairs.reader(KEYS, _own)
