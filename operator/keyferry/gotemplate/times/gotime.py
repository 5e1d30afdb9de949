"""Go's time.Time, and its Month and Weekday: instants to the nanosecond, each with the location to show it in.

No clock is read here, and there is no monotonic reading as Go's `time.Now` has. Layouts are in `golayout`, the
methods that templates may call in `gotimemethods`. Facts: https://pkg.go.dev/time#Time.
"""

from __future__ import annotations

from typing import ClassVar, Final

from keyferry.gotemplate.objects import METHODS, STRINGERS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.times.gocalendar import (
    DAY,
    YEAR_ONE,
    absolute,
    civil,
    days_of,
    quotient,
    remainder,
    unix_of,
    weekday,
)
from keyferry.gotemplate.times.goduration import SECOND, Duration
from keyferry.gotemplate.times.gozone import LOCAL, UTC, Location, Span
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64, Sized, register, wrap_int64

MONTHS: Final = (
    b"January",
    b"February",
    b"March",
    b"April",
    b"May",
    b"June",
    b"July",
    b"August",
    b"September",
    b"October",
    b"November",
    b"December",
)
WEEKDAYS: Final = (b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday")


@register
class Month(Sized):
    """time.Month: 1 is January."""

    __slots__ = ()
    go_type = "time.Month"
    go_kind = "int"


@register
class Weekday(Sized):
    """time.Weekday: 0 is Sunday."""

    __slots__ = ()
    go_type = "time.Weekday"
    go_kind = "int"


@register
class Time:
    """time.Time; never changed after it was made.

    Two are equal as by Go's reflect.DeepEqual. Its == tells apart locations that were made apart, and so does the
    template's eq: it compares the rows of STRUCT_FIELDS.

    Args:
        seconds: since the year 1, 64 bits.
        nanoseconds: of the second, from 0 to 999999999.
        location: where to show it.
    """

    __slots__ = ("location", "nanoseconds", "seconds")
    go_type: ClassVar[str] = "time.Time"
    go_kind: ClassVar[str] = "struct"

    def __init__(self, seconds: int = 0, nanoseconds: int = 0, location: Location = UTC) -> None:
        self.seconds = seconds
        self.nanoseconds = nanoseconds
        self.location = location

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Time)
            and self.instant == other.instant
            and self.location.same_as(other.location)
        )

    def __hash__(self) -> int:
        return hash(self.instant)

    @property
    def instant(self) -> tuple[int, int]:
        """What to compare: seconds and nanoseconds."""
        return self.seconds, self.nanoseconds

    @property
    def unix(self) -> int:
        """Seconds since 1970, with wrap-around."""
        return wrap_int64(self.seconds + YEAR_ONE)

    @property
    def total(self) -> int:
        """Nanoseconds since the year 1, however many bits they have."""
        return self.seconds * SECOND + self.nanoseconds

    def zone(self) -> Span:
        """What is in force then and there."""
        return self.location.lookup(self.unix)

    def local_seconds(self) -> int:
        """Seconds of the absolute count, as clocks show them there."""
        return absolute(self.unix + self.zone().offset)

    def local_days(self) -> int:
        """The same in days."""
        return self.local_seconds() // DAY

    def date(self) -> tuple[int, int, int, int]:
        """Year, month, day and day of the year there."""
        return civil(self.local_days())

    def weekday(self) -> int:
        """The day of the week there; Sunday is 0."""
        return weekday(self.local_days())

    def moved(self, location: Location) -> Time:
        """The same instant, to be shown elsewhere."""
        return Time(self.seconds, self.nanoseconds, location)

    def plus(self, duration: int) -> Time:
        """Later, or earlier; the seconds stop at the largest there are."""
        seconds = quotient(duration, SECOND)
        nanoseconds = self.nanoseconds + remainder(duration, SECOND)
        if nanoseconds >= SECOND:
            seconds, nanoseconds = seconds + 1, nanoseconds - SECOND
        elif nanoseconds < 0:
            seconds, nanoseconds = seconds - 1, nanoseconds + SECOND
        return Time(saturated(self.seconds + seconds), nanoseconds, self.location)

    def minus(self, other: Time) -> Duration:
        """How much later it is than the other; the longest duration there is where that is longer."""
        return Duration(min(max(self.total - other.total, MIN_INT64), MAX_INT64))

    def truncated(self, unit: int) -> Time:
        """The last multiple of the unit since the year 1."""
        return self.plus(-(self.total % unit)) if unit > 0 else self

    def rounded(self, unit: int) -> Time:
        """The nearest multiple of the unit since the year 1; of two the later."""
        if unit <= 0:
            return self
        rest = self.total % unit
        return self.plus(-rest if rest + rest < unit else unit - rest)


ZERO: Final = Time()


def saturated(seconds: int) -> int:
    """Seconds since the year 1 after an addition; Go keeps them away from the smallest number there is."""
    if MIN_INT64 <= seconds <= MAX_INT64:
        return seconds
    return MAX_INT64 if seconds > 0 else -MAX_INT64


def from_unix(seconds: int, location: Location = LOCAL, nanoseconds: int = 0) -> Time:
    """The time so many seconds after 1970 began."""
    return Time(wrap_int64(seconds - YEAR_ONE), nanoseconds, location)


def make_time(date: tuple[int, int, int], seconds: int, nanoseconds: int, location: Location) -> Time:
    """The time that clocks in the location show so.

    Args:
        date: year, month and day; a month or day out of range counts on into other years and months.
        seconds: since the day began.
        nanoseconds: of the second.
        location: the clocks'. Where they show a time twice, or never, it is one of two that Go chooses.
    """
    year, month, day = date
    years, month = divmod(month - 1, 12)
    unix = unix_of(days_of(wrap_int64(year + years), month + 1, day), seconds)
    found = location.lookup(unix)
    offset = found.offset
    if offset:
        guess = wrap_int64(unix - offset)
        if not found.start <= guess < found.end:
            offset = location.lookup(guess).offset
    return from_unix(wrap_int64(unix - offset), location, nanoseconds)


def _month_text(month: int) -> bytes:
    return MONTHS[month - 1] if 1 <= month <= len(MONTHS) else _outside("Month", month)


def _weekday_text(day: int) -> bytes:
    return WEEKDAYS[day] if 0 <= day < len(WEEKDAYS) else _outside("Weekday", day)


def _outside(what: str, number: int) -> bytes:
    return f"%!{what}({number % (1 << 64)})".encode()


_month_methods: Final = FunctionGroup("Methods of time.Month")
_weekday_methods: Final = FunctionGroup("Methods of time.Weekday")
STRINGERS[Month] = _month_text
STRINGERS[Weekday] = _weekday_text
METHODS[Month] = _month_methods.functions
METHODS[Weekday] = _weekday_methods.functions


@_month_methods.add("String", "func() string")
def _month_string(_run: object, month: Month) -> bytes:
    """The month's name, such as January."""
    return _month_text(month)


@_weekday_methods.add("String", "func() string")
def _weekday_string(_run: object, day: Weekday) -> bytes:
    """The day's name, such as Monday."""
    return _weekday_text(day)
