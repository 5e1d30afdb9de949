"""A server over TLS that can fail on demand and remembers what it was asked: for the proxy and the double.

Faults strike requests by method and path, in the order in which they were ordered. The log holds no value: of
headers only the names, and the few that mark a request and are not secret.
"""

from __future__ import annotations

import contextlib
import fnmatch
import http.server
import json
import socket
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from keyferry.testing.authority import Authority

FaultKind = Literal["status", "garbage", "huge", "cut", "cut-body", "hold", "slow"]
"""
status: answers with a status; garbage: a success that is no JSON; huge: one that does not end before 64 MiB;
cut: the connection ends without an answer; cut-body: it ends within the answer that the service gave; hold: no
answer until the faults are cleared; slow: the service's answer, `seconds` later.
"""
MARKS: Final[tuple[str, ...]] = (
    "x-vault-namespace",
    "x-vault-inconsistent",
    "x-vault-index",
    "x-vault-request",
    "user-agent",
)
"""Headers whose values are remembered: they tell nothing secret."""
_HUGE: Final = 64 << 20
_CHUNK: Final = b"x" * 65536
_DROPPED: Final = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. Header names are lower case.

    Args:
        path: below `/v1/`, decoded.
        target: path and query as they went over the wire.
    """

    method: str
    path: str
    target: str
    query: dict[str, str]
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """The body as an object; empty where there is none."""
        content = json.loads(self.body or b"{}")
        return content if isinstance(content, dict) else {}


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered: a JSON document, bytes as they are, or nothing."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The body."""
        if isinstance(self.content, bytes):
            return self.content
        return b"" if self.content is None else json.dumps(self.content).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came, without anything secret.

    Args:
        method, path, query: what was asked.
        headers: names, lower case.
        marks: the values of those in `MARKS` that it had.
        status: of the answer; 0 where it got none.
        seconds: how long it took.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: frozenset[str]
    marks: dict[str, str]
    status: int
    seconds: float


@dataclass(slots=True)
class Fault:
    """What shall go wrong, with which requests, and how often yet (0: until it is cleared)."""

    kind: FaultKind
    path: str = "*"
    method: str = "*"
    times: int = 1
    status: int = 500
    errors: tuple[str, ...] = ("1 error occurred",)
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0
    hits: int = 0

    def strikes(self, request: Request) -> bool:
        """Whether it is about this request, and not used up."""
        return (
            (not self.times or self.hits < self.times)
            and fnmatch.fnmatchcase(request.path, self.path)
            and fnmatch.fnmatchcase(request.method, self.method)
        )


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of bugs, and not of clients that have gone or do not trust us."""
        if not isinstance(sys.exception(), (ConnectionError, ssl.SSLError, TimeoutError)):
            super().handle_error(request, client_address)


class Front:
    """See the module's docstring. Subclasses say what the service answers.

    Args:
        authority: signs its certificate.

    Attributes:
        url: its address.
        calls: what it was asked; `reset` forgets it.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.calls: list[Call] = []
        self._context = authority.server_context()
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._held = threading.Semaphore(0)
        self._open: set[socket.socket] = set()
        self._refusing: socket.socket | None = None
        self._server: _Server | None = self._listen(0)
        self.port = self._server.server_port
        self.url = f"https://127.0.0.1:{self.port}"

    @property
    def ca_pem(self) -> str:
        """Who signed its certificate, PEM."""
        return self.authority.ca_pem

    def answer(self, request: Request) -> Response:
        """What the service answers."""
        raise NotImplementedError

    def gone(self) -> None:
        """A client's connection has ended; called in its thread."""

    # -- failures

    def fail(self, kind: FaultKind = "status", path: str = "*", **fault: Any) -> Fault:
        """Let requests go wrong: the next one unless `times` says otherwise; see `Fault`."""
        ordered = Fault(kind, path, **fault)
        with self._lock:
            self._faults.append(ordered)
        return ordered

    def throttle(self, retry_after: str | None = "1", path: str = "*", *, times: int = 1) -> Fault:
        """Let requests be told to wait, as a rate limit quota of Vault's does."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        said = f'request path "{path.rstrip("*")}": rate limit quota exceeded'
        return self.fail(path=path, times=times, status=429, errors=(said,), headers=headers)

    def sealed(self, *, times: int = 0) -> Fault:
        """Answer everything as a sealed Vault does."""
        return self.fail(times=times, status=503, errors=("Vault is sealed",))

    def clear(self) -> None:
        """Let nothing go wrong any more; what is held goes on."""
        with self._lock:
            self._faults.clear()
            released, self._released = self._released, threading.Event()
        released.set()
        if self._refusing is not None:
            self.accept()

    def refuse(self) -> None:
        """Listen no more, and cut what is open; the port stays ours."""
        self._end_server()
        self._refusing = socket.socket()
        self._refusing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._refusing.bind(("127.0.0.1", self.port))

    def accept(self) -> None:
        """Listen again."""
        refusing, self._refusing = self._refusing, None
        if refusing is not None:
            refusing.close()
            self._server = self._listen(self.port)

    def wait_held(self, timeout_s: float = 15.0) -> None:
        """Wait until one more request is held.

        Raises:
            TimeoutError: none comes.
        """
        if not self._held.acquire(timeout=timeout_s):
            raise TimeoutError("no request came to be held")

    # -- what was asked

    def reset(self) -> None:
        """Forget the calls."""
        with self._lock:
            self.calls = []

    def asked(self, path: str = "*", method: str = "*") -> list[Call]:
        """The calls since the last reset, by globs over path and method."""
        with self._lock:
            calls = list(self.calls)
        return [
            call
            for call in calls
            if fnmatch.fnmatchcase(call.path, path) and fnmatch.fnmatchcase(call.method, method)
        ]

    # -- serving

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._faults.clear()
        self._released.set()
        refusing, self._refusing = self._refusing, None
        if refusing is not None:
            refusing.close()
        self._end_server()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self, port: int) -> _Server:
        server = _Server(("127.0.0.1", port), _handler(self))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def _end_server(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        server.server_close()
        with self._lock:
            left = list(self._open)
        for connection in left:
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def _secured(self, plain: socket.socket) -> ssl.SSLSocket:
        """The connection over TLS. In its own thread: a client that says nothing keeps nobody waiting."""
        plain.settimeout(60.0)
        secured = self._context.wrap_socket(plain, server_side=True)
        with self._lock:
            self._open.add(secured)
        return secured

    def _ended(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def _struck(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.strikes(request):
                    fault.hits += 1
                    return fault
        return None

    def _note(self, request: Request, status: int, began: float) -> None:
        marks = {name: request.headers[name] for name in MARKS if name in request.headers}
        call = Call(
            request.method,
            request.path,
            request.query,
            frozenset(request.headers),
            marks,
            status,
            time.monotonic() - began,
        )
        with self._lock:
            self.calls.append(call)

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        began = time.monotonic()
        request = _read(handler)
        fault = self._struck(request)
        if fault is None:
            response = self.answer(request)
            self._note(request, response.status, began)  # before the client can look at the log
            _send(handler, response)
            return
        match fault.kind:
            case "status":
                self._note(request, fault.status, began)
                _send(handler, Response(fault.status, {"errors": list(fault.errors)}, fault.headers))
            case "slow":
                self._released.wait(fault.seconds)
                response = self.answer(request)
                self._note(request, response.status, began)
                _send(handler, response)
            case "garbage":
                self._note(request, 200, began)
                _send(handler, Response(200, b'{"data": <html>'))
            case _:
                self._break_off(handler, request, fault, began)

    def _break_off(
        self, handler: http.server.BaseHTTPRequestHandler, request: Request, fault: Fault, began: float
    ) -> None:
        """Answer not at all, or not to the end."""
        handler.close_connection = True
        if fault.kind == "hold":
            released = self._released
            self._held.release()
            released.wait()
        if fault.kind not in {"huge", "cut-body"}:
            self._note(request, 0, began)
            return
        body = self.answer(request).encoded() if fault.kind == "cut-body" else b'{"data": {"a": "'
        length = len(body) if fault.kind == "cut-body" else _HUGE
        self._note(request, 200, began)
        with contextlib.suppress(OSError):  # who asked has had enough
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(length))
            handler.end_headers()
            handler.wfile.write(body[: max(1, len(body) // 2)] if fault.kind == "cut-body" else body)
            if fault.kind == "huge":
                for _ in range(_HUGE // len(_CHUNK) - 1):
                    handler.wfile.write(_CHUNK)


def _handler(front: Front) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            self.request = front._secured(self.request)  # noqa: SLF001 - a part of it
            super().setup()

        def finish(self) -> None:
            with contextlib.suppress(OSError):  # who asked has gone
                super().finish()
            front.gone()
            front._ended(self.request)  # noqa: SLF001 - a part of it
            with contextlib.suppress(OSError):
                self.request.close()

        def __getattr__(self, name: str) -> Any:
            # Any method: Vault has LIST.
            if name.startswith("do_"):
                return lambda: front._serve(self)  # noqa: SLF001 - a part of it
            raise AttributeError(name)

        def log_message(self, *args: object) -> None:
            """Nothing to standard error."""

    return Handler


def _read(handler: http.server.BaseHTTPRequestHandler) -> Request:
    length = int(handler.headers.get("Content-Length") or 0)
    headers = {name.lower(): value for name, value in handler.headers.items()}
    parts = urlsplit(handler.path)
    return Request(
        handler.command,
        unquote(parts.path).removeprefix("/v1/"),
        handler.path,
        dict(parse_qsl(parts.query, keep_blank_values=True)),
        headers,
        handler.rfile.read(length),
    )


def _send(handler: http.server.BaseHTTPRequestHandler, response: Response) -> None:
    body = response.encoded()
    try:
        handler.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _DROPPED:
                handler.send_header(name, value)
        if response.status not in {204, 304}:
            if body and "content-type" not in {name.lower() for name in response.headers}:
                handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD" and response.status not in {204, 304}:
            handler.wfile.write(body)
    except OSError:
        handler.close_connection = True  # who asked has gone
