"""Is work due? A chain of checks over what is known; the first that answers decides, with its reason.

The order of the chain is the specification (the ExternalSecret API's refresh policies):
interval 0 and CreatedOnce never refresh again once synced, even when the spec changes; OnChange refreshes
when the object changed; Periodic when it changed or its interval has passed. syncWindows hold back what is
due by time alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from keyferry.core.windows import Windows, is_open, next_open

TEMPLATE_CHANGED: Final = "its template changed"
CLOCK_TOLERANCE: Final = timedelta(seconds=5)
"""How far in the future a refresh time may lie before it is not believed: clocks of replicas differ."""


@dataclass(frozen=True, slots=True)
class RefreshState:
    """What decides about a refresh.

    Args:
        policy: refreshPolicy; empty means Periodic.
        interval: refreshInterval.
        pause: from one refresh to the next: the interval, less this object's jitter.
        current: what `core.hashing.synced_resource_version` gives for the object now.
        synced: `status.syncedResourceVersion`; empty before the first sync.
        refreshed_at: when data was last read from the stores; None if never.
        windows: syncWindows; None for any time.
        template_changed: whether a text has changed that the target is made from: as if the object had.
    """

    policy: str
    interval: timedelta
    pause: timedelta
    current: str
    synced: str
    refreshed_at: datetime | None
    windows: Windows | None = None
    template_changed: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Whether to refresh now, why, and if not, when next (None: only on a change).

    Args:
        held: whether it would be due, and syncWindows hold it back.
    """

    now: bool
    why: str
    next_at: datetime | None = None
    held: bool = False


def refresh_due(state: RefreshState, now: datetime) -> Due:
    """Decide about a refresh at `now`."""
    if state.policy not in ("CreatedOnce", "OnChange"):
        return _periodic(state, now)
    if not state.synced or state.refreshed_at is None:
        return Due(now=True, why="never synced")
    if state.policy == "OnChange" and state.synced != state.current:
        return Due(now=True, why="the ExternalSecret changed")
    if state.policy == "OnChange" and state.template_changed:
        return Due(now=True, why=TEMPLATE_CHANGED)
    return Due(now=False, why=f"refreshPolicy is {state.policy}")


def asked_due(due: Due) -> Due:
    """The same where somebody asks for a refresh now: what only waits for its time need not wait."""
    return Due(now=True, why="asked for") if due.next_at is not None and not due.held else due


def heeds_changes(state: RefreshState) -> bool:
    """Whether a change of its template is looked for before a refresh is due."""
    if state.policy == "OnChange":
        return bool(state.synced)
    return state.policy != "CreatedOnce" and bool(state.synced) and state.interval > timedelta(0)


def rotation_due(state: RefreshState, now: datetime) -> bool:
    """Whether the interval has passed, which alone makes generated values due; an edit of the object does not."""
    if state.policy in ("CreatedOnce", "OnChange") or not state.synced:
        return False
    if state.refreshed_at is None or state.refreshed_at > now:
        return False
    return _periodic(replace(state, synced=state.current, template_changed=False), now).now


def _periodic(state: RefreshState, now: datetime) -> Due:
    if state.interval <= timedelta(0) and state.synced:
        return Due(now=False, why="refreshInterval is 0")
    if state.synced != state.current:
        return Due(now=True, why="the ExternalSecret changed" if state.synced else "never synced")
    if state.template_changed:
        return Due(now=True, why=TEMPLATE_CHANGED)
    if state.refreshed_at is None:
        return Due(now=True, why="no refresh time is known")
    if state.refreshed_at > now + CLOCK_TOLERANCE:
        return Due(now=True, why="the last refresh time lies in the future")
    next_at = state.refreshed_at + state.pause
    if next_at <= now:
        if state.windows is not None and not is_open(state.windows, now):
            return Due(now=False, why="outside syncWindows", next_at=next_open(state.windows, now), held=True)
        return Due(now=True, why="refreshInterval has passed")
    return Due(now=False, why="not yet", next_at=next_at)
