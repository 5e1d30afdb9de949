"""For all rooms: a small real HTTP server that plays the API server by a script, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from keyferry.kube.client import KubeApi
from keyferry.kube.config import ClusterConfig, TokenSource
from keyferry.kube.pace import Pace
from keyferry.testing.eventually import eventually_async

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """Answers by `script`, one request after the other, then by `otherwise`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.script: deque[Answer] = deque()
        self.otherwise: Answer = says(200, {})
        self.at_once = 0
        self.most_at_once = 0
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            body = await request.read()
            self.seen.append(
                Seen(
                    asyncio.get_running_loop().time(),
                    request.method,
                    request.path,
                    dict(request.query),
                    dict(request.headers),
                    body,
                    request.transport.get_extra_info("peername"),
                )
            )
            answer = self.script.popleft() if self.script else self.otherwise
            return await answer(request)
        finally:
            self.at_once -= 1

    def connections(self) -> int:
        """How many connections the requests came by."""
        return len({one.peer for one in self.seen})


def says(
    status: int = 200, body: Any = None, headers: dict[str, str] | None = None, raw: bytes = b""
) -> Answer:
    """Answers with JSON, or with raw bytes."""

    async def answer(_: web.Request) -> web.StreamResponse:
        content = raw or json.dumps(body).encode()
        return web.Response(status=status, body=content, headers=headers)

    return answer


def refuses(status: int, message: str, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    """Answers as the API server refuses: with a Status object."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    return says(status, body | fields, headers)


async def hangs(_: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.sleep(3600)
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Cuts the connection without an answer."""
    request.transport.abort()
    await asyncio.sleep(3600)
    raise AssertionError


def streams(*chunks: bytes | float, then: str = "end") -> Answer:
    """Answers piece by piece; a number is a pause. Then it ends, cuts the connection, or says no more."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            if isinstance(chunk, bytes):
                await response.write(chunk)
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(chunk)
        if then == "cut":
            await asyncio.sleep(0.05)  # what was written has gone out
            request.transport.abort()
        elif then == "hang":
            await asyncio.sleep(3600)
        else:
            await response.write_eof()
        return response

    return answer


@contextlib.asynccontextmanager
async def serving(tls: Any = None) -> AsyncIterator[Server]:
    """A server on a free port."""
    server = Server()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as made:
        yield made


@pytest.fixture
async def open_api(server: Server) -> AsyncIterator[Callable[..., KubeApi]]:
    """Makes clients of the server; arguments are those of the configuration, and `limit`, `timeout_s`."""
    opened = []

    def make(*, limit: int = 32, timeout_s: float = 5.0, **config: Any) -> KubeApi:
        api = KubeApi(ClusterConfig(**{"server": server.url} | config), Pace(limit), timeout_s=timeout_s)
        opened.append(api)
        return api

    yield make
    for api in opened:
        await api.close()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until this is true; fails after 15 s."""

    async def met() -> Any:
        return condition()

    await eventually_async(met, every_s=0.005)


class Play:
    """The pieces of scripts, for tests, which cannot import from here."""

    says = staticmethod(says)
    refuses = staticmethod(refuses)
    streams = staticmethod(streams)
    hangs = staticmethod(hangs)
    hangs_up = staticmethod(hangs_up)
    serving = staticmethod(serving)
    until = staticmethod(until)


@pytest.fixture
def play() -> type[Play]:
    return Play


@pytest.fixture
def rotating() -> Callable[..., TokenSource]:
    """A token source that gives these tokens, one after the other, and then the last one for ever."""

    def make(*tokens: str, lifetime_s: float = float("inf")) -> TokenSource:
        left = deque(tokens)
        return TokenSource(lambda: (left.popleft() if len(left) > 1 else left[0], lifetime_s))

    return make
