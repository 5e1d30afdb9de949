"""How many requests at once, and how fast: additive increase, multiplicative decrease.

The limit starts at its most, halves when the API server says 429, and grows again by one for every
`limit` requests that went well. `--client-qps` and `--client-burst` add a token bucket when they are set.
What ends a piece of work goes before what begins one: an object is done as soon as it can be, however many
wait behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final

DEFAULT_LIMIT: Final = 32
_LEAST: Final = 2
_LEAST_PAUSE_S: Final = 0.1


class Pace:
    """A gate for requests: `async with pace:` around each, `async with pace.ahead:` around those that end work.

    Args:
        limit: most requests under way at once.
        qps: most requests a second; 0 for no such limit.
        burst: how many may go at once before `qps` bites.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        limit: int = DEFAULT_LIMIT,
        qps: float = 0.0,
        burst: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self._clock = clock
        self._allowed = float(limit)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ahead: deque[asyncio.Future[None]] = deque()
        self.ahead = _Ahead(self)
        """The gate for requests that go before the others: those that end a piece of work."""
        self._not_before = 0.0
        self._interval = 1.0 / qps if qps > 0 else 0.0
        self._lead = max(burst, 1) * self._interval
        self._next_slot = 0.0
        # Those who have to wait do so one behind the other: a slot is taken only when its time has come,
        # so that who gives up leaves it to the next, and a new 429 holds for all who still wait.
        self._line = asyncio.Lock()

    @property
    def allowed(self) -> int:
        """Requests that may be under way at once at this moment."""
        return int(self._allowed)

    def slow_down(self, wait_s: float) -> None:
        """The server asked for less: half as many at once, and none for `wait_s` seconds (at least 0.1).

        Requests that were under way together are refused together: within such a pause the limit is not
        halved again.
        """
        now = self._clock()
        if now >= self._not_before:
            self._allowed = max(min(_LEAST, self.limit), self._allowed / 2)
        self._not_before = max(self._not_before, now + max(wait_s, _LEAST_PAUSE_S))

    async def __aenter__(self) -> None:
        await self.enter(self._waiting)

    async def enter(self, line: deque[asyncio.Future[None]]) -> None:
        """Wait in one of the two lines until a request may go."""
        if self._under_way >= int(self._allowed) or self._ahead or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            line.append(turn)
            try:
                await turn  # whoever wakes us has counted us in
            except asyncio.CancelledError:
                if turn.cancelled():
                    with contextlib.suppress(ValueError):
                        line.remove(turn)
                else:
                    self._leave()
                raise
        else:
            self._under_way += 1
        try:
            await self._wait_for_slot()
        except asyncio.CancelledError:
            self._leave()
            raise

    async def _wait_for_slot(self) -> None:
        if not self._line.locked() and self._take_slot() <= 0:
            return
        async with self._line:
            while True:
                wait_s = self._take_slot()
                if wait_s <= 0:
                    return
                await asyncio.sleep(wait_s)

    def _take_slot(self) -> float:
        """Take the next slot if its time has come; else in how many seconds to look again."""
        now = self._clock()
        slot = max(self._next_slot, now - self._lead) + self._interval
        wait_s = max(self._not_before, slot if self._interval else 0.0) - now
        if wait_s <= 0:
            self._next_slot = slot
        return wait_s

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._allowed < self.limit:
            self._allowed = min(self.limit, self._allowed + 1 / self._allowed)
        self._leave()

    def _leave(self) -> None:
        self._under_way -= 1
        while (line := self._ahead or self._waiting) and self._under_way < int(self._allowed):
            turn = line.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)


class _Ahead:
    """The same gate, by the line that goes first."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    async def __aenter__(self) -> None:
        await self._pace.enter(self._pace._ahead)  # noqa: SLF001 - a part of the same gate

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pace.__aexit__(kind, error, trace)
