"""Clocks that a test sets: one stands still, one is the real one put ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyferry.clock import Clock

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


class FakeClock:
    """Fulfils `clock.Clock`.

    Args:
        now: the time of day at the start, UTC.
        monotonic: the monotonic time at the start, seconds.
    """

    def __init__(self, now: datetime = START, monotonic: float = 1000.0) -> None:
        self._now = now
        self._monotonic = monotonic

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._now

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        if seconds < 0:
            raise ValueError("time does not go back; use `set_back` for the time of day")
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_back(self, seconds: float) -> None:
        """Correct the time of day, as time servers do; the monotonic clock goes on."""
        self._now -= timedelta(seconds=seconds)


class MovableClock:
    """Fulfils `clock.Clock`: the time of day, and as much as a test puts it ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.now().timestamp()


if TYPE_CHECKING:
    _: Clock = FakeClock()
    _ = MovableClock()
