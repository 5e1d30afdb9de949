"""What the doubles of plain HTTP APIs have in common: a loopback server of their own, a log, faults.

Each serves in threads, so that tests with and without an event loop can use it, and the operator as another
process too. What a service decides is in `github.py`, `gitlab.py`, `quay.py` and `webhook.py`.
"""

from __future__ import annotations

import http.server
import json
import ssl
import sys
import threading
from collections import deque
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

FaultKind = Literal["status", "garbage", "huge", "cut", "hold"]
"""
status: answers with a status, and maybe Retry-After or Location; garbage: a success that is no JSON; huge:
one that never ends; cut: the connection ends without an answer; hold: no answer until the faults are cleared or
the double ends, then the connection ends.
"""
_HUGE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. Header names are lower case.

    Args:
        path, query: as they went over the wire.
    """

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    query: str = ""

    def json(self) -> dict[str, Any]:
        """The body as an object; empty where there is none."""
        content = json.loads(self.body or b"{}")
        return content if isinstance(content, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: a JSON document, or nothing; bytes go as they are."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The service says no.

    Args:
        status: of the answer.
        content: its JSON document.
    """

    def __init__(self, status: int, content: Any, **headers: str) -> None:
        super().__init__(status)
        self.answer = Answer(status, content, headers)


@dataclass(frozen=True, slots=True)
class Fault:
    """What shall go wrong with one request.

    Args:
        body: text in the answer's body, which must not be repeated by anybody.
    """

    kind: FaultKind
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was answered, without anything secret."""

    method: str
    path: str
    status: int


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of bugs, and not of clients that have gone: some are sent away on purpose."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class HttpDouble:
    """A service on loopback. Subclasses say what it answers.

    Args:
        tls: its certificate; None for plain HTTP.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self._faults: deque[Fault] = deque()
        self._released = threading.Event()
        self._held = threading.Semaphore(0)
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                double._serve(self)

            def do_POST(self) -> None:
                double._serve(self)

            def do_PUT(self) -> None:
                double._serve(self)

            def do_DELETE(self) -> None:
                double._serve(self)

            def log_message(self, *args: object) -> None:
                """Nothing to standard error."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, asked: Asked) -> Answer:
        """What the service answers.

        Raises:
            Refusal: it says no.
        """
        raise NotImplementedError

    def fail(self, kind: FaultKind = "status", *, times: int = 1, **fault: Any) -> None:
        """Let the next requests go wrong; `fault` holds further fields of `Fault`."""
        self._faults.extend([Fault(kind, **fault)] * times)

    def throttle(self, retry_after: str, *, status: int = 429) -> None:
        """Let the next request be told to wait."""
        self.fail(status=status, headers={"Retry-After": retry_after})

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()
        released, self._released = self._released, threading.Event()
        released.set()

    def wait_held(self, timeout_s: float = 15.0) -> None:
        """Wait until one more request is held.

        Raises:
            TimeoutError: none comes.
        """
        if not self._held.acquire(timeout=timeout_s):
            raise TimeoutError("no request came to be held")

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        target = urlsplit(handler.path)
        asked = Asked(handler.command, target.path, headers, handler.rfile.read(length), target.query)
        fault = self._faults.popleft() if self._faults else None
        if fault is not None:
            self.calls.append(Call(asked.method, asked.path, fault.status if fault.kind == "status" else 0))
            self._misbehave(handler, fault)
            return
        try:
            answer = self.answer(asked)
        except Refusal as refusal:
            answer = refusal.answer
        self.calls.append(Call(asked.method, asked.path, answer.status))
        _send(handler, answer.status, answer.headers, _encoded(answer.content))

    def _misbehave(self, handler: http.server.BaseHTTPRequestHandler, fault: Fault) -> None:
        match fault.kind:
            case "status":
                _send(handler, fault.status, fault.headers, json.dumps({"message": fault.body}).encode())
            case "garbage":
                _send(handler, 200, {}, f'{{"token": <html>{fault.body}'.encode())
            case "huge":
                _send(handler, 200, {}, b'{"token": "' + b"x" * _HUGE)
            case "cut":
                handler.close_connection = True
            case "hold":
                released = self._released
                self._held.release()
                released.wait()
                handler.close_connection = True

    def close(self) -> None:
        """End it."""
        self.clear_faults()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _encoded(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return b"" if content is None else json.dumps(content).encode()


def _send(
    handler: http.server.BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
) -> None:
    try:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if status in (204, 304):
            body = b""  # these have none
        else:
            handler.send_header("Content-Length", str(len(body)))
        if body:
            handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(body)
    except ConnectionError:
        handler.close_connection = True  # who asked has gone: the answer was too long for it
