"""A store's health as one identity sees it: a breaker for outages, a pacer for throttling. No I/O here.

Outage: the first failed call opens the breaker; until a probe succeeds, nobody asks and everybody gets the
same failure at once. Throttling: nobody asks until the store's word has passed; then calls go at a rate that
starts at half of what was too much and grows while all is well.
"""

from __future__ import annotations

from typing import Final

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
        self.failure = error
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
        self._throttled_at = 0.0
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
        return max(0.0, self._next_slot - now) if self._rate else 0.0

    def _count(self, now: float) -> None:
        if now - self._window >= 1.0:
            self._last_rate = self._in_window / max(1.0, now - self._window)
            self._window, self._in_window = now, 0
        self._in_window += 1

    def throttled(self, error: RateLimited, now: float) -> float:
        """The store complained; for how many seconds nobody may ask. Its own word goes before our guess."""
        self._series += 1
        too_much = max(self._last_rate, float(self._in_window), self._rate)
        if not self._rate or now - self._throttled_at > 1.0:
            # Calls already under way get the same complaint: one halving for all of them.
            self._rate = max(_LEAST_RATE, (min(self._rate, too_much) if self._rate else too_much) / 2)
        self._throttled_at = now
        pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(self._series - 1, 16))
        if error.retry.kind is RetryKind.AFTER:
            pause = error.retry.seconds
        self._next_slot = max(self._next_slot, now + pause)
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
