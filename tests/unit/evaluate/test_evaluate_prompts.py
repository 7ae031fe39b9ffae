"""Prompts of an evaluation: every capture that cannot be asked is named, not only the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from kolm.encode.encoder import Encoder
from kolm.errors import Refused
from kolm.evaluate.plan import SHOWN_CASES, encode_prompts


class Picky:
    """An encoder that refuses what is marked."""

    def encode_prompt(self, capture: Mapping[str, Any]) -> str:
        if capture["bad"]:
            raise Refused("E_ENCODE_PROMPT", "the prompt does not fit")
        return "example"


def prompts(*bad: bool) -> int:
    rows = [(f"case-{number}", {"bad": one}) for number, one in enumerate(bad)]
    return len(encode_prompts(cast(Encoder, Picky()), rows))


def test_one_that_cannot_be_asked_is_its_own_error() -> None:
    with pytest.raises(Refused) as caught:
        prompts(False, True, False)
    assert (caught.value.code, caught.value.where) == ("E_ENCODE_PROMPT", "case-1")


def test_several_are_listed_up_to_a_number() -> None:
    with pytest.raises(Refused) as caught:
        prompts(*[True] * (SHOWN_CASES + 2), False)
    assert caught.value.code == "E_EVAL_PROMPTS"
    lines = caught.value.found.split("\n")
    assert lines[0] == "case-0: the prompt does not fit [E_ENCODE_PROMPT]"
    assert len(lines) == SHOWN_CASES + 1
    assert lines[-1] == "and 2 more"


def test_when_all_can_be_asked_all_are() -> None:
    assert prompts(False, False) == 2
