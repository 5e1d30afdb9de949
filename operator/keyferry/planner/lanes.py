"""The questions of a session that wait for their call: those that may share one, single reads, searches.

In turns, so that no kind waits for ever behind another. No calls here: who takes the next ones makes them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from keyferry.planner.cache import Answer, Findings, Question
from keyferry.ports import Find, Read, StoreClient

LINGER_S: Final = 0.003
"""How long a question waits for others to share its call."""


@dataclass(slots=True)
class Flight:
    """A question under way."""

    question: Question
    answer: asyncio.Future[Answer | Findings]
    retries: tuple[float, ...]
    asked_at: float | None = None


class Lanes:
    """See the module's docstring.

    Args:
        client: who is asked.
        ripened: called when those that may share a call have waited for each other.
    """

    def __init__(self, client: StoreClient, ripened: Callable[[], None]) -> None:
        self._client = client
        self._ripened = ripened
        self._shared: list[Flight] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ripe = False
        self._singles: deque[Flight] = deque()
        self._finds: deque[Flight] = deque()
        self._single_next = True
        self._find_next = True

    @property
    def calls(self) -> int:
        """How many calls those that wait take."""
        return len(self._singles) + len(self._finds) + len(self._shared) // self._client.batch_size

    def may_share(self, question: Question) -> bool:
        """Whether a question may share a call."""
        return isinstance(question, Read) and self._client.may_batch(question)

    def add(self, flight: Flight, *, alone: bool) -> bool:
        """One more that waits; whether a call may be ready now.

        Args:
            alone: it is asked in a call of its own in any case.
        """
        if alone or not self.may_share(flight.question):
            (self._finds if isinstance(flight.question, Find) else self._singles).append(flight)
            return True
        self._shared.append(flight)
        if len(self._shared) >= self._client.batch_size:
            return True
        if self._timer is None and not self._ripe:
            self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._ripen)
        return False

    def _ripen(self) -> None:
        self._timer = None
        self._ripe = True
        self._ripened()

    def next(self, finding: int) -> list[Flight]:
        """Those of the next call, which wait no longer; none if none is ready.

        Args:
            finding: how many searches are under way: they are long, and half of the slots stay for reads.
        """
        may_find = bool(self._finds) and finding < max(1, self._client.max_concurrency // 2)
        size = self._client.batch_size
        ready = bool(self._shared) and (self._ripe or len(self._shared) >= size)
        if (may_find or self._singles) and (self._single_next or not ready):
            self._single_next = False
            find = may_find and (self._find_next or not self._singles)
            self._find_next = not find
            return [(self._finds if find else self._singles).popleft()]
        if not ready:
            return []
        self._single_next = True
        batch, self._shared = self._shared[:size], self._shared[size:]
        if not self._shared:
            self._clear_shared()
        return batch

    def _clear_shared(self) -> None:
        self._shared, self._ripe = [], False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def last(self) -> Flight | None:
        """The last one of those of which most wait, which waits no longer; None if nobody waits."""
        lane = max(self._shared, self._singles, self._finds, key=len)
        if not lane:
            return None
        flight = lane.pop()
        if not self._shared:
            self._clear_shared()
        return flight

    def clear(self) -> list[Flight]:
        """All that wait, who wait no longer."""
        waiting = [*self._singles, *self._finds, *self._shared]
        self._singles.clear()
        self._finds.clear()
        self._clear_shared()
        return waiting
