"""How fast Parameter Store may be asked: its quota is low, and shared by all who ask an account in a region.

AWS takes 40 calls of GetParameter, GetParameters and GetParametersByPath a second together, unless the
account pays for more. Whoever asks faster is refused, and with them everybody else in the account. So calls
are spread from the first one on, over all identities that are known to be of one account.

Source of the quota: AWS General Reference, Systems Manager endpoints and quotas.
"""

from __future__ import annotations

import asyncio
from typing import Final
from weakref import WeakValueDictionary

from keyferry.errors import RateLimited, after

QUOTA_PER_S: Final = 40
BURST: Final = 6
"""Calls that may go at once after a pause."""
RATE: Final = 30
"""Calls a second that follow. In whatever second one looks, burst and rate together are a tenth below the quota:
on their way to AWS calls may come closer together."""
LONGEST_WAIT_S: Final = 10.0
"""Whoever would have to wait longer is sent back: time limits of calls must not end what has not begun."""


class Pace:
    """Turns to call, given out at `RATE` a second, with `BURST` in hand."""

    def __init__(self) -> None:
        self._full_at = 0.0
        """When all of the burst will be in hand again."""

    def room(self, now: float) -> float:
        """In how many seconds a call could go, without taking its turn."""
        return max(0.0, self._full_at - (BURST - 1) / RATE - now)

    async def turn(self) -> None:
        """Take a turn, and wait for it.

        Raises:
            RateLimited: there are too many before.
        """
        now = asyncio.get_running_loop().time()
        wait_s = self.room(now)
        if wait_s > LONGEST_WAIT_S:
            raise RateLimited(
                f"more is wanted of AWS Parameter Store than its quota of {QUOTA_PER_S} calls a second allows",
                hint="Nothing to do now; for good, raise refreshInterval",
                retry=after(wait_s),
            )
        self._full_at = max(self._full_at, now) + 1 / RATE
        if wait_s:
            await asyncio.sleep(wait_s)


class Paces:
    """One pace for each account and region, while anybody uses it."""

    def __init__(self) -> None:
        self._paces: WeakValueDictionary[tuple[str, str], Pace] = WeakValueDictionary()

    def of(self, account: str, region: str) -> Pace:
        """The pace that all share who ask this account in this region.

        Args:
            account: its id, or what else stands for those who are known to be of one.
        """
        return self._paces.setdefault((account, region), Pace())
