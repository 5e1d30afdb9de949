"""syncWindows: when a periodic refresh may run, and when next. The clock is an argument, all times are UTC.

A window opens at each activation of its schedule and stays open for its duration, both ends included. `allow`
lets refreshes through while any window is open, `deny` while none is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from keyferry.api.external_secret import SyncWindows
from keyferry.core.cron import Schedule, last_activation, next_activation, parse_schedule
from keyferry.duration import parse_go_duration
from keyferry.errors import SpecError, one_line

MAX_WINDOWS: Final = 100
"""Each look at a due object goes through all of them."""
HORIZON: Final = timedelta(days=366)
"""So far a gap between denied windows is looked for at once."""

_TICK: Final = timedelta(microseconds=1)
_SHOWN_CHARS: Final = 64
_MOST_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Windows:
    """Parsed windows, each a schedule and how long it stays open."""

    allow: bool
    windows: tuple[tuple[Schedule, timedelta], ...]


def parse_windows(spec: SyncWindows | None) -> Windows | None:
    """The windows of a spec; None where it has none.

    Raises:
        SpecError: a schedule or duration means nothing; names the field.
    """
    if spec is None:
        return None
    if len(spec.windows) > MAX_WINDOWS:
        raise SpecError(
            f"spec.syncWindows.windows has {len(spec.windows)} windows, at most {MAX_WINDOWS} are served"
        )
    parsed = []
    for index, window in enumerate(spec.windows):
        where = f"spec.syncWindows.windows[{index}]"
        try:
            schedule = parse_schedule(window.schedule)
        except ValueError as error:
            shown = one_line(window.schedule, _SHOWN_CHARS)
            raise SpecError(
                f'{where}.schedule "{shown}": {error}',
                hint='It is a cron schedule in UTC, such as "0 22 * * 1-5" or "@daily"',
            ) from None
        duration = parse_go_duration(window.duration) if window.duration else timedelta(0)
        if duration <= timedelta(0):
            raise SpecError(
                f'{where}.duration "{one_line(window.duration, _SHOWN_CHARS)}" is not longer than 0'
            )
        parsed.append((schedule, duration))
    return Windows(spec.kind == "allow", tuple(parsed))


def is_open(windows: Windows, now: datetime) -> bool:
    """Whether a refresh may run at a moment."""
    return bool(_ends(windows, now)) == windows.allow


def next_open(windows: Windows, now: datetime) -> datetime | None:
    """The first moment from `now` on at which a refresh may run; None if there is none for years.

    Where denied windows follow each other without a gap for very long, the moment up to which there is none:
    who looks again then goes on from there.
    """
    if is_open(windows, now):
        return now
    now = now.astimezone(UTC)
    if windows.allow:
        opening = [next_activation(schedule, now) for schedule, _ in windows.windows]
        return min((moment for moment in opening if moment is not None), default=None)
    moment = now
    for _ in range(max(1, _MOST_STEPS // len(windows.windows))):
        ends = _ends(windows, moment)
        if not ends or moment - now > HORIZON:
            break
        moment = max(ends) + _TICK
    return moment


def _ends(windows: Windows, now: datetime) -> list[datetime]:
    """When the windows end that are open at a moment."""
    now = now.astimezone(UTC)
    ends = []
    for schedule, duration in windows.windows:
        opened = last_activation(schedule, now, now - duration)
        if opened is not None:
            ends.append(opened + duration)
    return ends
