"""Statements: what a claim says, and about which bundle. In-toto Statement v1, one subject.

The subject is a bundle's manifest; its name is for people, only its digest counts.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from kolm import canonical, digest, schema
from kolm.digest import Digest
from kolm.errors import Refused
from kolm.format.names import Name
from kolm.records import kinds
from kolm.sign.predicates import KINDS, demand_instants

if TYPE_CHECKING:
    from kolm.records.documents import Statement as StatementDocument

D = TypeVar("D")
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class Statement(NamedTuple):
    """One statement: `predicate`, of kind `predicate_type`, said about `subject`."""

    subject: Digest
    name: str
    predicate_type: str
    predicate: Mapping[str, object]

    def of(self, kind: Name[D]) -> D | None:
        """The predicate, if it is of this kind."""
        return cast("D", self.predicate) if self.predicate_type == kind else None


def parse(data: bytes, *, where: str = "statement") -> Statement:
    """Read a statement strictly, its predicate included.

    Raises:
        Refused: not canonical JSON, an unknown or missing key, not exactly one subject, an
            unknown predicate type, a predicate that does not fit its type, or a time that does
            not exist.
    """
    found = canonical.loads_canonical(data, where=where)
    value: StatementDocument = schema.check(kinds.STATEMENT, found, where=where)
    kind = value["predicateType"]
    if kind not in KINDS:
        raise Refused(
            "E_PREDICATE_UNKNOWN",
            "the claim is of a kind that this version does not know",
            where=where,
            expected=", ".join(KINDS),
            found=kind,
        )
    schema.check(KINDS[kind].schema, value["predicate"], where=f"{where}#/predicate")
    demand_instants(kind, value["predicate"], where=f"{where}#/predicate")
    subject = value["subject"][0]
    return Statement(
        subject=digest.of_hex(subject["digest"]["sha256"]),
        name=subject["name"],
        predicate_type=kind,
        predicate=value["predicate"],
    )
