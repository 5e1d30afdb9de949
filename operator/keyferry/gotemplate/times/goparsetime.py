"""Reading times after a layout of Go's package time.

Go's error texts quote the value, and the layout, which may come from a value too. Here they name the element of
the layout that the value has no match for: one of Go's own, as "15".
Facts: https://pkg.go.dev/time#ParseInLocation, whose local zone is always UTC here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.times.gocalendar import days_before, days_in, is_leap
from keyferry.gotemplate.times.golayout import DIGITS_MASK, ELEMENT
from keyferry.gotemplate.times.gotime import MONTHS, WEEKDAYS, Time, make_time, saturated
from keyferry.gotemplate.times.gozone import LOCAL, UTC, Location, fixed_zone

_SPACES: Final = re.compile(rb"( ++)")
_ANY_SPACES: Final = re.compile(rb" *+")
_DIGITS: Final = re.compile(rb"[0-9]*+")
_FRACTION: Final = re.compile(rb"[.,][0-9]++")
_NUMBER: Final = re.compile(rb"[+-]?[0-9]*+")
_HOURS_OFFSET: Final = rb"[+-]0*(?:2[0-3]|1?[0-9])(?![0-9])"
_ZONE_NAME: Final = re.compile(
    rb"ChST|MeST|GMT(?:"
    + _HOURS_OFFSET
    + rb")?|"
    + _HOURS_OFFSET
    + rb"|(?:[A-Z]{3,4}T|WITA|[A-Z]{3})(?![A-Z])"
)
_FEBRUARY_29: Final = 60
_NANO_TEXT: Final = 10
"""A point and nine digits: the nanoseconds."""
_STEPS: Final = 4
"""What reading a time costs without its elements."""
_LONGEST_SHOWN: Final = 10
_OFFSET_LIMITS: Final = ((24, "hour"), (60, "minute"), (60, "second"))
_MONTHS: Final = {name[:3].lower(): (number, name.lower()) for number, name in enumerate(MONTHS, 1)}
_WEEKDAYS: Final = {name[:3].lower(): (number, name.lower()) for number, name in enumerate(WEEKDAYS)}


class _Differs(Exception):
    """The value has something else where the layout has an element."""


class _Impossible(Exception):
    """There is no such time."""


class _Reading:
    """One value being read: where we are, and what we know."""

    __slots__ = (
        "at",
        "day",
        "hour",
        "is_am",
        "is_pm",
        "layout",
        "layout_at",
        "location",
        "minute",
        "month",
        "nanoseconds",
        "offset",
        "second",
        "value",
        "year",
        "year_day",
        "zone_name",
    )

    def __init__(self, layout: bytes, value: bytes) -> None:
        self.layout = layout
        self.value = value
        self.at = self.layout_at = 0
        self.year = self.hour = self.minute = self.second = self.nanoseconds = 0
        # As in Go, an offset of one second west is taken for none.
        self.month = self.day = self.year_day = self.offset = -1
        self.is_am = self.is_pm = False
        self.zone_name = b""
        self.location: Location | None = None

    def take(self, count: int) -> bytes:
        """The next bytes, exactly so many."""
        text = self.value[self.at : self.at + count]
        if len(text) < count:
            raise _Differs
        self.at += count
        return text

    def skip(self, text: bytes) -> bool:
        """Whether the text is next; it is skipped then."""
        if not self.value.startswith(text, self.at):
            return False
        self.at += len(text)
        return True

    def matched(self, pattern: re.Pattern[bytes]) -> bytes:
        """What matches here; nothing where nothing does."""
        found = pattern.match(self.value, self.at)
        if found is None:
            return b""
        self.at = found.end()
        return found[0]

    def digits(self, least: int, most: int) -> int:
        """The number that the next digits are."""
        text = self.value[self.at : self.at + most]
        found = _DIGITS.match(text)
        count = found.end() if found else 0
        if count < least:
            raise _Differs
        self.at += count
        return int(text[:count])

    def literal(self, text: bytes) -> None:
        """Skip what the layout has between two elements; spaces of any number are the same."""
        if b" " not in text:
            if not self.skip(text):
                raise _Differs
            return
        for piece in _SPACES.split(text):
            if not piece.startswith(b" "):
                if not self.skip(piece):
                    raise _Differs
            elif not self.matched(_ANY_SPACES) and self.at < len(self.value):
                raise _Differs


def _year(reading: _Reading) -> None:
    reading.year = reading.digits(4, 4)


def _short_year(reading: _Reading) -> None:
    text = reading.take(2)
    if not _NUMBER.fullmatch(text):
        raise _Differs
    year = int(text)
    reading.year = year + (1900 if year >= 69 else 2000)


def _named(reading: _Reading, names: dict[bytes, tuple[int, bytes]], *, whole: bool) -> int:
    text = reading.value[reading.at : reading.at + 9].lower()
    number, name = names.get(text[:3], (0, b""))
    if not name or (whole and not text.startswith(name)):
        raise _Differs
    reading.at += len(name) if whole else 3
    return number


def _month_name(*, whole: bool) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        reading.month = _named(reading, _MONTHS, whole=whole)

    return read


def _weekday_name(*, whole: bool) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        _named(reading, _WEEKDAYS, whole=whole)

    return read


def _month(least: int) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        reading.month = reading.digits(least, 2)
        if not 1 <= reading.month <= 12:
            raise _Impossible("month out of range")

    return read


def _day(least: int, spaces: int = 0) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        for _ in range(spaces):
            reading.skip(b" ")
        reading.day = reading.digits(least, 2)

    return read


def _day_of_year(least: int, spaces: int = 0) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        for _ in range(spaces):
            reading.skip(b" ")
        reading.year_day = reading.digits(least, 3)

    return read


def _hour(least: int, largest: int) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        reading.hour = reading.digits(least, 2)
        if reading.hour > largest:
            raise _Impossible("hour out of range")

    return read


def _minute(least: int) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        reading.minute = reading.digits(least, 2)
        if reading.minute >= 60:
            raise _Impossible("minute out of range")

    return read


def _second(least: int) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        reading.second = reading.digits(least, 2)
        if reading.second >= 60:
            raise _Impossible("second out of range")
        if not _FRACTION.match(reading.value, reading.at):
            return
        # A fraction may follow in the value also where the layout has none.
        following = ELEMENT.search(reading.layout, reading.layout_at)
        if not following or following[0][:1] not in (b".", b","):
            _optional_fraction(reading)

    return read


def _half(upper: bytes, lower: bytes) -> Callable[[_Reading], None]:
    def read(reading: _Reading) -> None:
        text = reading.take(2)
        if text not in (upper, lower):
            raise _Differs
        reading.is_pm |= text == upper
        reading.is_am |= text == lower

    return read


def _zone_name(reading: _Reading) -> None:
    if reading.skip(b"UTC"):
        reading.location = UTC
        return
    # Two bytes are no name, also not +3, which is one where more follows.
    if len(reading.value) - reading.at >= 3:
        reading.zone_name = reading.matched(_ZONE_NAME)
        if reading.zone_name:
            return
    raise _Differs


def _offset(reading: _Reading, element: bytes) -> None:
    """As -0700, Z07:00 and their kin."""
    if element.startswith(b"Z") and reading.skip(b"Z"):
        reading.location = UTC
        return
    text = reading.take(len(element))
    if any(text[at] != 58 for at in (3, 6) if element[at : at + 1] == b":"):
        raise _Differs
    step = 3 if b":" in element else 2
    total, differs, beyond = 0, False, ""
    for place, (most, unit) in enumerate(_OFFSET_LIMITS):
        digits = text[1 + place * step : 3 + place * step] or b"00"
        differs = differs or not digits.isdigit()
        number = 0 if differs else int(digits)
        total = total * 60 + number
        if number > most:
            beyond = unit
    if beyond:
        raise _Impossible(f"time zone offset {beyond} out of range")
    if differs or text[:1] not in (b"+", b"-"):
        raise _Differs
    reading.offset = -total if text[:1] == b"-" else total


def _exact_fraction(reading: _Reading, element: bytes) -> None:
    """As .000: so many digits."""
    text = reading.take(1 + ((len(element) - 1) & DIGITS_MASK))
    if text[:1] not in (b".", b","):
        raise _Differs
    reading.nanoseconds = _nanoseconds(text)


def _optional_fraction(reading: _Reading) -> None:
    """As .999: any digits, or none."""
    text = reading.matched(_FRACTION)
    if text:
        reading.nanoseconds = _nanoseconds(text)


def _nanoseconds(text: bytes) -> int:
    text = text[:_NANO_TEXT]
    if not _NUMBER.fullmatch(text, 1):
        raise _Differs
    number = int(text[1:].lstrip(b"+-") or b"0")
    if number and text[1:2] == b"-":
        raise _Impossible("fractional second out of range")
    return int(number * 10 ** (_NANO_TEXT - len(text)))


_READERS: Final[dict[bytes, Callable[[_Reading], None]]] = {
    b"2006": _year,
    b"06": _short_year,
    b"January": _month_name(whole=True),
    b"Jan": _month_name(whole=False),
    b"1": _month(1),
    b"01": _month(2),
    b"Monday": _weekday_name(whole=True),
    b"Mon": _weekday_name(whole=False),
    b"2": _day(1),
    b"_2": _day(1, spaces=1),
    b"02": _day(2),
    b"__2": _day_of_year(1, spaces=2),
    b"002": _day_of_year(3),
    b"15": _hour(1, 23),
    b"3": _hour(1, 12),
    b"03": _hour(2, 12),
    b"4": _minute(1),
    b"04": _minute(2),
    b"5": _second(1),
    b"05": _second(2),
    b"PM": _half(b"PM", b"AM"),
    b"pm": _half(b"pm", b"am"),
    b"MST": _zone_name,
}


def parse_time(run: Run, layout: bytes, value: bytes) -> Time:
    """The time that the value is after the layout, in the local zone where it names none.

    Raises:
        FunctionError: it is none.
    """
    run.spend(_STEPS + len(layout) + len(value) // 64)
    reading = _Reading(layout, value)
    for found in ELEMENT.finditer(layout):
        _literal(reading, found.start(), f'before "{_shown(found[0])}"')
        reading.layout_at = found.end()
        try:
            _element(reading, found[0])
        except _Impossible as error:
            raise FunctionError(f"parsing time: {error}") from None
        except _Differs:
            raise FunctionError(f'parsing time: cannot parse as "{_shown(found[0])}"') from None
    _literal(reading, len(layout), "at the end")
    if reading.at < len(value):
        raise FunctionError("parsing time: extra text")
    try:
        return _time(reading)
    except _Impossible as error:
        raise FunctionError(f"parsing time: {error}") from None


def _shown(element: bytes) -> str:
    return element[:_LONGEST_SHOWN].decode("ascii")


def _literal(reading: _Reading, end: int, where: str) -> None:
    try:
        reading.literal(reading.layout[reading.layout_at : end])
    except _Differs:
        raise FunctionError(f"parsing time: the value differs from the layout {where}") from None


def _element(reading: _Reading, element: bytes) -> None:
    read = _READERS.get(element)
    if read is not None:
        read(reading)
    elif element[:1] in (b"-", b"Z"):
        _offset(reading, element)
    elif element[1:2] == b"0":
        _exact_fraction(reading, element)
    else:
        _optional_fraction(reading)


def _time(reading: _Reading) -> Time:
    hour = reading.hour
    if reading.is_pm and hour < 12:
        hour += 12
    elif reading.is_am and hour == 12:
        hour = 0
    month, day = _date(reading)
    if not 1 <= day <= days_in(month, reading.year):
        raise _Impossible("day out of range")
    seconds = hour * 3_600 + reading.minute * 60 + reading.second
    time = make_time((reading.year, month, day), seconds, reading.nanoseconds, reading.location or LOCAL)
    if reading.location is not None:
        return time
    if reading.offset != -1:
        local = not reading.offset and not reading.zone_name
        location = LOCAL if local else fixed_zone(reading.zone_name, reading.offset)
        return Time(saturated(time.seconds - reading.offset), time.nanoseconds, location)
    if reading.zone_name:
        # Go does not know where that is, and takes the time for one in UTC, also if it shows another offset.
        return time.moved(fixed_zone(reading.zone_name, _named_offset(reading.zone_name)))
    return time


def _named_offset(name: bytes) -> int:
    """Of GMT+3; all other names have none."""
    if not name.startswith(b"GMT"):
        return 0
    hours = int(name[3:].lstrip(b"+-0") or b"0")
    return -hours * 3_600 if name[3:4] == b"-" else hours * 3_600


def _date(reading: _Reading) -> tuple[int, int]:
    """Month and day."""
    if reading.year_day < 0:
        return (
            reading.month if reading.month >= 0 else 1,
            reading.day if reading.day >= 0 else 1,
        )
    month, day = _month_and_day(reading.year_day, leap=is_leap(reading.year))
    if reading.month not in (-1, month):
        raise _Impossible("day-of-year does not match month")
    if reading.day not in (-1, day):
        raise _Impossible("day-of-year does not match day")
    return month, day


def _month_and_day(year_day: int, *, leap: bool) -> tuple[int, int]:
    if leap and year_day == _FEBRUARY_29:
        return 2, 29
    if leap and year_day > _FEBRUARY_29:
        year_day -= 1
    if not 1 <= year_day <= 365:
        raise _Impossible("day-of-year out of range")
    month = (year_day - 1) // 31 + 1
    if days_before(month + 1) < year_day:
        month += 1
    return month, year_day - days_before(month)
