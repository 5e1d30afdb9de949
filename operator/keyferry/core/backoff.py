"""When a failed object is tried again. The only place that decides about retries; errors carry the word.

Failures that cost calls to a store never come more often than refreshInterval once an object has failed
ten times: stores bill by the call. A conflict is one of them: the target is written after the store was read.
"""

from __future__ import annotations

from typing import Final

from keyferry.errors import (
    KeyferryError,
    KubeConflict,
    KubeError,
    NotReadyError,
    RetryKind,
)

FIRST_S: Final = 1.0
LONGEST_S: Final = 420.0
"""Longest pause between tries of an object that asks a store, before the ten-failures rule."""
LONGEST_FREE_S: Final = 60.0
"""The same for failures that cost no call to a store."""
PATIENCE: Final = 10
"""Failures in a row after which refreshInterval is the least pause."""
DEFAULT_INTERVAL_S: Final = 3600.0
JITTER: Final = 0.1
LEAST_INTERVAL_S: Final = 0.25
"""A shorter refreshInterval counts as this."""


def retry_delay(error: KeyferryError, failures: int, interval_s: float, spread: float) -> float | None:
    """Seconds until the next try; None where only a change of something can help.

    Args:
        error: why the last try failed.
        failures: tries in a row that failed, this one included.
        interval_s: refreshInterval; 0 or less counts as an hour here.
        spread: a random number from 0 to 1.
    """
    if error.retry.kind is RetryKind.ON_CHANGE:
        return None
    free = isinstance(error, KubeError | NotReadyError) and not isinstance(error, KubeConflict)
    pause: float = min(LONGEST_FREE_S if free else LONGEST_S, FIRST_S * 2.0 ** min(failures - 1, 16))
    least = 0.0
    if error.retry.kind is RetryKind.AFTER and error.retry.seconds > 0:
        least = pause = error.retry.seconds  # the other side's word; "after 0 seconds" says nothing
    if not free and failures >= PATIENCE:
        least = pause = max(pause, interval_s if interval_s > 0 else DEFAULT_INTERVAL_S)
    # Spread so that not all come back at the same instant; never sooner than there is a bound.
    return pause * (1 + JITTER * spread) if least else pause * (1 - JITTER * spread)


def status_delay(tries: int, spread: float) -> float:
    """Seconds until a status is tried again that the API server has not taken `tries` times in a row."""
    return min(LONGEST_FREE_S, FIRST_S * 2.0 ** min(tries - 1, 16)) * (1 - JITTER * spread)


def refresh_delay(interval_s: float, spread: float) -> float:
    """Seconds until the next periodic refresh: the interval less up to a tenth.

    So nothing aligns, and nothing is late; but for an interval that would make one object a hot loop.
    """
    return max(interval_s, LEAST_INTERVAL_S) * (1 - JITTER * spread)


def restart_spread_s(interval_s: float) -> float:
    """Over how many seconds the overdue refreshes are spread after a restart."""
    return min(interval_s * JITTER, 300.0)
