"""/healthz, /readyz and /metrics.

Live means: the loop answers, the watches make progress, and the queue's head is young. A watch that stays
silent is started anew by its own timers long before; liveness is for the case that this fails too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

log = logging.getLogger(__name__)

WATCH_SILENCE_S: Final = 240.0
"""Bookmarks come every minute, inactive watches are renewed after 70 and 150 s."""
QUEUE_WAIT_S: Final = 600.0


@dataclass(slots=True)
class Health:
    """What the probes look at.

    Args:
        now: the loop's time.
        oldest_wait_s: how long the queue's head has waited.
    """

    now: Callable[[], float]
    oldest_wait_s: Callable[[], float]
    progress: dict[str, float] = field(default_factory=dict)
    """When each watch last showed life."""
    ready: bool = False

    def beat(self, watch: str) -> None:
        """A watch showed life."""
        self.progress[watch] = self.now()

    def problems(self) -> list[str]:
        """Why we are not live; empty if we are."""
        now = self.now()
        silent = sorted(watch for watch, at in self.progress.items() if now - at > WATCH_SILENCE_S)
        found = [f"the watch of {watch} has been silent for over {WATCH_SILENCE_S:.0f} s" for watch in silent]
        if self.oldest_wait_s() > QUEUE_WAIT_S:
            found.append(f"the queue's head has waited for over {QUEUE_WAIT_S:.0f} s")
        return found


class Endpoints:
    """The HTTP servers of the process."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def serve(
        self, address: tuple[str, int] | None, routes: Mapping[str, Callable[[], tuple[int, str]]]
    ) -> None:
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


def _handler(
    answer: Callable[[], tuple[int, str]],
) -> Callable[[web.Request], web.coroutines.Coroutine[None, None, web.Response]]:  # type: ignore[name-defined]
    async def handle(_: web.Request) -> web.Response:
        status, text = answer()
        return web.Response(status=status, text=text)

    return handle


def told(problems: Iterable[str]) -> tuple[int, str]:
    """An answer for probes: 200 ok, or 503 with what is wrong."""
    found = list(problems)
    return (503, "\n".join(found) + "\n") if found else (200, "ok\n")
