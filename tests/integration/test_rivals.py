"""Somebody else answers the cases: a model behind an endpoint on this machine."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from kolm import canonical, digest, settings
from kolm.actions import capturing
from kolm.actions.rivals import Rival, ask, instructed, prepare
from kolm.capture.store import CaptureStore
from kolm.errors import KolmError, Network, Usage
from kolm.events import Silent
from tests.support.endpoints import endpoint, said
from tests.support.pictures import picture as picture_file

SETTINGS: Any = {"metric": {"kind": "exact"}, "max_new_tokens": 7, "batch_size": 2}
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rivals") / "captures"
    for number, colour in enumerate(COLOURS):
        capturing.add_capture(
            folder,
            images=[picture_file(number)],
            prompt=f"{number}: which colour?",
            response=colour,
        )
    return folder


@pytest.fixture
def cases(store: Path) -> dict[Any, Any]:
    with CaptureStore.open_to_read(store) as opened:
        rows = [canonical.loads(row.data, where="row") for row in opened.rows()]
    return {digest.of_value(row): row for row in rows}


def answer_of(body: dict[str, Any]) -> str:
    number = int(body["messages"][-1]["content"][-1]["text"].split(":")[0].split()[-1])
    return COLOURS[number]


def asked_of(store: Path, cases: Any, rival: Rival, place: Path) -> Any:
    return ask(rival, cases, SETTINGS, store=store, place=place, reporter=Silent())


def test_every_case_is_asked_with_its_pictures_and_answers_are_kept(
    store: Path, cases: dict[Any, Any], tmp_path: Path
) -> None:
    with endpoint(lambda body: said(answer_of(body), model="big-2026")) as fake:
        rival = Rival(
            endpoint=fake.url, model="big", answers=tmp_path / "a.jsonl", instruction="One word."
        )
        answered = asked_of(store, cases, rival, tmp_path)
        again = asked_of(store, cases, rival, tmp_path)
    assert len(fake.asked) == len(COLOURS)  # the second time nobody is asked
    assert again == answered
    path, _, body = fake.asked[0]
    assert path.endswith("/chat/completions")
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("big", 0, 7)
    (message,) = body["messages"]
    picture, text = message["content"]
    assert text["text"].startswith("One word.\n")
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    files = {image["file"] for row in cases.values() for image in row["images"]}
    assert digest.of_bytes(base64.b64decode(data)) in files
    assert answered.who["said_by"] == ["big-2026"]
    for case, row in cases.items():
        assert answered.said[case]["output"] == row["messages"][-1]["content"][0]["text"]
        assert answered.said[case]["finish"] == "stop"


def test_a_run_that_was_cut_goes_on_with_what_is_left(
    store: Path, cases: dict[Any, Any], tmp_path: Path
) -> None:
    answers = [said("red"), (400, {}, b"no"), said("red"), said("red")]
    with endpoint(lambda _: answers.pop(0)) as fake:
        rival = Rival(endpoint=fake.url, model="big", answers=tmp_path / "a.jsonl")
        with pytest.raises(KolmError):
            asked_of(store, cases, rival, tmp_path)
        assert len(asked_of(store, cases, rival, tmp_path).said) == len(COLOURS)
    assert len(fake.asked) == len(COLOURS) + 1


def test_an_answer_that_was_cut_or_is_too_long_has_not_ended(
    store: Path, cases: dict[Any, Any], tmp_path: Path
) -> None:
    answers = [said("red", finish="length"), said("x" * 4000), said("red", finish="stop")]
    with endpoint(lambda _: answers.pop(0)) as fake:
        rival = Rival(endpoint=fake.url, model="big", answers=tmp_path / "a.jsonl")
        answered = asked_of(store, cases, rival, tmp_path)
    ended = [answered.said[case]["finish"] for case in sorted(cases)]
    assert ended == ["length", "length", "stop"]


def test_offline_forbids_it_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "offline", lambda: True)
    rival = Rival(endpoint="http://127.0.0.1:1/v1", model="m", answers=Path("a"))
    with pytest.raises(Network):
        prepare(rival)


@pytest.mark.parametrize(
    "options",
    [{}, {"base": "a", "endpoint": "b"}, {"endpoint": "b"}, {"endpoint": "b", "model": "m"},
     {"base": "a", "model": "m"}, {"base": "a", "answers": Path("f")},
     {"base": "a", "instruction": "x" * 5000}],
)  # fmt: skip
def test_what_contradicts_itself_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Usage) as caught:
        Rival(**options)
    assert caught.value.code == "E_RIVAL_OPTION"


def test_an_instruction_stands_before_the_first_question() -> None:
    picture, text = {"type": "image", "image": 0}, {"type": "text", "text": "Which?"}
    system = {"role": "system", "content": [{"type": "text", "text": "s"}]}
    answer = {"role": "assistant", "content": [{"type": "text", "text": "a"}]}
    made: Any = {"messages": [system, {"role": "user", "content": [picture, text]}, answer]}
    told = instructed(made, "Short.")
    assert told["messages"][1]["content"] == [picture, {"type": "text", "text": "Short.\nWhich?"}]
    assert made["messages"][1]["content"] == [picture, text]
    assert instructed(made, "") is made
    bare: Any = {"messages": [{"role": "user", "content": [picture]}, answer]}
    assert instructed(bare, "Short.")["messages"][0]["content"][-1]["text"] == "Short."
