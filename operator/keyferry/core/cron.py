"""Cron schedules in UTC, read as robfig/cron's standard parser reads them: that is what syncWindows promise.

Five fields (minute, hour, day of month, month, day of week) or a shorthand (`@daily`, `@every 6h`). No library
of Python's has these rules (Sunday is 0 and never 7, `?` is `*`, `N/step` runs to the end, `*/1` counts as
`*` where days are combined, five years are searched), so they are here; a test compares them with the
original. `@every` counts from the epoch, so that its activations are the same for whoever looks, whenever.
"""

from __future__ import annotations

import functools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from keyferry.duration import parse_go_duration_nanos

SEARCHED_YEARS: Final = 5
"""A schedule that does not come up for so long (30 February) never does."""

_STAR: Final = -1
"""Among the numbers of a field: a star without a step, which leaves the day to the other field of days."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_SHORTHANDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY: Final = "@every "
_NANOS: Final = 1_000_000_000
_MOST_DIGITS: Final = 18
_MOST_CHARS: Final = 1000
"""More than all numbers of all fields, listed one by one."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    names: Mapping[str, int]


_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: Final = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    _Field("day of week", 0, 6, {name: number for number, name in enumerate(_WEEKDAYS)}),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """Activations at whole minutes.

    Args:
        minutes: of the day at which it comes up, in order.
        days: of the month.
        weekdays: Sunday is 0.
        either: whether one of `days` and `weekdays` suffices; else both must fit.
    """

    minutes: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def fits(self, day: date) -> bool:
        """Whether it comes up on a day of a month that fits."""
        in_month, in_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return in_month or in_week if self.either else in_month and in_week


@dataclass(frozen=True, slots=True)
class Every:
    """Activations at all multiples of a pause since the epoch."""

    pause: timedelta


Schedule = Cron | Every


@functools.lru_cache(maxsize=256)
def parse_schedule(text: str) -> Schedule:
    """The schedule that a text means.

    Raises:
        ValueError: it means none; says why, without the whole text.
    """
    if len(text) > _MOST_CHARS:
        raise ValueError(f"it is longer than {_MOST_CHARS} characters")
    if text.startswith(("TZ=", "CRON_TZ=")):
        raise ValueError("a time zone cannot be chosen, schedules are in UTC")
    if text.startswith(_EVERY):
        seconds = parse_go_duration_nanos(text.removeprefix(_EVERY)) // _NANOS
        return Every(timedelta(seconds=max(seconds, 1)))
    if text.startswith("@"):
        if text not in _SHORTHANDS:
            raise ValueError(f"it is none of {', '.join(_SHORTHANDS)} and @every with a duration")
        text = _SHORTHANDS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"it has {len(parts)} fields instead of {len(_FIELDS)}")
    minutes, hours, days, months, weekdays = (
        _numbers(part, field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    return Cron(
        tuple(60 * hour + minute for hour in sorted(hours - {_STAR}) for minute in sorted(minutes - {_STAR})),
        days - {_STAR},
        months - {_STAR},
        weekdays - {_STAR},
        either=_STAR not in days | weekdays,
    )


def _numbers(text: str, field: _Field) -> frozenset[int]:
    """What a field names, and `_STAR` where a plain star is among it."""
    found = {number for part in text.split(",") if part for number in _range(part, field)}
    if not found:
        raise ValueError(f"its {field.name} names nothing")
    return frozenset(found)


def _range(text: str, field: _Field) -> Iterable[int]:
    span, slash, step_text = text.partition("/")
    low, dash, high = span.partition("-")
    if "/" in step_text:
        raise ValueError(f"its {field.name} has a range with two steps")
    step = _number(step_text, field, {}) if slash else 1
    if step == 0:
        raise ValueError(f"its {field.name} has a step of 0")
    if low in ("*", "?"):
        numbers = range(field.least, field.most + 1, step)
        return numbers if step > 1 else (_STAR, *numbers)
    first = _number(low, field, field.names)
    last = first
    if dash:
        last = _number(high, field, field.names)
    elif slash:
        last = field.most
    if first < field.least or last > field.most:
        raise ValueError(f"its {field.name} goes beyond {field.least} to {field.most}")
    if first > last:
        raise ValueError(f"its {field.name} has a range that ends before it begins")
    return range(first, last + 1, step)


def _number(text: str, field: _Field, names: Mapping[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        raise ValueError(f"its {field.name} has something that is no number")
    return int(digits)


def next_activation(schedule: Schedule, after: datetime) -> datetime | None:
    """The first activation after a moment; None if there is none for five years."""
    if isinstance(schedule, Every):
        return _EPOCH + ((after - _EPOCH) // schedule.pause + 1) * schedule.pause
    last_year = (after + timedelta(seconds=1)).year + SEARCHED_YEARS
    day, least = after.date(), 60 * after.hour + after.minute + 1
    while day.year <= last_year:
        if day.month not in schedule.months:
            day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        else:
            if schedule.fits(day):
                place = bisect_left(schedule.minutes, least)
                if place < len(schedule.minutes):
                    return _at(day, schedule.minutes[place])
            day += _DAY
        least = 0
    return None


def last_activation(schedule: Schedule, until: datetime, since: datetime) -> datetime | None:
    """The last activation up to a moment, itself included; None if there is none from `since` on."""
    if isinstance(schedule, Every):
        found = _EPOCH + (until - _EPOCH) // schedule.pause * schedule.pause
        return found if found >= since else None
    first = max(since.date(), date(until.year - SEARCHED_YEARS, 1, 1))
    day, most = until.date(), 60 * until.hour + until.minute
    while day >= first:
        if day.month not in schedule.months:
            day = day.replace(day=1) - _DAY
        else:
            if schedule.fits(day):
                place = bisect_right(schedule.minutes, most)
                if place:
                    found = _at(day, schedule.minutes[place - 1])
                    return found if found >= since else None
            day -= _DAY
        most = 24 * 60
    return None


def _at(day: date, minute: int) -> datetime:
    return datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=UTC)
