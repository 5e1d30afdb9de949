"""How fast Parameter Store may be asked: its quota is low, and shared by all who ask an account in a region.

AWS takes 40 calls of GetParameter, GetParameters and GetParametersByPath a second together, unless the
account pays for more. Whoever asks faster is refused, and with them everybody else in the account. So calls
are spread from the first one on, over all identities that are known to be of one account. Each of them has a
line of its own, and the lines have turns one after the other: a long one makes nobody in a short one wait.

Source of the quota: AWS General Reference, Systems Manager endpoints and quotas.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
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
_LONG: Final = 2
"""A line is long in which so many wait."""
_NOW_S: Final = 1e-6
"""A turn that is due in less is due."""


class Pace:
    """Turns to call, given out at `RATE` a second, with `BURST` in hand, to one line after the other."""

    def __init__(self) -> None:
        self._full_at = 0.0
        """When all of the burst will be in hand again."""
        self._lines: WeakValueDictionary[str, Line] = WeakValueDictionary()
        self._waiting: OrderedDict[Line, None] = OrderedDict()
        """The lines in which somebody waits, the one whose turn is next first."""
        self._in_line = 0
        """How many wait in all lines together."""
        self._long = 0
        """In how many of them several wait."""
        self._timer: asyncio.TimerHandle | None = None

    def line(self, share: str) -> Line:
        """The line of all who have the same share of the turns."""
        return self._lines.setdefault(share, Line(self))

    def room(self, line: Line, ahead: int, now: float) -> float:
        """In how many seconds a call of a line could go, see `Line.room`."""
        own = len(line.turns) + ahead
        # Of each other line one goes before each of this one, as long as there are any: where several wait, there
        # are more to come.
        long = self._long - (len(line.turns) >= _LONG)
        short = len(self._waiting) - (line in self._waiting) - long
        before = own + long * (own + 1) + short
        return max(0.0, max(self._full_at, now) + (before - (BURST - 1)) / RATE - now)

    async def turn(self, line: Line) -> None:
        """Take a turn of a line, see `Line.turn`."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        wait_s = self.room(line, 0, now)
        if wait_s > LONGEST_WAIT_S:
            raise RateLimited(
                f"more is wanted of AWS Parameter Store than its quota of {QUOTA_PER_S} calls a second allows",
                hint="Nothing to do now; for good, raise refreshInterval",
                retry=after(wait_s),
            )
        if not self._in_line and self._next_in(now) <= _NOW_S:
            self._take(now)
            return
        turn = loop.create_future()
        line.turns.append(turn)
        self._waiting.setdefault(line)
        self._in_line += 1
        self._long += len(line.turns) == _LONG
        self._set_timer(now)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(line, turn)
            raise

    def _give_up(self, line: Line, turn: asyncio.Future[None]) -> None:
        if turn in line.turns:  # else it was handed out a moment ago, and nobody uses it
            self._long -= len(line.turns) == _LONG
            line.turns.remove(turn)
            self._in_line -= 1
            if not line.turns:
                del self._waiting[line]

    def _next_in(self, now: float) -> float:
        return self._full_at - (BURST - 1) / RATE - now

    def _take(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + 1 / RATE

    def _set_timer(self, now: float) -> None:
        if self._timer is None and self._in_line:
            wait_s = max(0.0, self._next_in(now))
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._hand_out)

    def _hand_out(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._in_line and self._next_in(now) <= _NOW_S:
            line, _ = self._waiting.popitem(last=False)
            self._long -= len(line.turns) == _LONG
            turn = line.turns.popleft()
            self._in_line -= 1
            if line.turns:
                self._waiting[line] = None  # behind all others
            if not turn.done():
                self._take(now)
                turn.set_result(None)
        self._set_timer(now)


class Line:
    """Those who wait one behind the other, at one pace with other lines."""

    def __init__(self, pace: Pace) -> None:
        self.turns: deque[asyncio.Future[None]] = deque()
        self._pace = pace

    def room(self, ahead: int = 0) -> float:
        """In how many seconds a call could go, without taking its turn.

        Args:
            ahead: how many others of the line would go before, besides those who wait already.
        """
        return self._pace.room(self, ahead, asyncio.get_running_loop().time())

    async def turn(self) -> None:
        """Take a turn, and wait for it.

        Raises:
            RateLimited: there are too many before.
        """
        await self._pace.turn(self)


class Paces:
    """One pace for each account and region, while anybody uses it."""

    def __init__(self) -> None:
        self._paces: WeakValueDictionary[tuple[str, str], Pace] = WeakValueDictionary()

    def line(self, account: str, region: str, share: str) -> Line:
        """A line for this account in this region.

        Args:
            account: its id, or what else stands for those who are known to be of one.
            share: who shares the line.
        """
        return self._paces.setdefault((account, region), Pace()).line(share)
