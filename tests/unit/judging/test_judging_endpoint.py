"""A judge behind an endpoint: what is sent, what is read, what is tried again."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kolm import settings
from kolm.errors import Denied, KolmError, Network, Usage
from kolm.judging.endpoint import KEY, PAUSES_SECONDS, Endpoint
from tests.support.endpoints import Answer, endpoint, said


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv("KOLM_OFFLINE", raising=False)


def made(url: str, **changes: Any) -> tuple[Endpoint, list[float]]:
    pauses: list[float] = []
    options: dict[str, Any] = {"timeout_seconds": 5.0, "pause": pauses.append, **changes}
    return Endpoint(url=url, model="judge", **options), pauses


def test_pictures_go_before_the_question_and_the_key_in_a_header() -> None:
    with endpoint(lambda _: said("fine")) as fake:
        asked, _ = made(fake.url, key="secret")
        reply = asked.ask("how good?", [("image/png", b"\x89PNG")], max_tokens=7)
    assert reply == ("fine", "stop", "fake-2026")
    [(path, headers, body)] = fake.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("judge", 0, 7)
    picture, text = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "how good?"}
    kind, _, data = picture["image_url"]["url"].partition(";base64,")
    assert (kind, base64.b64decode(data)) == ("data:image/png", b"\x89PNG")


def test_without_a_key_none_is_sent() -> None:
    with endpoint(lambda _: said("fine")) as fake:
        made(fake.url)[0].ask("?", [], max_tokens=1)
    assert "Authorization" not in fake.asked[0][1]


def test_the_key_is_that_of_the_environment_and_is_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY, "sk-secret")
    with endpoint(lambda _: (400, {}, b"bad key sk-secret")) as fake:
        asked = Endpoint.named(fake.url, "judge")
        with pytest.raises(Network) as caught:
            asked.ask("?", [], max_tokens=1)
    assert fake.asked[0][1]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(asked) + str(caught.value) + caught.value.found
    assert KEY not in settings.inherited()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(status: int) -> None:
    answers: Iterator[Answer] = iter([(status, {}, b"busy"), (status, {}, b""), said("fine")])
    with endpoint(lambda _: next(answers)) as fake:
        asked, pauses = made(fake.url)
        assert asked.ask("?", [], max_tokens=1).text == "fine"
    assert pauses == list(PAUSES_SECONDS[:2])


def test_a_server_says_how_long_to_wait_within_reason() -> None:
    answers = iter([(429, {"Retry-After": "30"}, b""), (429, {"Retry-After": "9999"}, b""),
                    (429, {"Retry-After": "x"}, b""), said("fine")])  # fmt: skip
    with endpoint(lambda _: next(answers)) as fake:
        asked, pauses = made(fake.url)
        asked.ask("?", [], max_tokens=1)
    assert pauses == [30.0, 60.0, PAUSES_SECONDS[2]]


def test_tries_have_an_end() -> None:
    with endpoint(lambda _: (503, {}, b"busy")) as fake:
        asked, pauses = made(fake.url, tries=3)
        with pytest.raises(Network) as caught:
            asked.ask("?", [], max_tokens=1)
    assert (caught.value.code, len(fake.asked), len(pauses)) == ("E_JUDGE_REFUSED", 3, 2)
    assert "503 busy" in caught.value.found


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ((401, {}, b"who?"), Denied, "E_JUDGE_KEY"),
        ((403, {}, b"no"), Denied, "E_JUDGE_KEY"),
        ((404, {}, b"no such model"), Network, "E_JUDGE_REFUSED"),
        ((302, {"Location": "http://127.0.0.1:1/steal"}, b""), Network, "E_JUDGE_REFUSED"),
        ((200, {}, b"<html>"), Network, "E_JUDGE_REPLY"),
        ((200, {}, b"[]"), Network, "E_JUDGE_REPLY"),
        ((200, {}, b'{"choices": []}'), Network, "E_JUDGE_REPLY"),
        ((200, {}, b'{"choices": [{"message": {"content": 3}}]}'), Network, "E_JUDGE_REPLY"),
        ((200, {}, b" " * (1 << 20) + b"{}"), Network, "E_JUDGE_REPLY"),
        ((200, {}, b"[" * 5000), Network, "E_JUDGE_REPLY"),
    ],
)
def test_what_is_no_answer_is_told_at_once(
    answer: Answer, kind: type[KolmError], code: str
) -> None:
    with endpoint(lambda _: answer) as fake:
        asked, pauses = made(fake.url)
        with pytest.raises(kind) as caught:
            asked.ask("?", [], max_tokens=1)
    assert (caught.value.code, len(fake.asked), pauses) == (code, 1, [])


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked, pauses = made(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_seconds=0.05)
        with pytest.raises(Network) as caught:
            asked.ask("?", [], max_tokens=1)
    assert (caught.value.code, len(pauses)) == ("E_JUDGE_UNREACHABLE", 3)


def test_a_server_that_trickles_is_given_up_after_the_time_of_a_try() -> None:
    ticks = iter(range(0, 1000, 3))
    with endpoint(lambda _: said("x" * 300_000)) as fake:
        asked, _ = made(fake.url, clock=lambda: float(next(ticks)), tries=1)
        with pytest.raises(Network) as caught:
            asked.ask("?", [], max_tokens=1)
    assert caught.value.code == "E_JUDGE_UNREACHABLE"


def test_nobody_at_the_address_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    asked, pauses = made(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(Network) as caught:
        asked.ask("?", [], max_tokens=1)
    assert (caught.value.code, len(pauses)) == ("E_JUDGE_UNREACHABLE", 3)


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x/v1", "http://", "https://u:p@x/v1", "https://x/v1?key=1", "https://x/ y",
     "https://x:99999/", "https://exämple/", "http://example.org/v1", "http://10.0.0.1/v1"],
)  # fmt: skip
def test_an_address_that_a_key_must_not_go_to_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, "secret")
    with pytest.raises(Usage) as caught:
        Endpoint.named(url, "judge")
    assert caught.value.code == "E_JUDGE_URL"


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "http://[::1]:8000", "https://x/v1"])
def test_other_addresses_are_taken(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret")
    assert Endpoint.named(url, "judge").url == url


def test_a_key_that_would_break_a_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a\r\nHost: evil")
    with pytest.raises(Usage) as caught:
        Endpoint.named("https://x/v1", "judge")
    assert caught.value.code == "E_ENVIRONMENT_VALUE"
    assert "evil" not in str(caught.value) + caught.value.found


def test_a_name_that_nobody_can_resolve_is_told() -> None:
    asked, _ = made(f"https://{'a' * 80}/v1", tries=1)
    with pytest.raises(Network) as caught:
        asked.ask("?", [], max_tokens=1)
    assert caught.value.code == "E_JUDGE_UNREACHABLE"


def test_offline_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLM_OFFLINE", "1")
    with pytest.raises(Network) as caught:
        Endpoint.named("http://127.0.0.1:1/v1", "judge")
    assert caught.value.code == "E_JUDGE_OFFLINE"
