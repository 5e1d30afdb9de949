"""Functions of dates, as Sprig has them. "Local" is UTC, and `now` one instant for the whole render."""

from __future__ import annotations

import re
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.times import gotimemethods  # noqa: F401 -- makes the methods known
from keyferry.gotemplate.times.goduration import (
    SECOND,
    Duration,
    duration_text,
    parse_duration,
    round_duration,
    times_second,
)
from keyferry.gotemplate.times.golayout import format_time
from keyferry.gotemplate.times.goparsetime import parse_time
from keyferry.gotemplate.times.gotime import ZERO, Time, from_unix
from keyferry.gotemplate.times.gozone import LOCAL, UTC, Location, load_location
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64, Int32, Int64, Value

group: Final = FunctionGroup("Dates")
_HTML: Final = b"2006-01-02"
_DIGITS: Final = re.compile(rb"[0-9]++")
_MOST_DIGITS: Final = 20
"""Of a number that 64 bits hold."""
_READ_PER_STEP: Final = 256
_DAY: Final = 24 * 3_600
_UNITS: Final = ((365 * _DAY, "y"), (30 * _DAY, "mo"), (_DAY, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@group.add("now", "func() time.Time")
def now(run: Run) -> Time:
    """The time of this render, the same throughout it: `now | date "2006-01-02"` writes the day."""
    seconds, nanoseconds = divmod(run.now_ns, SECOND)
    return from_unix(seconds, LOCAL, nanoseconds)


def _moment(run: Run, value: Value, *numbers: type) -> Time:
    """The time that a function's argument means: one of any other type means now, as in Sprig."""
    kind = type(value)
    if kind is Time:
        return value  # type: ignore[no-any-return]  # it is one
    return from_unix(value) if kind in numbers else now(run)


def _written(run: Run, layout: bytes, date: Value, location: Location = LOCAL) -> bytes:
    return format_time(run, _moment(run, date, int, Int64, Int32).moved(location), layout)


def _in_zone(run: Run, layout: bytes, date: Value, zone: bytes) -> bytes:
    return _written(run, layout, date, load_location(run, zone) or UTC)


@group.add("date", "func(string, interface {}) string")
def date(run: Run, layout: bytes, date: Value) -> bytes:
    """The time, or seconds since 1970, written after a layout, in UTC: `date "2006-01-02" 0` is `1970-01-01`.

    The layout shows how 2 January 2006, 15:04:05 would be written. What is neither a time nor an integer counts
    as now, so turn text into a number first: `.seconds | int64 | date "2006-01-02"`.
    """
    return _written(run, layout, date)


@group.add("dateInZone date_in_zone", "func(string, interface {}, string) string")
def date_in_zone(run: Run, layout: bytes, date: Value, zone: bytes) -> bytes:
    """The time written after a layout, in a time zone; unknown zones are UTC.

    `dateInZone "15:04 MST" 0 "Europe/Berlin"` is `01:00 CET`.
    """
    return _in_zone(run, layout, date, zone)


@group.add("htmlDate", "func(interface {}) string")
def html_date(run: Run, date: Value) -> bytes:
    """The day of a time as an HTML date field has it: `htmlDate 0` is `1970-01-01`."""
    return _written(run, _HTML, date)


@group.add("htmlDateInZone", "func(interface {}, string) string")
def html_date_in_zone(run: Run, date: Value, zone: bytes) -> bytes:
    """The day of a time in a time zone: `htmlDateInZone 0 "America/New_York"` is `1969-12-31`."""
    return _in_zone(run, _HTML, date, zone)


@group.add("dateModify date_modify", "func(string, time.Time) time.Time")
def date_modify(run: Run, duration: bytes, date: Time) -> Time:
    """A time so much later: `now | dateModify "-1.5h"`. The time itself where the duration is none."""
    try:
        return must_date_modify(run, duration, date)
    except FunctionError:
        return date


@group.add("mustDateModify must_date_modify", "func(string, time.Time) (time.Time, error)")
def must_date_modify(run: Run, duration: bytes, date: Time) -> Time:
    """Like dateModify, but an error where the duration is none."""
    return date.plus(_parsed(run, duration))


def _parsed(run: Run, duration: bytes) -> Duration:
    run.spend(len(duration) // 2)
    return parse_duration(duration)


@group.add("toDate", "func(string, string) time.Time")
def to_date(run: Run, layout: bytes, text: bytes) -> Time:
    """The time that a text tells after a layout; the first instant of the year 1 where that fails.

    `toDate "2006-01-02" "2024-02-29" | unixEpoch` is `1709164800`.
    """
    try:
        return parse_time(run, layout, text)
    except FunctionError:
        return ZERO


@group.add("mustToDate", "func(string, string) (time.Time, error)")
def must_to_date(run: Run, layout: bytes, text: bytes) -> Time:
    """Like toDate, but an error where the text is no such time."""
    return parse_time(run, layout, text)


@group.add("unixEpoch", "func(time.Time) string")
def unix_epoch(_run: Run, date: Time) -> bytes:
    """The seconds since 1970, as text: `toDate "2006" "1971" | unixEpoch` is `31536000`."""
    return b"%d" % date.unix


@group.add("ago", "func(interface {}) string")
def ago(run: Run, date: Value) -> bytes:
    """How long ago a time was, to the second, such as 2h34m7s."""
    return duration_text(round_duration(_since(run, _moment(run, date, int, Int64)), SECOND))


def _since(run: Run, time: Time) -> Duration:
    return now(run).minus(time)


@group.add("duration", "func(interface {}) string")
def duration(run: Run, seconds: Value) -> bytes:
    """Seconds, as text or int64, written as a duration: `duration "95"` is `1m35s`. An int counts as 0, as in Sprig."""
    kind = type(seconds)
    if kind is bytes:
        run.spend(len(seconds) // _READ_PER_STEP)
    count = seconds if kind is Int64 else _number(seconds) if kind is bytes else 0
    return duration_text(times_second(count))


def _number(text: bytes) -> int:
    """The decimal number; 0 if it is none, the largest or smallest there is beyond those: Go's strconv.ParseInt."""
    digits = _DIGITS.match(text.removeprefix(b"-") if text.startswith(b"-") else text.removeprefix(b"+"))
    significant = digits[0].lstrip(b"0") if digits else b""
    size = int(significant[: _MOST_DIGITS + 1] or b"0")
    # Go reads from the left, and stops at what no 64 bits hold before it sees that the rest is no number.
    if size < 1 << 64 and (digits is None or digits.end() < len(digits.string)):
        return 0
    return max(-size, MIN_INT64) if text.startswith(b"-") else min(size, MAX_INT64)


@group.add("durationRound", "func(interface {}) string")
def duration_round(run: Run, duration: Value) -> bytes:
    """A duration, or the time since a date, rounded to its largest unit: `durationRound "2h10m5s"` is `2h`."""
    length = abs(_length(run, duration))
    for seconds, unit in _UNITS:
        if length > seconds * SECOND:
            return f"{length // (seconds * SECOND)}{unit}".encode()
    return b"0s"


def _length(run: Run, duration: Value) -> int:
    kind = type(duration)
    if kind is Time:
        return _since(run, duration)
    if kind is Int64:
        return int(duration)
    if kind is bytes:
        try:
            return _parsed(run, duration)
        except FunctionError:
            return 0
    return 0
