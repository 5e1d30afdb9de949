"""A store's health as one identity sees it: a breaker for outages, a pacer for throttling. No I/O here.

Outage: the first failed call opens the breaker; until a probe succeeds, nobody asks and everybody gets the
same failure at once. Throttling: nobody asks until the store's word has passed; then calls go at a rate that
starts at half of what was too much and grows while all is well.
"""

from __future__ import annotations

import copy
import math
from typing import Final, TypeVar

from keyferry.errors import AuthFailed, ProviderError, RateLimited, RetryKind, after

FIRST_PROBE_S: Final = 1.0
LONGEST_PROBE_S: Final = 60.0
LONGEST_REFUSED_PROBE_S: Final = 300.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_LEAST_RATE: Final = 1.0
_GROWTH: Final = 1.05
_CALM_S: Final = 60.0
"""So long after the last throttling the limit is lifted."""


T = TypeVar("T")


def own_copy(answer: T) -> T:
    """The same answer for one more reader: of a failure a copy, without traceback and cause.

    A failure is kept and raised by many. Each raise would add its frames to the one that is kept, and
    frames hold values: of other remote secrets, of credentials.
    """
    return copy.copy(answer) if isinstance(answer, Exception) else answer


class Deferred(RateLimited):
    """Not asked at all, because the store's pace leaves no room now: not a failure, come back later."""

    reason = "Deferred"


class Breaker:
    """Open while the store is out; `failure` is what everybody gets meanwhile."""

    def __init__(self) -> None:
        self.failure: ProviderError | None = None
        self._failures = 0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused."""
        return self.failure is not None

    def failed(self, error: ProviderError) -> float:
        """A call or probe failed: open, and say in how many seconds the next probe is due."""
        self.failure = own_copy(error)
        self._failures += 1
        # Wrong credentials do not mend themselves, and asking too often locks accounts.
        longest = LONGEST_REFUSED_PROBE_S if isinstance(error, AuthFailed) else LONGEST_PROBE_S
        return min(longest, FIRST_PROBE_S * 2.0 ** min(self._failures - 1, 16))

    def succeeded(self) -> bool:
        """A call or probe got an answer; whether that ended an outage."""
        was_open = self.is_open
        self.failure = None
        self._failures = 0
        return was_open


class Pacer:
    """Calls a second, once the store has complained."""

    def __init__(self) -> None:
        self._rate = 0.0
        self._next_slot = 0.0
        self._not_before = 0.0
        self._incident_at = -math.inf
        self._throttled_at = -math.inf
        self._series = 0
        self._window = 0.0
        self._in_window = 0
        self._last_rate = 0.0

    @property
    def rate(self) -> float:
        """The limit in calls a second; 0 for none."""
        return self._rate

    def slot(self, now: float) -> float:
        """Reserve the next call; in how many seconds it may go."""
        self._count(now)
        if not self._rate:
            return 0.0
        start = max(now, self._next_slot)
        self._next_slot = start + 1.0 / self._rate
        return start - now

    def room(self, now: float) -> float:
        """In how many seconds a call could go, without reserving it."""
        return max(0.0, (self._next_slot if self._rate else self._not_before) - now)

    def silence(self, now: float) -> float:
        """In how many seconds the store's own word has passed; slots reserved before do not hold until then."""
        return max(0.0, self._not_before - now)

    def _count(self, now: float) -> None:
        if now - self._window >= 1.0:
            self._last_rate = self._in_window / max(1.0, now - self._window)
            self._window, self._in_window = now, 0
        self._in_window += 1

    def throttled(self, error: RateLimited, now: float, asked_at: float) -> float:
        """The store complained; for how many seconds nobody may ask. Its own word goes before our guess.

        Args:
            asked_at: when the call went out. Calls that were under way when the first complaint came get
                the same one: together they are one incident, with one halving and one longer pause.
        """
        if asked_at > self._incident_at:
            self._incident_at = now
            self._series += 1
            # Without a limit so far, half of what was too much.
            too_much = self._rate or max(self._last_rate, float(self._in_window))
            self._rate = max(_LEAST_RATE, too_much / 2)
        self._throttled_at = now
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._series - 1, 16))
        if error.retry.kind is RetryKind.AFTER:
            pause = error.retry.seconds
        self._not_before = max(self._not_before, now + pause)
        self._next_slot = max(self._next_slot, self._not_before)
        return pause

    def succeeded(self, now: float) -> None:
        """A call went well: a little more is allowed, and after a calm time everything is."""
        self._series = 0
        if self._rate:
            self._rate *= _GROWTH
            if now - self._throttled_at > _CALM_S:
                self._rate = 0.0


def deferred(wait_s: float) -> Deferred:
    """What somebody gets whose call has no room now."""
    return Deferred("the store asks for fewer calls; this read waits for its turn", retry=after(wait_s))
