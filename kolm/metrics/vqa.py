"""The VQA metric: an answer counts by how many people gave it.

Source: Antol et al. 2015 (arXiv:1505.00468), section 3, in the form of the VQA challenge: an answer
is right by min(1, n/3) when n people gave it, averaged over the people with one of them left out
each time. Texts are normalised as its evaluation server does it. Two of its habits look like
slips and are kept, because scores are compared: the full stops that go are the first 32 which no
digit follows, and *somebody'd* loses its apostrophe.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, Final

from kolm.metrics.metric import UNREAD, References, Score

ENOUGH: Final = 3  # people whose answer it must be to be wholly right

_ARTICLES: Final = frozenset(("a", "an", "the"))
_NUMBERS: Final = {
    word: str(number)
    for number, word in enumerate(
        ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    )
} | {"none": "0"}
_SIGNS: Final = ';/[]"{}()=+\\_-><@`,?!'
_FULL_STOP: Final = re.compile(r"\.(?!\d)")
_FULL_STOPS_AT_MOST: Final = 32

# Each is also known with any one of its apostrophes left out.
_KNOWN: Final = (
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've "
    "hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am "
    "mightn't mightn't've might've mustn't must've needn't not've o'clock oughtn't 'ow's'at "
    "shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's "
    "someone'd someone'd've someone'll someone's something'd something'd've something'll "
    "that's there'd there'd've there're there's they'd they'd've they'll they're they've "
    "'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's "
    "where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't "
    "wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've"
)
_CONTRACTED: Final = _KNOWN.split()


def _spellings() -> dict[str, str]:
    found = {"somebody'd": "somebodyd"}
    for word in _CONTRACTED:
        places = [place for place, sign in enumerate(word) if sign == "'"]
        found.update((word[:place] + word[place + 1 :], word) for place in places)
    return found


SPELLINGS: Final = _spellings()


@lru_cache(maxsize=1024)  # people's answers to one question are much alike
def normalise_vqa(text: str) -> str:
    """The form in which two answers are compared.

    Lower case; no commas and question marks; a sign goes where a space stands beside the same sign
    anywhere in the text, and else becomes a space; no full stop but before a digit; numbers up to
    ten in digits; no articles; contractions with their apostrophes.
    """
    bare = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    bare = bare.replace("\n", " ").replace("\t", " ").strip()
    spread = bare
    for sign in _SIGNS:
        beside = f"{sign} " in bare or f" {sign}" in bare
        spread = spread.replace(sign, "" if beside else " ")
    spread = _FULL_STOP.sub("", spread, count=_FULL_STOPS_AT_MOST)
    words = [_NUMBERS.get(word, word) for word in spread.lower().split()]
    return " ".join(SPELLINGS.get(word, word) for word in words if word not in _ARTICLES)


@dataclass(frozen=True, slots=True)
class Vqa:
    """min(1, n/3), leaving each person out once; below four references nothing is wholly right."""

    kind: ClassVar[str] = "vqa"
    least_credit: ClassVar[Fraction] = Fraction(1, 2 * ENOUGH)  # one of two people

    def no_laxer_than(self, other: Vqa) -> bool:
        """It has no options."""
        return True

    def score(self, output: str, references: References) -> Score:
        """The response is one of the people's answers; of one person alone nothing is left."""
        if not output.strip():
            return UNREAD
        people = len(references)
        same = Counter(map(normalise_vqa, references))[normalise_vqa(output)]
        left = same * min(ENOUGH, same - 1) + (people - same) * min(ENOUGH, same) if same else 0
        return Score(value=Fraction(left, people * ENOUGH), parsed=True)

    def shortest_right(self, reference: str) -> None:
        """Not known: other answers earn something."""
