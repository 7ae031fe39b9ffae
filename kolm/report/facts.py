"""Report: what the page is made of: an intact bundle, its audit, and pictures that may be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from kolm import canonical, digest
from kolm.bundle.reader import Bundle
from kolm.errors import KolmError
from kolm.format import names
from kolm.records.verification import Verification
from kolm.sign.envelope import open_envelope
from kolm.sign.predicates import KSCORE, PROVENANCE
from kolm.sign.statement import Statement, parse

if TYPE_CHECKING:
    from kolm.records.documents import (
        Capture,
        Evaluation,
        Kscore,
        Lock,
        PredicateProvenance,
        PredictionsRow,
        Receipt,
    )

# The bytes of a picture by the digest of its file; None where it may not be shown or is not there.
Pictures = Callable[[str], bytes | None]


class Signed(NamedTuple):
    """What a claim says, and in whose name: None where it does not count in the audit, as one of
    a stranger, of a revoked key, or of a key without the role."""

    statement: Statement
    keyid: str
    by: str | None

    @property
    def whose(self) -> str:
        """In whose name, in words."""
        return self.by or "a key whose word does not count for the auditor"


class Case(NamedTuple):
    """An eval case with what was answered."""

    capture: Capture
    answers: PredictionsRow


class Facts:
    """Everything that a section may show.

    Args:
        bundle: intact; whether what it says is so is the audit's answer.
        audit: of this very bundle.
        pictures: those that may be shown.
    """

    def __init__(self, bundle: Bundle, audit: Verification, pictures: Pictures) -> None:
        self.bundle = bundle
        self.audit = audit
        self.pictures = pictures

    @property
    def receipt(self) -> Receipt:
        """The receipt."""
        return self.bundle.receipt

    @cached_property
    def lock(self) -> Lock:
        """The lock."""
        return self.bundle.document(names.LOCK)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The evaluation."""
        return self.bundle.document(names.EVALUATION)

    @cached_property
    def claims(self) -> tuple[Signed, ...]:
        """The claims that can be read, in the order of the file; the audit names the others."""
        names_of = {claim: s.name for s in self.audit.signers for claim in s.claims}
        found = []
        for number, data in enumerate(self.bundle.claims):
            try:
                envelope = open_envelope(data, where=f"claim {number}")
                statement = parse(envelope.payload, where=f"claim {number}")
            except KolmError:
                continue
            by = names_of.get(digest.of_bytes(data))
            found.append(Signed(statement, envelope.keyid, by))
        return tuple(found)

    @property
    def kscores(self) -> Iterator[tuple[Signed, Kscore]]:
        """The K-scores with who states them."""
        for claim in self.claims:
            if score := claim.statement.of(KSCORE):
                yield claim, score

    @property
    def provenances(self) -> Iterator[Signed]:
        """The claims of those who compiled it."""
        return (claim for claim in self.claims if claim.statement.of(PROVENANCE))

    @property
    def build(self) -> tuple[Signed, PredicateProvenance] | None:
        """The earliest of the provenances that count, with who states it."""
        stated = ((claim, claim.statement.of(PROVENANCE)) for claim in self.provenances)
        counting = [(claim, said) for claim, said in stated if claim.by is not None and said]
        return min(
            counting, key=lambda pair: pair[1]["runDetails"]["metadata"]["finishedOn"], default=None
        )

    def cases(self) -> Iterator[Case]:
        """The eval cases with their answers; none where the bundle does not publish its texts."""
        if names.CASES not in self.bundle.names:
            return
        rows, lines = self.bundle.rows(names.PREDICTIONS), self.bundle.documents.lines
        stored = lines(names.PREDICTIONS)  # a row takes up to fifteen times its line
        answers = {row["case"]: line for row, line in zip(rows, stored, strict=True)}
        data = self.bundle.member(names.CASES)
        for _, line, row in canonical.read_lines(data, where=names.CASES):
            if (found := answers.get(digest.of_bytes(line))) is not None:
                answered = canonical.loads(found, where=names.PREDICTIONS)
                yield Case(cast("Capture", row), cast("PredictionsRow", answered))
