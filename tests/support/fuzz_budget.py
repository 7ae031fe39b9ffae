"""A seeded fuzzer of the budget of text and images: what encoding makes of rows of every family.

    .venv/bin/python -m tests.support.fuzz_budget 10000            # from row 0
    .venv/bin/python -m tests.support.fuzz_budget 1 --first 1234   # one again, by its number

Each row is a random conversation (turns, pictures, texts that are long, odd or hostile, sometimes a
rejected answer) under random limits, encoded as a training encodes it, on the tiny base of one
family. It is judged by what the encoder does not say itself: the ids that the library's processor
gives for the whole conversation, the features that the tower gives for the real pictures, the text
that the labels decode to, and lengths. A row that is neither learned whole, nor cut where it may
be, nor dropped and counted for a reason that holds is a failure, named by its number.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

from kolm import canonical, digest, roles
from kolm.encode.encoder import Encoder
from kolm.encode.examples import Example, Pair
from kolm.encode.skeleton import dated
from kolm.errors import Refused
from kolm.events import Silent
from kolm.models.base import make_forward
from kolm.models.pictures import too_thin
from kolm.models.taps import Recording, join
from kolm.objectives import objective_of
from kolm.roles import FAMILIES
from kolm.spec.options import resolve_objective
from kolm.train.prepare import SnapshotRow, encode_split
from tests.support import families
from tests.support.tiny_vlm import image_facts, make_capture, make_picture

GENEROUS = {"max_seq_length": 10**6, "max_images": 64}
KEPT = 8  # tokens of each text of a prompt that no cut takes (docs/format/examples.md)
LEAST = 4  # features of an image below which none is made smaller
EDGE = 4  # tokens by which a text differs from itself inside a conversation

_SAID = (
    "what is the colour of this picture and how many circles are in it a red square USER: "
    "ASSISTANT: user assistant system model 1234 3.14 [x] {y} <b> </td> é ü 日本語 🙂 Ж"
)
_WORDS = [*_SAID.split(), "\t", "\n", " ", "\n\n"]
Random = random.Random


class Row(NamedTuple):
    """One row and the limits under which it is encoded.

    Attributes:
        number: which says all the rest.
        family: on whose tiny base.
        capture: the document.
        limits: of the encoder.
        paired: two answers are learned against each other.
        hostile: names of control tokens stand in its texts.
    """

    number: int
    family: str
    capture: dict[str, Any]
    limits: dict[str, Any]
    paired: bool
    hostile: bool


class Failure(NamedTuple):
    """What happened to a row that must not."""

    number: int
    family: str
    what: str


# Rows


def make_row(number: int) -> Row:
    """The row of this number."""
    draw = Random(number)
    names = sorted(FAMILIES)
    family = names[number % len(names)]
    sees = FAMILIES[family].takes_pictures
    hostile = draw.random() < 0.15
    control = [*map(str, families.pictures(family).control_tokens.values())] if hostile else []
    pictures = draw.choice([0, 1, 1, 1, 2, 3, 5]) if sees else 0
    most = draw.choice([6, 200])  # words
    turns: list[tuple[str, Any]] = []
    if draw.random() < 0.2:
        turns.append(("system", [_text(draw, control, most // 6)]))
    questions = draw.choice([1, 1, 1, 2, 3])
    shown = sorted(draw.randrange(questions) for _ in range(pictures))
    for question in range(questions):
        asked: list[Any] = [_text(draw, control, most)]
        if draw.random() < 0.2:
            asked.append(_text(draw, control, most // 3))
        for picture in (n for n, place in enumerate(shown) if place == question):
            asked.insert(draw.randint(0, len(asked)), picture)
        if draw.random() < 0.1 and any(isinstance(part, int) for part in asked):
            asked = [part for part in asked if isinstance(part, int)]
        turns += [("user", asked), ("assistant", [_text(draw, control, most)])]
    capture = make_capture(*turns, images=0)
    capture["images"] = [
        image_facts(number * 8 + picture) | _size(draw) for picture in range(pictures)
    ]
    paired = draw.random() < 0.25
    if paired:
        last = turns[-1][1][0]
        capture["rejected"] = f" {last}\n" if draw.random() < 0.1 else _text(draw, control, most)
    limits = {
        **GENEROUS,
        "max_images": draw.choice([1, 4, 8, 8]),
        "shrink_images": draw.random() < 0.5,
    }
    row = Row(number, family, capture, limits, paired, hostile)
    share = draw.choice([1, 2, draw.uniform(0.2, 1), draw.uniform(0.5, 1)])
    with suppress(Refused):  # which is judged later
        length = Known(row).encoder().encode(capture).tokens  # type: ignore[union-attr]
        limits["max_seq_length"] = int(length * share)
    return row


def _text(draw: Random, control: list[str], most: int) -> str:
    """A text with something to read: no letter of it is left where that is white space alone."""
    count = draw.choice([1, draw.randint(1, 8), draw.randint(1, most)])
    words = [draw.choice(_WORDS) for _ in range(count)]
    for _ in range(draw.randint(1, 3) if control else 0):
        name = draw.choice(control)
        words.insert(
            draw.randint(0, len(words)), draw.choice([name, name[:-1], name[1:], name * 2])
        )
    return draw.choice([" ", " ", ""]).join(words).strip() or "yes"


def _size(draw: Random) -> dict[str, int]:
    """Width and height: most as of thumbnails, some as of lines."""
    width, height = (int(2 ** draw.uniform(3, 9)) for _ in range(2))
    if draw.random() < 0.1:
        width, height = draw.sample([draw.randint(1, 3), draw.randint(200, 700)], 2)
    return {"width": width, "height": height}


# What the library says of a row


class Known:
    """What the library says of a row, without the encoder.

    Args:
        row: any.
    """

    def __init__(self, row: Row) -> None:
        self.row = row
        self.pictures = families.pictures(row.family)
        self.tokenizer = self.pictures.processor.tokenizer
        self.sees = self.pictures.table.takes_pictures

    @property
    def answers(self) -> list[str]:
        """All answers of the conversation."""
        messages = [turn for turn in self.row.capture["messages"] if turn["role"] == "assistant"]
        return ["".join(part["text"] for part in turn["content"]) for turn in messages]

    @cached_property
    def asked(self) -> list[int]:
        """How many tokens each text of the prompts has by itself."""
        count = self.encoder().text_tokens  # a control token's name is text there
        messages = [t for t in self.row.capture["messages"] if t["role"] != "assistant"]
        texts = [[p["text"] for p in t["content"] if p["type"] == "text"] for t in messages]
        if not self.sees:  # those of a message are one text
            texts = [["".join(own)] for own in texts]
        return [count(text) for own in texts for text in own]

    @property
    def fit_for_the_library(self) -> bool:
        """Whether it reads no forged tokens there and refuses no thin picture."""
        sizes = [(facts["height"], facts["width"]) for facts in self.row.capture["images"]]
        return not self.row.hostile and not any(too_thin(*size) for size in sizes)

    @property
    def order(self) -> list[int]:
        """The numbers of the pictures in the order in which the conversation shows them."""
        parts = [part for turn in self.row.capture["messages"] for part in turn["content"]]
        return [part["image"] for part in parts if part["type"] == "image"]

    def shown(self) -> Iterator[Any]:
        """The pictures, in the order of the conversation."""
        for number in self.order:
            facts = self.row.capture["images"][number]
            yield make_picture(number, facts["width"], facts["height"])

    def encoder(self, **limits: Any) -> Encoder:
        """The encoder of the family's tiny base."""
        objective = objective_of(resolve_objective({"kind": "dpo"})) if self.row.paired else None
        return Encoder(self.pictures, objective=objective, **{**GENEROUS, **limits})

    def ids(self, answer: str | None = None) -> list[int]:
        """The ids of the whole conversation, with another last answer or its own."""
        capture = self.row.capture
        if answer is not None:
            *before, last = capture["messages"]
            turn = {**last, "content": [{"type": "text", "text": answer}]}
            capture = {**capture, "messages": [*before, turn]}
        if not self.fit_for_the_library:
            found = self.encoder().encode(capture)
            assert isinstance(found, Example)
            return list(found.input_ids)
        messages = families.messages(capture, self.shown(), sees=self.sees)
        template = dated(self.encoder()._conversations.template)
        whole = families.whole(self.row.family, self.pictures.processor, [messages], template)
        return [int(number) for number in whole["input_ids"][0]]

    @cached_property
    def plain(self) -> list[int]:
        """The control tokens of the same conversation about nothing."""
        capture = self.row.capture
        messages = [
            {**t, "content": [{**p, "text": "x"} if "text" in p else p for p in t["content"]]}
            for t in capture["messages"]
        ]
        harmless = self.row._replace(capture={**capture, "messages": messages}, hostile=False)
        return self.control(Known(harmless).ids())

    def control(self, ids: Any) -> list[int]:
        """The control tokens among some, but for those of images."""
        images = self.pictures.image_token_id
        known = self.pictures.control_tokens
        return [number for number in ids if number in known and number != images]

    def features(self, example: Example) -> int:
        """How many features the tower gives for an example's pictures."""
        parts = [
            Recording(pictures=1, inputs=self.pictures.inputs(p, u.max_pixels, among=u.among)[0])
            for p, u in zip(self.shown(), example.images, strict=True)
        ]
        if FAMILIES[self.row.family].beside:  # its features stand beside the tokens, one a picture
            return len(parts)
        return _features(self.row.family, join(parts)) if parts else 0

    def written(self, max_pixels: int | None) -> list[tuple[int, int]]:
        """Of each picture under a limit how many tokens stand for it, and how many of them are
        features."""
        among = self.pictures.sociable and len(self.order) > 1
        runs = [self.pictures.inputs(p, max_pixels, among=among)[1] for p in self.shown()]
        encode = self.tokenizer.encode
        return [(len(encode(run.text, add_special_tokens=False)), run.tokens) for run in runs]


@cache
def _model(family: str) -> Any:
    return families.model(family)


def _features(family: str, shown: Recording) -> int:
    import torch

    with torch.no_grad():
        return len(make_forward(_model(family), roles.family(family)).features(shown))


# Judging


class Wrong(Exception):
    """A row was not treated as it must be."""


def demand(holds: bool, what: str) -> None:
    """Raise `Wrong` unless something holds."""
    if not holds:
        raise Wrong(what)


def judge(row: Row) -> str:
    """Encode a row and judge it.

    Returns:
        What became of it, to be counted.

    Raises:
        Wrong: with what must not be.
    """
    known = Known(row)
    data = canonical.dumps(row.capture)
    name = digest.of_bytes(data)
    store: Any = SimpleNamespace(read=lambda asked: SimpleNamespace(data={name: data}[asked]))
    rows = [SnapshotRow(capture=name, split="train")]
    try:
        done = encode_split(rows, "train", store, known.encoder(**row.limits), Silent())
    except Refused as error:
        return _refused(known, error)
    demand(len(done.examples) + sum(done.dropped.values()) == len(done.rows) == 1, "not counted")
    (stated,) = done.rows
    if "dropped" in stated:
        _demand_reason(known, stated["dropped"])
        return str(stated["dropped"])
    (learned,) = done.examples
    limit = row.limits["max_seq_length"]
    demand(len(learned.images) <= row.limits["max_images"], "more images than max_images")
    if isinstance(learned, Pair):
        sides = [(learned.chosen, None), (learned.rejected, row.capture["rejected"])]
        demand(learned.chosen.images == learned.rejected.images, "answers to other pictures")
        starts = [side.trained[0][0] for side, _ in sides]
        demand(
            learned.chosen.input_ids[: starts[0]] == learned.rejected.input_ids[: starts[1]],
            "two prompts",
        )
        wholes = [known.ids(answer) for _, answer in sides]
    else:
        sides, wholes = [(learned, None)], [known.ids()]
    shrunk = any(use.max_pixels is not None for use in learned.images)
    longest = max(map(len, wholes))
    for (side, answer), whole in zip(sides, wholes, strict=True):
        demand(side.tokens <= limit, f"{side.tokens} tokens where {limit} are allowed")
        _demand_images(known, side)
        _demand_answers(known, side, answer, last=row.paired)
        demand(known.control(side.input_ids) == known.plain or shrunk, "other control tokens")
        if longest <= limit:
            demand(list(side.input_ids) == whole, "other ids than the library's")
        elif not shrunk:
            lost = len(whole) - side.tokens
            demand(lost == side.cut_tokens > 0, f"{lost} tokens lost, {side.cut_tokens} stated")
    if longest <= limit:
        demand(not shrunk and not learned.cut_tokens, "something was taken without need")
        kept = "whole"
    else:
        kept = "shrunk" if shrunk else "cut"
        demand(not shrunk or row.limits["shrink_images"], "smaller images than allowed")
        demand(not shrunk or _least(known, longest)[1] > limit - EDGE, "smaller without need")
        cut = learned.cut_tokens > 0
        spare = limit - learned.tokens
        demand(not cut or spare < max(1, len(known.asked)), f"cut by {spare} too many")
    _demand_row(stated, sides)
    return kept


def _refused(known: Known, error: Refused) -> str:
    """A refusal must be one that this row calls for."""
    row = known.row
    said = {turn["role"] for turn in row.capture["messages"]}
    no_system = "system" in said and not families.BASES[row.family].system
    if error.code == "E_ENCODE_TEMPLATE" and no_system:
        return "no system turn"
    shows = [
        any(block["type"] == "image" for block in turn["content"])
        for turn in row.capture["messages"]
        if turn["role"] == "user"
    ]
    if error.code == "E_ENCODE_TEMPLATE" and row.family == "mllama" and not shows[0] and any(shows):
        return "its template begins otherwise before a picture"
    few = known.pictures.table.least_tokens
    if error.code == "E_BASE_PROCESSOR" and few > 1:
        sizes = [(facts["height"], facts["width"]) for facts in row.capture["images"]]
        demand(any(_too_few(known, *size) for size in sizes), f"refused: {error}")
        return "too small for the library"
    raise Wrong(f"refused: {error.code} {error.message}: {error.where}: {error.found}")


def _too_few(known: Known, height: int, width: int) -> bool:
    try:
        known.pictures.inputs(make_picture(0, width, height))
    except Refused:
        return True
    return False


def _demand_reason(known: Known, reason: str) -> None:
    """A row that is dropped must be dropped for the first reason that holds."""
    row = known.row
    if len(known.order) > row.limits["max_images"]:
        demand(reason == "too_many_images", f"dropped as {reason}")
        return
    same = row.paired and "".join(known.answers[-1].split()) == "".join(
        row.capture["rejected"].split()
    )
    if same:
        demand(reason == "same_answers", f"dropped as {reason}")
        return
    demand(reason == "over_budget", f"dropped as {reason}")
    wholes = [known.ids()] + ([known.ids(row.capture["rejected"])] if row.paired else [])
    longest, limit = max(map(len, wholes)), row.limits["max_seq_length"]
    demand(_least(known, longest)[1] > limit, "dropped, though a cut would do")
    if not row.limits["shrink_images"] or not known.order:
        return
    full = known.written(None)
    for smaller in _smaller(known):
        less = sum(n for n, _ in full) - sum(n for n, _ in smaller)
        demand(_least(known, longest - less)[1] > limit, "dropped, though smaller images would do")


def _smaller(known: Known) -> Iterator[list[tuple[int, int]]]:
    """What stands for its pictures while they have ever fewer pixels."""
    facts = known.row.capture["images"]
    pixels = max(image["width"] * image["height"] for image in facts)
    while (pixels := pixels // 2) > 1:
        try:
            written = known.written(pixels)
        except Refused:  # fewer features than the library can run on
            return
        if min(features for _, features in written) < LEAST:
            return
        yield written


def _least(known: Known, whole: int) -> tuple[int, int]:
    """To how many tokens cuts can bring a conversation: at best and at worst."""
    return (
        whole - sum(max(0, count + EDGE - KEPT) for count in known.asked),
        whole - sum(max(0, count - EDGE - KEPT) for count in known.asked),
    )


def _demand_images(known: Known, example: Example) -> None:
    marks = example.input_ids.count(known.pictures.image_token_id) if known.sees else 0
    stated = sum(use.tokens for use in example.images)
    features = known.features(example)
    demand(marks == stated == features, f"{marks} tokens, {features} features, {stated} stated")
    files = [known.row.capture["images"][number]["file"] for number in known.order]
    demand([use.file for use in example.images] == files, "other pictures")
    for use in example.images:
        demand(example.input_ids[use.start] in known.pictures.control_tokens, "no image there")


def _demand_answers(known: Known, example: Example, answer: str | None, *, last: bool) -> None:
    """The labels must be the responses and what ends them."""
    expected = known.answers[-1:] if last else known.answers
    if answer is not None:
        expected = [answer]
    end = families.BASES[known.row.family].end or known.tokenizer.eos_token
    found = [
        known.tokenizer.decode(
            list(example.input_ids[start:stop]), clean_up_tokenization_spaces=False
        )
        for start, stop in example.trained
    ]
    demand(all(text.endswith(end) for text in found), f"no end: {found}")
    said = [text.removesuffix(end).strip() for text in found]
    demand(said == [text.strip() for text in expected], f"{said} instead of {expected}")


def _demand_row(stated: Any, sides: list[tuple[Example, str | None]]) -> None:
    """The row of examples.jsonl must say what the examples are."""
    sizes = [(len(e.input_ids), sum(b - a for a, b in e.trained)) for e, _ in sides]
    told = [(stated["tokens"], stated["labels"])]
    if "rejected" in stated:
        told.append((stated["rejected"]["tokens"], stated["rejected"]["labels"]))
    demand(told == sizes, f"stated {told}, found {sizes}")
    chosen = sides[0][0]
    shown = sum(use.tokens for use in chosen.images)
    demand(stated["cut"] == chosen.cut_tokens, "another cut is stated")
    demand(stated.get("image_tokens", 0) == shown, "other image tokens are stated")


def fuzz(first: int, count: int) -> tuple[Counter[str], list[Failure]]:
    """Judge the rows of these numbers: how many of each fate, and the failures."""
    fates: Counter[str] = Counter()
    failures: list[Failure] = []
    for number in range(first, first + count):
        row = make_row(number)
        try:
            fates[judge(row)] += 1
        except Wrong as wrong:
            failures.append(Failure(number, row.family, str(wrong)))
        except Exception:  # noqa: BLE001 - whatever it is, the row is named
            failures.append(Failure(number, row.family, traceback.format_exc(limit=-4)))
    return fates, failures


def main() -> int:
    """The command line; 1 where a row failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--first", type=int, default=0)
    chosen = parser.parse_args()
    fates, failures = fuzz(chosen.first, chosen.count)
    for failure in failures:
        print(f"row {failure.number}, {failure.family}: {failure.what}")
    told = ", ".join(f"{fate} {number}" for fate, number in sorted(fates.items()))
    print(f"{chosen.count} rows from {chosen.first}: {told}; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
