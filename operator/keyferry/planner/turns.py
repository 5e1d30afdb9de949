"""How those wait who ask a client that keeps a pace of its own (`ports.PacedClient`).

Most wait in the session until their call may go. Those for whom that would take too long come back later, each at
its own time: if all came back at the next chance, they would come again and again, thousands for each that gets in.
"""

from __future__ import annotations

import asyncio
from typing import Final

from keyferry.planner.health import deferred
from keyferry.ports import PacedClient, StoreClient

LONGEST_HERE_S: Final = 20.0
"""So long a question waits in the session, and its call once more; together with the call below the deadline of what
waits for it."""
LONGEST_AWAY_S: Final = 30.0
"""Whoever is sent away comes back after that at the latest: others may be done sooner than they seemed."""
LINE_S: Final = 5.0
"""So long a call may have to wait at the client, where its time limit runs."""
_LOOK_S: Final = 0.25
_TOO_LONG_S: Final = 1.5 * LONGEST_HERE_S
"""Not at each small change of what others want."""


class Turns:
    """See the module's docstring.

    Args:
        client: any; one without a pace lets everybody in.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client if isinstance(client, PacedClient) else None
        self._promised = 0.0
        """Up to when turns are promised to those who were sent away."""

    @property
    def limited(self) -> bool:
        """Whether the client keeps a pace."""
        return self._client is not None

    def away_s(self, now: float, calls: int, at_once: int) -> float:
        """For how long somebody is sent away who asks now; 0 for nobody who may wait here.

        Args:
            calls: of the session, that wait before theirs.
            at_once: how many questions share a call.
        """
        if self._client is None:
            return 0.0
        wait_s = self._client.room(calls)
        if wait_s <= LONGEST_HERE_S:
            return 0.0
        self._promised = max(self._promised, now + wait_s) + wait_s / (calls + 1) / at_once
        return min(self._promised - now, LONGEST_AWAY_S)

    def too_many(self, calls: int) -> bool:
        """Whether the last of so many calls that wait in the session will wait for too long."""
        return self._client is not None and self._client.room(calls) > _TOO_LONG_S

    async def line_up(self) -> None:
        """Wait until a call would go soon.

        Raises:
            Deferred: that takes too long.
        """
        if self._client is None:
            return
        loop = asyncio.get_running_loop()
        latest = loop.time() + LONGEST_HERE_S
        while (wait_s := self._client.room()) > LINE_S:
            if loop.time() >= latest:
                raise deferred(wait_s)
            await asyncio.sleep(max(_LOOK_S, (wait_s - LINE_S) / 2))
