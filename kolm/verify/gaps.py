"""Verify: what an audit did not look at, in words, with the option that would."""

from collections.abc import Iterator
from typing import NamedTuple

from kolm.records.verification import Verdict, Verification


class Gap(NamedTuple):
    """Something that an audit does not show.

    Attributes:
        what: in words.
        option: of `kolm verify` that would show it, or what would.
    """

    what: str
    option: str


# What each option of `kolm verify` adds; the numbers are the checks that answer then.
_OPTIONS = (
    ("--base", ("V40", "V41", "V42", "V43"), "that the base on your machine is the pinned one"),
    ("--rescore N", ("V46", "V55"), "that answers and lengths are the recorded ones"),
    ("--captures", ("V47", "V48", "V49"), "that the pictures are those of the digests"),
    ("--replay all", ("V51", "V53"), "that training ran as the trace says"),
)
_BEYOND = Gap("how good the answers are beyond these cases", "kolm eval")


def gaps(audit: Verification) -> list[Gap]:
    """What nobody looked at in this audit, and what no audit of a bundle can show."""
    verdicts = {check.id: check.verdict for check in audit.checks}
    return [
        *(
            Gap(what, option)
            for option, numbers, what in _OPTIONS
            if any(verdicts.get(number) is Verdict.NOT_CHECKED for number in numbers)
        ),
        *_left_out(audit),
        _BEYOND,
    ]


def _left_out(audit: Verification) -> Iterator[Gap]:
    """What a draw left out, with what that may miss."""
    answers, training = audit.rescore, audit.replay
    if answers and answers.drawn < answers.cases:
        left = answers.cases - answers.drawn
        yield Gap(f"{left} of {answers.cases} answers, which were not drawn", "--rescore all")
    if training and training.equal and len(training.drawn) < training.segments:
        left = training.segments - len(training.drawn)
        one = training.missed[0].probability
        yield Gap(
            f"{left} of {training.segments} segments: a bad one is missed with {one}",
            "--replay all",
        )
