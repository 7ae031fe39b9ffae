"""A fake OpenAI-compatible endpoint on this machine, which says what a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]  # status, headers, body


@dataclass
class Fake:
    """A running endpoint.

    Attributes:
        url: of the API.
        answer: of the request's body, an answer.
        asked: what was asked: path, headers, body.
    """

    url: str
    answer: Callable[[dict[str, Any]], Answer]
    asked: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)


def said(text: str | None, *, finish: str = "stop", model: str = "fake-2026") -> Answer:
    """A chat completion."""
    message = {"role": "assistant", "content": text}
    body = {"id": "x", "model": model, "usage": {"cost": 0.5},
            "choices": [{"index": 0, "finish_reason": finish, "message": message}]}  # fmt: skip
    return 200, {}, json.dumps(body).encode()


def scored(accuracy: int, completeness: int = 3, relevance: int = 3) -> Answer:
    """A reply in the form that judges are asked for."""
    return said(
        json.dumps({"accuracy": accuracy, "completeness": completeness, "relevance": relevance})
    )


def text_of(body: dict[str, Any]) -> str:
    """The text of a request's question."""
    return str(body["messages"][0]["content"][-1]["text"])


@contextlib.contextmanager
def endpoint(answer: Callable[[dict[str, Any]], Answer]) -> Iterator[Fake]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            fake.asked.append((self.path, dict(self.headers), body))
            status, headers, data = fake.answer(body)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = Fake(url=f"http://127.0.0.1:{server.server_port}/v1", answer=answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
