"""The methods of Go's time.Time that templates may call, and how fmt and JSON write one."""

from __future__ import annotations

import struct
from typing import Final, NoReturn

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import GO_STRINGERS, METHODS, STRINGERS, STRUCT_FIELDS
from keyferry.gotemplate.serial.gojson import MARSHALERS, JSONError
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.times.gocalendar import quotient, remainder
from keyferry.gotemplate.times.goduration import Duration
from keyferry.gotemplate.times.golayout import format_time, json_text, time_text
from keyferry.gotemplate.times.gotime import MONTHS, Month, Time, Weekday, make_time
from keyferry.gotemplate.times.gozone import LOCAL, UTC, Location
from keyferry.gotemplate.values import ByteSlice, Int64, Uint64, wrap_int64

_MANY_MINUTES: Final = 32_767
_UTC_MARK: Final = -1
"""What stands for UTC where Go writes an offset in minutes."""

methods: Final = FunctionGroup("Methods of time.Time")
METHODS[Time] = methods.functions
STRINGERS[Time] = time_text
STRUCT_FIELDS[Time] = {
    "wall": lambda time: Uint64(time.nanoseconds),
    "ext": lambda time: Int64(time.seconds),
    "loc": lambda time: None if time.location is UTC else time.location,
}
MARSHALERS[Location] = lambda _location: {}


@methods.add("Format", "func(string) string")
def _format(run: Run, time: Time, layout: bytes) -> bytes:
    """The time after a layout, such as 2006-01-02."""
    return format_time(run, time, layout)


@methods.add("AppendFormat", "func([]uint8, string) []uint8")
def _append_format(run: Run, time: Time, before: bytes | None, layout: bytes) -> ByteSlice:
    """Bytes, followed by the time after a layout."""
    return _joined(run, before, format_time(run, time, layout))


@methods.add("String", "func() string")
def _string(_run: Run, time: Time) -> bytes:
    """The time as 2006-01-02 15:04:05.999999999 -0700 MST."""
    return time_text(time)


@methods.add("GoString", "func() string")
def _go_string(_run: Run, time: Time) -> bytes:
    """The time as Go source code."""
    return go_string(time)


def go_string(time: Time) -> bytes:
    """What fmt prints for %#v."""
    year, month, day, _ = time.date()
    seconds = time.local_seconds()
    clock = (day, seconds // 3_600 % 24, seconds // 60 % 60, seconds % 60, time.nanoseconds)
    if time.location is UTC:
        place = b"time.UTC"
    elif time.location is LOCAL:
        place = b"time.Local"
    else:
        place = b'time.Location("%s")' % time.location.name
    numbers = b", ".join(b"%d" % number for number in clock)
    return b"time.Date(%d, time.%s, %s, %s)" % (year, MONTHS[month - 1], numbers, place)


GO_STRINGERS[Time] = go_string


@methods.add("Year", "func() int")
def _year(_run: Run, time: Time) -> int:
    """The year."""
    return time.date()[0]


@methods.add("Month", "func() time.Month")
def _month(_run: Run, time: Time) -> Month:
    """The month, which prints as its name."""
    return Month(time.date()[1])


@methods.add("Day", "func() int")
def _day(_run: Run, time: Time) -> int:
    """The day of the month."""
    return time.date()[2]


@methods.add("YearDay", "func() int")
def _year_day(_run: Run, time: Time) -> int:
    """The day of the year, from 1."""
    return time.date()[3]


@methods.add("Weekday", "func() time.Weekday")
def _weekday(_run: Run, time: Time) -> Weekday:
    """The day of the week, which prints as its name."""
    return Weekday(time.weekday())


@methods.add("Hour", "func() int")
def _hour(_run: Run, time: Time) -> int:
    """The hour, from 0 to 23."""
    return time.local_seconds() // 3_600 % 24


@methods.add("Minute", "func() int")
def _minute(_run: Run, time: Time) -> int:
    """The minute."""
    return time.local_seconds() // 60 % 60


@methods.add("Second", "func() int")
def _second(_run: Run, time: Time) -> int:
    """The second."""
    return time.local_seconds() % 60


@methods.add("Nanosecond", "func() int")
def _nanosecond(_run: Run, time: Time) -> int:
    """The nanoseconds of the second."""
    return time.nanoseconds


@methods.add("Unix", "func() int64")
def _unix(_run: Run, time: Time) -> Int64:
    """The seconds since 1970."""
    return Int64(time.unix)


@methods.add("UnixMilli", "func() int64")
def _unix_milli(_run: Run, time: Time) -> Int64:
    """The milliseconds since 1970."""
    return _unix_in(time, 1_000)


@methods.add("UnixMicro", "func() int64")
def _unix_micro(_run: Run, time: Time) -> Int64:
    """The microseconds since 1970."""
    return _unix_in(time, 1_000_000)


@methods.add("UnixNano", "func() int64")
def _unix_nano(_run: Run, time: Time) -> Int64:
    """The nanoseconds since 1970."""
    return _unix_in(time, 1_000_000_000)


def _unix_in(time: Time, parts: int) -> Int64:
    return Int64(wrap_int64(time.unix * parts + time.nanoseconds * parts // 1_000_000_000))


@methods.add("Add", "func(time.Duration) time.Time")
def _add(_run: Run, time: Time, duration: int) -> Time:
    """The time so much later."""
    return time.plus(duration)


@methods.add("AddDate", "func(int, int, int) time.Time")
def _add_date(_run: Run, time: Time, years: int, months: int, days: int) -> Time:
    """The time so many years, months and days later, at the same hour of the day."""
    year, month, day, _ = time.date()
    date = (wrap_int64(year + years), wrap_int64(month + months), wrap_int64(day + days))
    return make_time(date, time.local_seconds() % 86_400, time.nanoseconds, time.location)


@methods.add("Sub", "func(time.Time) time.Duration")
def _sub(_run: Run, time: Time, other: Time) -> Duration:
    """How much later the time is than another."""
    return time.minus(other)


@methods.add("Round", "func(time.Duration) time.Time")
def _round(_run: Run, time: Time, unit: int) -> Time:
    """The nearest multiple of a duration since the year 1."""
    return time.rounded(unit)


@methods.add("Truncate", "func(time.Duration) time.Time")
def _truncate(_run: Run, time: Time, unit: int) -> Time:
    """The last multiple of a duration since the year 1."""
    return time.truncated(unit)


@methods.add("After", "func(time.Time) bool")
def _after(_run: Run, time: Time, other: Time) -> bool:
    """Whether the time is later than another."""
    return time.instant > other.instant


@methods.add("Before", "func(time.Time) bool")
def _before(_run: Run, time: Time, other: Time) -> bool:
    """Whether the time is earlier than another."""
    return time.instant < other.instant


@methods.add("Equal", "func(time.Time) bool")
def _equal(_run: Run, time: Time, other: Time) -> bool:
    """Whether the time is the same instant as another, wherever they are shown."""
    return time.instant == other.instant


@methods.add("Compare", "func(time.Time) int")
def _compare(_run: Run, time: Time, other: Time) -> int:
    """-1, 0 or 1 where the time is earlier than another, the same, or later."""
    return (time.instant > other.instant) - (time.instant < other.instant)


@methods.add("IsZero", "func() bool")
def _is_zero(_run: Run, time: Time) -> bool:
    """Whether the time is the first instant of the year 1, as of a time that could not be read."""
    return time.instant == (0, 0)


@methods.add("IsDST", "func() bool")
def _is_dst(_run: Run, time: Time) -> bool:
    """Whether daylight saving time is in force."""
    return time.zone().is_dst


@methods.add("UTC", "func() time.Time")
def _utc(_run: Run, time: Time) -> Time:
    """The same instant in UTC."""
    return time.moved(UTC)


@methods.add("Local", "func() time.Time")
def _local(_run: Run, time: Time) -> Time:
    """The same instant in the local zone, which is UTC."""
    return time.moved(LOCAL)


@methods.add("In", "func(*time.Location) time.Time")
def _in(_run: Run, time: Time, location: Location | None) -> Time:
    """The same instant in the location of another time."""
    if location is None:
        raise FunctionError("time: missing Location in call to Time.In")
    return time.moved(location)


@methods.add("Location", "func() *time.Location")
def _location(_run: Run, time: Time) -> Location:
    """The location, which prints as its name."""
    return time.location


@methods.add("MarshalJSON", "func() ([]uint8, error)")
def _marshal_json(_run: Run, time: Time) -> ByteSlice:
    """The time as JSON, in bytes."""
    return ByteSlice(b'"%s"' % json_text(time, "MarshalJSON"))


def _json_value(time: Time) -> bytes:
    """The time as a string of a JSON document."""
    try:
        return json_text(time, "MarshalJSON")
    except FunctionError as error:
        raise JSONError(f"json: error calling MarshalJSON for type time.Time: {error}") from None


MARSHALERS[Time] = _json_value


@methods.add("MarshalText", "func() ([]uint8, error)")
def _marshal_text(_run: Run, time: Time) -> ByteSlice:
    """The time after RFC 3339, in bytes."""
    return ByteSlice(json_text(time, "MarshalText"))


@methods.add("AppendText", "func([]uint8) ([]uint8, error)")
def _append_text(run: Run, time: Time, before: bytes | None) -> ByteSlice:
    """Bytes, followed by the time after RFC 3339."""
    return _joined(run, before, json_text(time, "AppendText"))


@methods.add("MarshalBinary GobEncode", "func() ([]uint8, error)")
def _marshal_binary(_run: Run, time: Time) -> ByteSlice:
    """The time in Go's binary form."""
    return ByteSlice(_binary(time))


@methods.add("AppendBinary", "func([]uint8) ([]uint8, error)")
def _append_binary(run: Run, time: Time, before: bytes | None) -> ByteSlice:
    """Bytes, followed by the time in Go's binary form."""
    return _joined(run, before, _binary(time))


def _binary(time: Time) -> bytes:
    offset = time.zone().offset
    minutes = _UTC_MARK if time.location is UTC else quotient(offset, 60)
    if time.location is not UTC and (minutes == _UTC_MARK or not -_MANY_MINUTES <= minutes <= _MANY_MINUTES):
        raise FunctionError("Time.MarshalBinary: unexpected zone offset")
    seconds = 0 if time.location is UTC else remainder(offset, 60)
    fields = struct.pack(">BqiH", 2 if seconds else 1, time.seconds, time.nanoseconds, minutes % (1 << 16))
    return fields + (struct.pack(">b", seconds) if seconds else b"")


def _joined(run: Run, before: bytes | None, text: bytes) -> ByteSlice:
    run.charge(len(before or b"") + len(text))
    return ByteSlice((before or b"") + text)


def _uncallable(name: str, signature: str) -> None:
    """Add a method with more than one result: the signature is what templates refuse."""

    def call(_run: Run, _time: Time) -> NoReturn:
        raise FunctionError(f"{name} has several results")

    methods.add(name, signature)(call)


_uncallable("Clock", "func() (int, int, int)")
_uncallable("Date", "func() (int, time.Month, int)")
_uncallable("ISOWeek", "func() (int, int)")
_uncallable("Zone", "func() (string, int)")
_uncallable("ZoneBounds", "func() (time.Time, time.Time)")
