"""How a numbered check is declared.

A check is a generator of findings over the subject. The decorator gives it the number that
docs/format/verification.md, the tests and the output use. `reads` names the documents that must
be readable, `needs` the checks that must have passed, `about` the kinds of claims of which one must
count, before the question makes sense.
Whose word a positive answer rests on stands in its finding (`findings.passed`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from kolm.format.names import Name
from kolm.records.verification import Finding

if TYPE_CHECKING:
    from kolm.verify.subject import Subject

Body = Callable[["Subject"], Iterator[Finding]]
Answers = Mapping[str, Body]  # by number

FAMILIES = {
    0: "container",
    1: "signatures",
    2: "delta scope",
    3: "scores",
    4: "base",
    5: "process",
    6: "policy",
}


class Check(NamedTuple):
    """One numbered question."""

    id: str
    question: str
    body: Body
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    about: tuple[Name[object], ...] = ()

    @property
    def family(self) -> str:
        """The family that the tens digit stands for."""
        return FAMILIES[int(self.id[1])]


TABLE: dict[str, Check] = {}  # every check, by number


def check(
    number: str,
    question: str,
    *,
    needs: tuple[str, ...] = (),
    reads: tuple[str, ...] = (),
    about: tuple[Name[object], ...] = (),
) -> Callable[[Body], Body]:
    """Register the decorated generator as the check with this number, which is given once."""

    def register(body: Body) -> Body:
        if number in TABLE:
            raise ValueError(f"{number} is registered twice")
        TABLE[number] = Check(number, question, body, needs, reads, about)
        return body

    return register
