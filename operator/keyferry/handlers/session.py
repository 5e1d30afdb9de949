"""kopf's connection: an aiohttp session of its own, whose token is fresh at every request.

kopf owns the session and closes it at its end, so it is not the one that our writes go through. All of
kopf's requests pass here, whichever path the events take: `WatchSigns` learns from them, without asking
kopf, whether each watch is alive and when its list is complete.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp
import kopf

from keyferry import __version__
from keyferry.errors import KubeError
from keyferry.handlers.settings import EndlessBackoff
from keyferry.kube.config import ClusterConfig
from keyferry.kube.shallow import shallow

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sign:
    """What is known of one resource's watch.

    Args:
        answered: tries that came to an answer other than 200, or to none.
        earlier: bytes of the bodies before `body`.
        body: of the answer that is being read.
        listing: whether a list was asked for, and no watch after it yet.
    """

    answered: int = 0
    earlier: int = 0
    body: aiohttp.StreamReader | None = None
    listing: bool = False


class WatchSigns:
    """What kopf's requests tell of the watches, by the plurals of their resources.

    Args:
        plurals: the resources that are watched.
        listed: called with the plural when a list in pages is complete: the watch after it begins.
    """

    def __init__(self, plurals: Iterable[str], listed: Callable[[str], None] = lambda _: None) -> None:
        self._signs = {plural: _Sign() for plural in plurals}
        self._listed = listed

    def figure(self, plural: str) -> tuple[int, int]:
        """A figure that stays the same only while nothing is heard.

        It counts what was received, not what was asked: a watch that was accepted and stays silent, without
        even a bookmark, is no sign of life. Neither is a try under way. A refusal or a failure to connect
        is one: the watch is being tried, and a restart of the process would help nobody.
        """
        sign = self._signs[plural]
        return sign.answered, sign.earlier + (sign.body.total_bytes if sign.body is not None else 0)

    def asking(self, request: aiohttp.ClientRequest) -> None:
        """A request is about to be sent."""
        sign = self._sign_of(request)
        if sign is None:
            return
        query = request.url.query
        if "watch" not in query:
            sign.listing = True
        elif sign.listing and "resourceVersion" in query:
            sign.listing = False
            self._listed(request.url.name)

    def heard(self, request: aiohttp.ClientRequest, response: aiohttp.ClientResponse | None) -> None:
        """A try has ended: with an answer, or with none."""
        sign = self._sign_of(request)
        if sign is None:
            return
        if response is None or response.status != 200:
            sign.answered += 1
            return
        sign.earlier = self.figure(request.url.name)[1]
        sign.body = response.content

    def _sign_of(self, request: aiohttp.ClientRequest) -> _Sign | None:
        return self._signs.get(request.url.name) if request.method == "GET" else None


class _Content:
    """A stream of lines of JSON, each cut where it is too deep to be parsed; all else is the stream's.

    Args:
        stream: what comes in.
    """

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, and at the end what is left, as kopf reads a watch."""
        parts: list[bytes] = []  # of a line that has not ended: joined once, for it may come in many chunks
        async for chunk in self._stream.iter_chunked(size):
            head, newline, rest = chunk.rpartition(b"\n")
            if not newline:
                parts.append(chunk)
                continue
            whole = b"".join([*parts, head])
            parts = [rest] if rest else []
            yield b"".join(shallow(line) + b"\n" for line in whole.split(b"\n"))
        if parts:
            yield b"".join(parts)


class _Response(aiohttp.ClientResponse):
    """An answer whose JSON can be parsed, whatever objects the API server has taken."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        started = await super().start(connection)
        self.content = _Content(self.content)  # type: ignore[assignment]  # of which it has all
        return started

    async def json(self, **options: Any) -> Any:
        return await super().json(**{"loads": lambda text: json.loads(shallow(text.encode())), **options})


def kopf_session(config: ClusterConfig, signs: WatchSigns) -> kopf.AiohttpSession:
    """The session for kopf's login handler.

    Args:
        config: the API server, and who we are there.
        signs: hears of each request and answer.
    """

    async def authorize(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        signs.asking(request)
        # An identity that is refused, or cannot be read, is tried again here until kopf's own time for a
        # request has passed. kopf would throw the session away, all watches with it, and log in at once again.
        pauses = iter(EndlessBackoff())
        fresh = False
        while True:
            token = _token(config, fresh=fresh)
            if token is not None:
                response = await _ask(request, handler, token, signs)
                if response.status != 401:
                    return response
                response.close()
            if fresh:
                await asyncio.sleep(next(pauses))
            fresh = True

    tls = config.ssl_context()
    headers = {"User-Agent": f"keyferry/{__version__} (watch)"}
    if config.basic is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(*config.basic)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=tls if tls is not None else True),
        headers=headers,
        middlewares=(authorize,),
        response_class=_Response,
        proxy=config.proxy_url(),
    )
    return kopf.AiohttpSession(
        server=config.server, aiohttp_session=session, default_namespace=config.namespace
    )


def _token(config: ClusterConfig, *, fresh: bool) -> str | None:
    """The bearer token to use now; empty where none is used, None where it cannot be read."""
    if config.tokens is None:
        return ""
    try:
        return config.tokens.token(fresh=fresh)
    except (OSError, ValueError, KubeError) as error:
        log.debug("the API token cannot be read: %s", type(error).__name__)
        return None


async def _ask(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType, token: str, signs: WatchSigns
) -> aiohttp.ClientResponse:
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    response = None
    try:
        response = await handler(request)
    finally:
        signs.heard(request, response)
    return response
