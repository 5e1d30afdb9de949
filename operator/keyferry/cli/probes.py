"""/healthz, /readyz and /metrics.

Live means: the loop answers, the watches hear something, and the queue's head is young. A watch that stays
silent is started anew and then listed by its own timers long before; liveness is for the case that this
fails too. An API server that refuses us or cannot be reached is no reason: a restart would help nobody, and
the pauses between restarts would outlast the outage.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

log = logging.getLogger(__name__)

WATCH_SILENCE_S: Final = 240.0
"""Bookmarks come every minute, silent watches are renewed after 90 s and listed after 180 s."""
QUEUE_WAIT_S: Final = 600.0


Answer = Callable[[], tuple[int, str]]
"""An answer that is short: its status and text."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """An answer that may be long: sent piece by piece as it is made, no faster than it is read."""

    make: Callable[[], AsyncGenerator[bytes, None]]
    content_type: str = "text/plain"


@dataclass(slots=True)
class _Sign:
    """A watch's sign of life: any figure that changes with each, the last one seen, and since when."""

    figure: Callable[[], object]
    last: object
    since: float


@dataclass(slots=True)
class Health:
    """What the probes look at. Nothing is done between them: each looks at figures that others keep anyway.

    Args:
        now: the loop's time.
        oldest_wait_s: how long the queue's head has waited.
        pending: first lists that are not complete yet, by name.
        watch_silence_s: longest silence of a watch.
        queue_wait_s: longest wait of the queue's head.
    """

    now: Callable[[], float]
    oldest_wait_s: Callable[[], float]
    pending: set[str]
    watch_silence_s: float = WATCH_SILENCE_S
    queue_wait_s: float = QUEUE_WAIT_S
    _signs: dict[str, _Sign] = field(default_factory=dict)

    def follow(self, watch: str, figure: Callable[[], object]) -> None:
        """Look after a watch from now on.

        Args:
            watch: its name in messages.
            figure: something that changes whenever the watch has heard of the API server.
        """
        self._signs[watch] = _Sign(figure, figure(), self.now())

    def problems(self) -> list[str]:
        """Why we are not live; empty if we are."""
        now = self.now()
        found = []
        for watch, sign in sorted(self._signs.items()):
            figure = sign.figure()
            if figure != sign.last:
                sign.last, sign.since = figure, now
            elif now - sign.since > self.watch_silence_s:
                found.append(f"the watch of {watch} has been silent for over {self.watch_silence_s:.0f} s")
        if self.oldest_wait_s() > self.queue_wait_s:
            found.append(f"the queue's head has waited for over {self.queue_wait_s:.0f} s")
        return found

    def waiting_for(self) -> list[str]:
        """Why we are not ready; empty if we are, and then for good."""
        return [f"the first list of {name} is not complete yet" for name in sorted(self.pending)]


class Endpoints:
    """The HTTP servers of the process."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def serve(self, address: tuple[str, int] | None, routes: Mapping[str, Answer | Pieces]) -> None:
        """Serve GET on these paths; nothing where there is no address.

        Raises:
            OSError: the address is taken.
        """
        if address is None:
            return
        app = web.Application()
        for path, answer in routes.items():
            app.router.add_get(path, _handler(answer))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, address[0] or None, address[1]).start()

    async def close(self) -> None:
        """End all servers."""
        for runner in self._runners:
            await runner.cleanup()


def _handler(answer: Answer | Pieces) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    return _in_pieces(answer) if isinstance(answer, Pieces) else _at_once(answer)


def _at_once(answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        status, text = answer()
        return web.Response(status=status, text=text)

    return handle


def _in_pieces(pieces: Pieces) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": f"{pieces.content_type}; charset=utf-8"})
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            await response.prepare(request)
            if request.method != "HEAD":
                async with contextlib.aclosing(pieces.make()) as made:
                    async for piece in made:
                        await response.write(piece)
            await response.write_eof()
        return response

    return handle


def told(problems: Iterable[str]) -> tuple[int, str]:
    """An answer for probes: 200 ok, or 503 with what is wrong."""
    found = list(problems)
    return (503, "\n".join(found) + "\n") if found else (200, "ok\n")
