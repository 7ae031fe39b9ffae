"""The bundle: the closed table of members, with media type, kind of content and schema.

A new member is one line of `TABLE` and its rules in docs/format/bundle.md; a name outside the
table is refused by writer and reader alike.
"""

import re
from enum import Enum
from typing import Final, NamedTuple

from kolm.bundle import limits
from kolm.bundle.limits import Limit
from kolm.errors import Refused
from kolm.format import names
from kolm.records import kinds
from kolm.schema import DocumentKind


class ContentKind(Enum):
    """How the bytes of a member are read."""

    DOCUMENT = "one canonical JSON document"
    LINES = "canonical JSON Lines"
    PEFT_CONFIG = "the JSON of PEFT, with numbers"
    TENSORS = "safetensors"
    MARKDOWN = "UTF-8 text"
    IMAGE = "an image file"


class MemberKind(NamedTuple):
    """One row of the member table.

    `name` is a regular expression for the optional members that may come in numbers. `schema`
    is the schema of the document, or of one row; `limit` bounds the size in bytes.
    """

    name: str
    media_type: str
    content: ContentKind
    limit: Limit
    schema: DocumentKind[object] | None = None
    required: bool = True
    several: bool = False

    def fits(self, name: str) -> bool:
        """Whether a file name belongs to this row."""
        if self.several:
            return re.fullmatch(self.name, name, re.ASCII) is not None
        return name == self.name


def _kolm(name: str, suffix: str) -> str:
    return f"application/vnd.kolm.{name}.v1{suffix}"


def _cncf(name: str) -> str:
    return f"application/vnd.cncf.model.{name}.v1.raw"


def _document(name: str, media: str, schema: DocumentKind[object]) -> MemberKind:
    return MemberKind(
        name=name,
        media_type=_kolm(media, "+json"),
        content=ContentKind.DOCUMENT,
        limit=limits.JSON_BYTES,
        schema=schema,
    )


def _lines(
    name: str,
    media: str,
    schema: DocumentKind[object],
    *,
    limit: Limit,
    required: bool = True,
) -> MemberKind:
    return MemberKind(
        name=name,
        media_type=_kolm(media, "+jsonl"),
        content=ContentKind.LINES,
        limit=limit,
        schema=schema,
        required=required,
    )


RECEIPT_KIND: Final = _document(names.RECEIPT, "receipt", kinds.RECEIPT)

TABLE: Final = (
    MemberKind(
        name=names.WEIGHTS,
        media_type=_cncf("weight"),
        content=ContentKind.TENSORS,
        limit=limits.ENTRY_BYTES,
    ),
    MemberKind(
        name=names.CONFIG,
        media_type=_cncf("weight.config"),
        content=ContentKind.PEFT_CONFIG,
        limit=limits.JSON_BYTES,
    ),
    _lines(names.MODULES, "modules", kinds.MODULES_ROW, limit=limits.MODULES_BYTES),
    _document(names.LOCK, "lock", kinds.LOCK),
    _document(names.SNAPSHOT, "snapshot", kinds.SNAPSHOT),
    _lines(names.LINES, "snapshot", kinds.SNAPSHOT_ROW, limit=limits.SNAPSHOT_BYTES),
    _lines(names.CASES, "evalcases", kinds.CAPTURE, limit=limits.CASES_BYTES, required=False),
    _lines(names.EXAMPLES, "examples", kinds.EXAMPLES_ROW, limit=limits.EXAMPLES_BYTES),
    _lines(names.TRACE, "trace", kinds.TRACE_ROW, limit=limits.TRACE_BYTES),
    _lines(names.PREDICTIONS, "predictions", kinds.PREDICTIONS_ROW, limit=limits.PREDICTIONS_BYTES),
    _document(names.EVALUATION, "evaluation", kinds.EVALUATION),
    MemberKind(
        name=names.CARD,
        media_type=_cncf("doc"),
        content=ContentKind.MARKDOWN,
        limit=limits.CARD_BYTES,
    ),
    MemberKind(
        name=r"checkpoint-[0-9]{8}\.json",
        media_type=_kolm("checkpoint", "+json"),
        content=ContentKind.DOCUMENT,
        limit=limits.JSON_BYTES,
        schema=kinds.CHECKPOINT,
        required=False,
        several=True,
    ),
    MemberKind(
        name=r"checkpoint-[0-9]{8}\.safetensors",
        media_type="application/vnd.kolm.checkpoint.v1.safetensors",
        content=ContentKind.TENSORS,
        limit=limits.ENTRY_BYTES,
        required=False,
        several=True,
    ),
    MemberKind(
        name=names.EVAL_IMAGE + "[0-9a-f]{64}",
        media_type="application/vnd.kolm.evalimage.v1",
        content=ContentKind.IMAGE,
        limit=limits.IMAGE_BYTES,
        required=False,
        several=True,
    ),
)

REQUIRED: Final = tuple(kind.name for kind in TABLE if kind.required)


def kind_of(name: str) -> MemberKind:
    """The table row of a member.

    Raises:
        Refused: ``E_MEMBER_UNKNOWN``.
    """
    for kind in (RECEIPT_KIND, *TABLE):
        if kind.fits(name):
            return kind
    raise Refused(
        "E_MEMBER_UNKNOWN",
        "a bundle has no member of this name",
        where=name[:80],
        expected="a name of the table in docs/format/bundle.md",
    )


def position(name: str) -> tuple[int, str]:
    """The sort key of a layer: its row in the table, then its name."""
    return TABLE.index(kind_of(name)), name
