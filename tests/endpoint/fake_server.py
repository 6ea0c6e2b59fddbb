"""A served model that behaves as told: answers, fails, hangs, drips, or answers rubbish."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What to do with a request: a status and a body (text, bytes, or an object to send as JSON), with
# headers if any, or a function that is given the handler.
Deed = tuple[Any, ...] | Callable[[BaseHTTPRequestHandler], None]


def completion(*texts: str, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    choices = [
        {"index": i, "message": {"content": text, **message}, "finish_reason": finish_reason}
        for i, text in enumerate(texts)
    ]
    return {"choices": choices, "usage": {"prompt_tokens": 10, "completion_tokens": 5 * len(texts)}}


class FakeServer:
    """``behave(body, n_seen)`` says what to do with a request; ``n_seen`` counts from 0.

    `bodies` are the requests in the order of their arrival, `most_at_once` how many overlapped.
    """

    def __init__(self, behave: Callable[[dict[str, Any], int], Deed], models: tuple[str, ...]):
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.hanging = threading.Event()  # set at the end: lets go of what hangs
        self._at_once = 0
        self._lock = threading.Lock()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.answer(200, {"data": [{"id": name} for name in models]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with fake._lock:
                    n_seen = len(fake.bodies)
                    fake.bodies.append(body)
                    fake.headers.append(dict(self.headers))
                    fake._at_once += 1
                    fake.most_at_once = max(fake.most_at_once, fake._at_once)
                try:
                    deed = behave(body, n_seen)
                    if callable(deed):
                        deed(self)
                    else:
                        self.answer(*deed)
                finally:
                    with fake._lock:
                        fake._at_once -= 1

            def answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(content), **(headers or {})}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(content)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Never answer."""
        self.hanging.wait(30)
        handler.close_connection = True

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """Send a byte now and then, for ever: no read ever times out."""
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not self.hanging.wait(0.02):
            handler.wfile.write(b" ")
        handler.close_connection = True

    def break_off(self, handler: BaseHTTPRequestHandler) -> None:
        """Promise a hundred bytes, send ten and close."""
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b'{"choices"')
        handler.close_connection = True


@contextmanager
def fake_server(
    behave: Callable[[dict[str, Any], int], Deed] | list[Deed], models: tuple[str, ...] = ("tiny",)
) -> Iterator[FakeServer]:
    """A running server; a list of deeds is gone through, its last one repeated."""
    if isinstance(behave, list):
        deeds = behave

        def behave(_: dict[str, Any], n_seen: int) -> Deed:
            return deeds[min(n_seen, len(deeds) - 1)]

    server = FakeServer(behave, models)
    thread = threading.Thread(target=server.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.hanging.set()
        server.server.shutdown()
        server.server.server_close()
        thread.join()
