"""Judging: a model behind an OpenAI-compatible endpoint, asked over HTTP with the standard library.

One POST to ``URL/chat/completions`` an answer. No redirect is followed, since a key must not go to
another host, and a key goes over plain HTTP to this machine alone. What is worth another try (a
busy server, a lost connection) is tried again a few times.
"""

from __future__ import annotations

import base64
import http
import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from kolm import canonical, settings
from kolm.errors import Denied, KolmError, Network, Refused, Usage

KEY = "KOLM_JUDGE_KEY"
TIMEOUT_SECONDS = 60.0  # of one try, from the first byte sent to the last received
TRIES = 4
PAUSES_SECONDS = (1.0, 4.0, 15.0)  # before the second try and those after it
LONGEST_PAUSE_SECONDS = 60.0  # that a server may ask for
MOST_BYTES = 1 << 20  # of a reply
_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504))
# UnicodeError: a name that the system's resolver cannot write.
_LOST = (OSError, http.client.HTTPException, UnicodeError)
_SHOWN = 300  # characters of a server's own words


class Reply(NamedTuple):
    """What a model said, whether it was cut (``length``), and who it says it is."""

    text: str
    finish: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A model behind an address.

    Attributes:
        url: of the API, such as ``https://api.openai.com/v1``.
        model: its name there.
        key: sent as a bearer token; none without one.
        timeout_seconds: of one try.
        tries: of one question.
        pause: waits some seconds.
        clock: seconds that only grow.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS
    tries: int = TRIES
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def named(
        cls, url: str, model: str, *, timeout_seconds: float = TIMEOUT_SECONDS, tries: int = TRIES
    ) -> Endpoint:
        """An endpoint with the key of the environment.

        Raises:
            Network: ``E_JUDGE_OFFLINE``: the network is forbidden.
            Usage: ``E_JUDGE_URL``.
        """
        if settings.offline():
            raise Network(
                "E_JUDGE_OFFLINE",
                "a judge behind an endpoint needs the network, which --offline forbids",
                where=url,
                hint="judge with a base or a bundle on this machine: --model",
            )
        made = cls(
            url=url, model=model, key=settings.text(KEY), timeout_seconds=timeout_seconds,
            tries=tries,
        )  # fmt: skip
        made.place()
        return made

    def place(self) -> SplitResult:
        """The parts of the address.

        Raises:
            Usage: ``E_JUDGE_URL``: it is none, holds a password, or would carry a key in the open.
        """
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if not known or not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise _url("this is no address of an endpoint", found=self.url[:200])
        if parts.username or parts.password or parts.query or parts.fragment:
            raise _url("the address of an endpoint has no user, query or fragment")
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise Usage("E_ENVIRONMENT_VALUE", f"{KEY} is not one line of ASCII")
        if self.key and parts.scheme == "http" and not _is_here(str(parts.hostname)):
            raise _url("a key is sent over HTTPS, or to this machine", found=self.url[:200])
        return parts

    def ask(self, text: str, pictures: Sequence[tuple[str, bytes]], *, max_tokens: int) -> Reply:
        """Ask one question.

        Args:
            text: of the question.
            pictures: media type and bytes of each picture that it is about.
            max_tokens: of the reply.

        Raises:
            Denied: ``E_JUDGE_KEY``: the key is missing or not taken.
            Network: ``E_JUDGE_UNREACHABLE``, ``E_JUDGE_REFUSED`` or ``E_JUDGE_REPLY``.
        """
        content = [picture_part(kind, data) for kind, data in pictures]
        asked = {"role": "user", "content": [*content, {"type": "text", "text": text}]}
        return self.complete([asked], max_tokens=max_tokens)

    def complete(self, messages: Sequence[Mapping[str, object]], *, max_tokens: int) -> Reply:
        """The answer to a conversation, as the API's messages.

        Raises:
            KolmError: as `ask`.
        """
        body = {
            "model": self.model,
            "messages": list(messages),
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        return _read(self._post(json.dumps(body).encode()), self.url)

    def _post(self, body: bytes) -> bytes:
        problem: KolmError | None = None
        for number in range(self.tries):
            asked_for = 0.0
            try:
                status, headers, data = self._try(body)
            except ssl.SSLCertVerificationError as error:  # it will not get better
                raise _unreachable(self.url, str(error)) from None
            except _LOST as error:
                problem = _unreachable(self.url, str(error) or type(error).__name__)
            else:
                if status == http.HTTPStatus.OK:
                    return data
                problem = _refused(self.url, status, self._without_key(data))
                if status not in _AGAIN:
                    raise problem
                asked_for = _pause_of(headers)
            if number + 1 < self.tries:
                usual = PAUSES_SECONDS[min(number, len(PAUSES_SECONDS) - 1)]
                self.pause(min(max(usual, asked_for), LONGEST_PAUSE_SECONDS))
        assert problem is not None  # at least one try was made
        problem.hint = problem.hint or "run the command again: it goes on with what is left"
        raise problem

    def _try(self, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        parts, ends = self.place(), self.clock() + self.timeout_seconds
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        options: dict[str, Any] = {"timeout": self.timeout_seconds}
        if parts.scheme == "https":
            options["context"] = ssl.create_default_context()
        connection = kinds[parts.scheme](str(parts.hostname), parts.port, **options)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        try:
            connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", body, headers)
            with connection.getresponse() as reply:
                data = self._received(reply, connection.sock, ends)
                return reply.status, reply.msg, data
        finally:
            connection.close()

    def _without_key(self, data: bytes) -> str:
        """What a server says of an error, without the key that it may repeat."""
        said = data.decode("utf-8", "replace")
        return (said.replace(self.key, "…") if self.key else said)[:_SHOWN]

    def _received(
        self, reply: http.client.HTTPResponse, sock: socket.socket | None, ends: float
    ) -> bytes:
        """The body of a reply, within the time and size that are left."""
        pieces, size = list[bytes](), 0
        while piece := reply.read1(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise _bad_reply(self.url, f"it is longer than {MOST_BYTES} bytes")
            left = ends - self.clock()
            if left <= 0:
                raise TimeoutError(f"no whole reply within {self.timeout_seconds:g} s")
            if sock is not None and sock.fileno() >= 0:
                sock.settimeout(left)
        return b"".join(pieces)


def _read(data: bytes, url: str) -> Reply:
    try:
        value = canonical.loads(
            data, where=url, max_bytes=MOST_BYTES, max_depth=64, floats=True, integers=True
        )
    except Refused as error:
        raise _bad_reply(url, error.message) from None
    try:
        choice = value["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise _bad_reply(url, "it has no choices[0].message.content") from None
    if text is None:  # a model that refuses, or thinks without end
        text = ""
    if not isinstance(text, str):
        raise _bad_reply(url, "its content is no text")
    said = value.get("model")
    return Reply(
        text=text,
        finish=finish if isinstance(finish, str) else "",
        model=said if isinstance(said, str) else "",
    )


def picture_part(media_type: str, data: bytes) -> dict[str, object]:
    """A picture as a part of a message."""
    uri = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": uri}}


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _pause_of(headers: http.client.HTTPMessage) -> float:
    """The seconds that a server asks to wait (RFC 9110, section 10.2.3); dates are passed over."""
    stated = str(headers.get("Retry-After", ""))
    return float(stated) if stated.isascii() and stated.isdecimal() and len(stated) < 6 else 0.0


def _url(problem: str, *, found: str = "") -> Usage:
    return Usage("E_JUDGE_URL", problem, expected="such as https://api.openai.com/v1", found=found)


def _unreachable(url: str, problem: str) -> Network:
    return Network(
        "E_JUDGE_UNREACHABLE", "the endpoint does not answer", where=url, found=problem[:_SHOWN]
    )


def _bad_reply(url: str, problem: str) -> Network:
    return Network(
        "E_JUDGE_REPLY",
        "what the endpoint sent is no chat completion",
        where=url,
        found=problem[:_SHOWN],
        hint="is the address right? it is led by the API's version, such as /v1",
    )


def _refused(url: str, status: int, said: str) -> KolmError:
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return Denied(
            "E_JUDGE_KEY",
            "the endpoint does not take the key",
            where=url,
            found=f"{status} {said}",
            hint=f"set {KEY}",
        )
    moved = "; redirects are not followed" if 300 <= status < 400 else ""
    return Network(
        "E_JUDGE_REFUSED", f"the endpoint refuses{moved}", where=url, found=f"{status} {said}"
    )
