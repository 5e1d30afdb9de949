"""The API server proxy within its event loop: forwarding, watches, faults, records.

`apiproxy` runs it in a thread and steers it; every method here is called in that thread's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import aiohttp
import yarl
from aiohttp import web

from keyferry.aio import TaskBag
from keyferry.testing.kuberequest import KubeRequest, RequestMatch, read_kube_request
from keyferry.testing.listener import HeldPort

MAX_REQUEST_BYTES: Final = 16 << 20
_NOT_FORWARDED: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "expect"})
_NOT_RETURNED: Final = frozenset({"connection", "content-length", "transfer-encoding", "date"})
_REASONS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}

FaultKind = Literal["answer", "delay", "hold", "lose-request", "lose-answer", "cut-watch"]
"""
answer: a status instead of the server's; delay: forward later; hold: forward when the fault is removed;
lose-request: cut the connection, the server never hears of it; lose-answer: the server acts, then the
connection is cut; cut-watch: some events are passed on, then the connection is cut.
"""


@dataclass(slots=True)
class ApiFault:
    """A fault in force.

    Args:
        kind: see `FaultKind`.
        match: which requests.
        times: how often; 0 until it is removed.
        status: for `answer`.
        headers: for `answer`, added.
        message: for `answer`, the Status object's text.
        seconds: for `delay`.
        lines: for `cut-watch`, how many events come before.
        hits: how often it struck.
    """

    kind: FaultKind
    match: RequestMatch
    times: int = 0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    seconds: float = 0.0
    lines: int = 0
    hits: int = 0
    removed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class RequestRecord:
    """A request that came: what it asked, who asked, and how it ended.

    Args:
        status: of the answer that the client got; 0 while it is under way or if the connection was cut.
        forwarded: whether the server heard of it.
        done: whether it is over.
        lines: after so many events the watch is cut; None for never.
    """

    request: KubeRequest
    query: str
    user_agent: str
    started: float
    status: int = 0
    forwarded: bool = False
    seconds: float = 0.0
    done: bool = False
    lines: int | None = None


@dataclass(slots=True, eq=False)
class Watch:
    """An open watch.

    Args:
        request: what it asks.
        transport: the client's connection.
        response: what is written to the client.
        scope: rescheduled to now, it ends the watch.
        flowing: cleared while the watch is stalled.
    """

    request: KubeRequest
    transport: asyncio.Transport | None
    response: web.StreamResponse
    scope: asyncio.Timeout
    flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let the watch end now."""
        self.scope.reschedule(asyncio.get_running_loop().time())


class Engine:
    """The proxy within its event loop."""

    def __init__(self, server: str, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self._tasks = TaskBag()
        self._stalled: set[str] = set()
        self._watches: set[Watch] = set()
        self._records: list[RequestRecord] = []
        self._runner: web.AppRunner
        self.held: HeldPort
        self.faults: list[ApiFault] = []
        self.changed = asyncio.Condition()
        self.stopped = asyncio.Event()

    @classmethod
    async def open(
        cls, server: str, tls: ssl.SSLContext | None, port: int, serve_tls: ssl.SSLContext | None
    ) -> Engine:
        """An engine that listens; the arguments are those of `ApiProxy`."""
        connector = aiohttp.TCPConnector(limit=0, ssl=tls if tls is not None else True)
        http = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        )
        engine = cls(server, http)
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", engine._handle)
        engine._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True, auto_decompress=False
        )
        try:
            await engine._runner.setup()
            engine.held = HeldPort(engine._runner, port, tls=serve_tls)
            await engine.held.open()
        except BaseException:
            await engine._runner.cleanup()
            await http.close()
            raise
        return engine

    async def close(self) -> None:
        """Cut everything and stop listening."""
        for fault in list(self.faults):
            self.remove(fault)
        self.held.cut_connections()
        await self._runner.cleanup()
        self.held.close()
        await self._tasks.close()
        await self._http.close()

    # Steering

    def remove(self, fault: ApiFault) -> None:
        """End a fault and let go on what it holds."""
        if fault in self.faults:
            self.faults.remove(fault)
        fault.removed.set()

    def watching(self, resource: str) -> list[Watch]:
        """The open watches of a resource (a glob)."""
        match = RequestMatch(resource=resource)
        return [watch for watch in self._watches if match.matches(watch.request, "")]

    def cut(self, resource: str) -> int:
        """Cut the connections of these watches; how many there were."""
        found = self.watching(resource)
        for watch in found:
            if watch.transport:
                watch.transport.abort()
        return len(found)

    def stall(self, resource: str) -> None:
        """Let these watches fall silent, and new ones too."""
        self._stalled.add(resource)
        for watch in self.watching(resource):
            watch.flowing.clear()

    def let_flow(self) -> None:
        """Let all watches flow again."""
        self._stalled.clear()
        for watch in self._watches:
            watch.flowing.set()

    async def send_error(self, code: int, resource: str) -> int:
        """End these watches with an ERROR event; how many there were."""
        found = self.watching(resource)
        event = {"type": "ERROR", "object": _status(code, f"fault: {code}")}
        for watch in found:
            watch.end()
            with contextlib.suppress(ConnectionError):
                await watch.response.write(json.dumps(event).encode() + b"\n")
        return len(found)

    def select(self, wanted: RequestMatch) -> Iterator[RequestRecord]:
        """The requests that are meant, in the order in which they came."""
        return (one for one in self._records if wanted.matches(one.request, one.user_agent))

    def reset(self) -> None:
        """Forget the requests that are over."""
        self._records = [one for one in self._records if not one.done]

    # Serving

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        agent = request.headers.get("User-Agent", "")
        record = RequestRecord(read_kube_request(request.method, path, query), query, agent, time.time())
        self._records.append(record)
        await self._notify()
        try:
            response = await self._strike(request, record)
            if response is None:
                response = await self._forward(request, record)
        except ConnectionAbortedError:
            return _cut(request)
        else:
            record.status = response.status
            return response
        finally:
            record.done = True
            record.seconds = time.time() - record.started
            await self._notify()

    async def _strike(self, request: web.Request, record: RequestRecord) -> web.StreamResponse | None:
        for fault in list(self.faults):
            spent = fault.times and fault.hits >= fault.times
            if spent or not fault.match.matches(record.request, record.user_agent):
                continue
            fault.hits += 1
            match fault.kind:
                case "delay":
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(fault.removed.wait(), fault.seconds)
                case "hold":
                    await fault.removed.wait()
                case "answer":
                    content = _status(fault.status, fault.message)
                    return web.json_response(content, status=fault.status, headers=fault.headers)
                case "cut-watch":
                    record.lines = fault.lines
                case "lose-request":
                    raise ConnectionAbortedError
                case "lose-answer":
                    await self._ask(request, record)
                    raise ConnectionAbortedError
        return None

    async def _forward(self, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        if record.request.verb == "watch" or "follow=" in record.query:
            return await self._stream(request, record)
        # The server finishes what it was asked even if the client goes away, so this does too.
        asking = self._tasks.spawn(self._ask(request, record), name="api-proxy-request")
        response: web.Response | None = await asyncio.shield(asking)
        if response is None:
            raise ConnectionAbortedError
        return response

    async def _ask(self, request: web.Request, record: RequestRecord) -> web.Response | None:
        """The server's answer; None if it gave none."""
        try:
            async with await self._send(request, record) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            return None
        return web.Response(status=answer.status, headers=_returned(answer), body=body)

    async def _send(self, request: web.Request, record: RequestRecord) -> aiohttp.ClientResponse:
        body = await request.read()
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED
        }
        if record.request.verb == "watch":
            headers.pop("Accept-Encoding", None)
        record.forwarded = True
        return await self._http.request(
            request.method,
            yarl.URL(self._server + request.raw_path, encoded=True),
            headers=headers,
            data=body or None,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            allow_redirects=False,
        )

    async def _stream(self, request: web.Request, record: RequestRecord) -> web.StreamResponse:
        try:
            async with await self._send(request, record) as answer:
                if answer.status != 200:
                    body = await answer.read()
                    return web.Response(status=answer.status, headers=_returned(answer), body=body)
                response = web.StreamResponse(status=200, headers=_returned(answer))
                response.enable_chunked_encoding()
                await response.prepare(request)
                record.status = 200
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None) as scope:
                        watch = Watch(record.request, request.transport, response, scope)
                        await self._pump(answer, watch, record.lines)
                return response
        except aiohttp.ClientError:
            raise ConnectionAbortedError from None

    async def _pump(self, answer: aiohttp.ClientResponse, watch: Watch, lines: int | None) -> None:
        """Pass whole lines on as they come, so that an event of ours never lands within one of the server's.

        Args:
            lines: cut the connection in the midst of the one after so many.
        """
        if not any(RequestMatch(resource=one).matches(watch.request, "") for one in self._stalled):
            watch.flowing.set()
        self._watches.add(watch)
        try:
            await self._notify()
            rest = b""
            async for chunk in answer.content.iter_any():
                rest += chunk
                end = rest.rfind(b"\n") + 1
                await watch.flowing.wait()
                if lines is not None:
                    whole = rest[:end].splitlines(keepends=True)
                    if len(whole) > lines:
                        await watch.response.write(b"".join(whole[:lines]) + whole[lines][:20])
                        raise ConnectionAbortedError
                    lines -= len(whole)
                if end:
                    await watch.response.write(rest[:end])
                    rest = rest[end:]
            if rest:
                await watch.response.write(rest)
        finally:
            self._watches.discard(watch)
            # At once: a TLS connection that is closed in order waits for a peer that may have nothing to say.
            if answer.connection and answer.connection.transport:
                answer.connection.transport.abort()

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()


def _returned(answer: aiohttp.ClientResponse) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_RETURNED]


def _cut(request: web.Request) -> web.Response:
    """End the connection; what is returned goes nowhere."""
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)


def _status(code: int, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": _REASONS.get(code, ""),
        "code": code,
    }
