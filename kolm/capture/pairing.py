"""Capture: of several answers to one question a better and a worse one.

Pure functions. Answers that were cut, or say nothing, are not candidates; answers that differ in
white space alone are one. Of equally good ones the first counts, so that the same samples give the
same pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from kolm.capture import rules
from kolm.capture.rules import text_of
from kolm.errors import Refused
from kolm.records.capture import Capture, Message, Source, TextPart

if TYPE_CHECKING:
    from kolm.records.documents import Capture as CaptureDocument

KIND: Final = "pairs"  # of the source of a capture that was made here
Better = Literal["reference", "sample"]
# Of an answer how good it is; None where nobody can say.
Score = Callable[[str], Fraction | None]


class Sample(NamedTuple):
    """An answer of a model, and whether the model ended it itself."""

    text: str
    ended: bool


class Pair(NamedTuple):
    """A better and a worse answer."""

    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of the answers to one question.

    Attributes:
        pair: of them, if there is one.
        dropped: how many answers were no candidates, by reason: ``cut``, ``unusable``, ``equal``
            (to another, or to the reference) and ``unscored``.
        reason: why there is no pair: ``no_candidates``, or ``none_worse``.
    """

    pair: Pair | None
    dropped: Counter[str]
    reason: str | None = None


def candidates(samples: Sequence[Sample], reference: str) -> tuple[list[str], Counter[str]]:
    """The different answers that can be one of a pair, and how many were dropped and why."""
    dropped, found, seen = Counter[str](), list[str](), {_folded(reference)}
    for sample in samples:
        if not sample.ended:
            dropped["cut"] += 1
        elif not says_something(sample.text):
            dropped["unusable"] += 1
        elif _folded(sample.text) in seen:
            dropped["equal"] += 1
        else:
            seen.add(_folded(sample.text))
            found.append(sample.text)
    return found, dropped


def choose(samples: Sequence[Sample], reference: str, better: Better, score: Score) -> Outcome:
    """A better and a worse answer.

    Args:
        samples: in the order of their numbers.
        reference: the capture's own answer.
        better: what the better one is: the reference, or the best sample. A sample that repeats
            the reference counts as the reference.
        score: of an answer.
    """
    found, dropped = candidates(samples, reference)
    repeats = any(sample.ended and _folded(sample.text) == _folded(reference) for sample in samples)
    scored: list[tuple[str, Fraction]] = []
    for text in found:
        value = score(text)
        if value is None:
            dropped["unscored"] += 1
        else:
            scored.append((text, value))
    own = score(reference) if better == "reference" or repeats else None
    if better == "sample":
        best = [*scored, *([(reference, own)] if own is not None else [])]
    else:
        best = [(reference, own)] if own is not None else []
    if not scored or not best:
        return Outcome(pair=None, dropped=dropped, reason="no_candidates")
    chosen, most = max(best, key=lambda item: item[1])
    rejected, least = min(scored, key=lambda item: item[1])
    if least >= most:
        return Outcome(pair=None, dropped=dropped, reason="none_worse")
    return Outcome(pair=Pair(chosen, rejected), dropped=dropped)


def to_judge(samples: Sequence[Sample], reference: str, better: Better) -> Iterator[str]:
    """The answers whose scores `choose` asks for."""
    found, _ = candidates(samples, reference)
    yield from found
    repeats = any(sample.ended and _folded(sample.text) == _folded(reference) for sample in samples)
    if found and (better == "reference" or repeats):
        yield reference


def paired(capture: Capture, pair: Pair, source: Source) -> Capture:
    """The capture with the two answers, and where they come from."""
    answer = Message(role="assistant", content=(TextPart(text=pair.chosen),))
    return capture._replace(
        messages=(*capture.messages[:-1], answer),
        rejected=pair.rejected,
        corrections=None,
        source=source,
    )


def reference_of(document: CaptureDocument) -> str:
    """The capture's own answer."""
    return text_of(document["messages"][-1])


def _folded(text: str) -> str:
    return " ".join(text.split())


def says_something(text: str) -> bool:
    """Whether a text can be an answer of a capture."""
    try:
        rules.check_answer(text, where="")
    except Refused:
        return False
    return True
