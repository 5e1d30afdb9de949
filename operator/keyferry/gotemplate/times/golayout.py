"""Layouts of Go's package time: how a time is written after the pattern of 2 January 2006, 15:04:05.

Facts: https://pkg.go.dev/time#pkg-constants. How one is read: `goparsetime`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.times.gocalendar import DAY, absolute, civil, quotient, remainder, weekday
from keyferry.gotemplate.times.gotime import MONTHS, WEEKDAYS, Time

ELEMENT: Final = re.compile(
    rb"January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST|0[1-6]|002|15?|2(?:006)?|_2(?!006)|__2|[345]|PM|pm"
    rb"|[-Z]07(?:0000|:00:00|00|:00)?|[.,](?:0++|9++)(?![0-9])"
)
"""What of a layout stands for something; the rest is text."""
_NANO_DIGITS: Final = 9
DIGITS_MASK: Final = 0xFFF
"""Go keeps the number of a fraction's digits in 12 bits."""
_STEPS: Final = 4
"""What writing a time costs without its elements."""
RFC3339_NANO: Final = b"2006-01-02T15:04:05.999999999Z07:00"
DEFAULT: Final = b"2006-01-02 15:04:05.999999999 -0700 MST"
"""Of Go's Time.String."""


def padded(number: int, width: int) -> bytes:
    """The number with so many digits at least; a sign comes on top of them."""
    return b"-%0*d" % (width, -number) if number < 0 else b"%0*d" % (width, number)


class Shown:
    """What clocks and calendars show, worked out as far as a layout asks for it."""

    __slots__ = ("_civil", "_made", "days", "nanoseconds", "seconds", "zone")

    def __init__(self, time: Time) -> None:
        self.zone = time.zone()
        self.days, self.seconds = divmod(absolute(time.unix + self.zone.offset), DAY)
        self.nanoseconds = time.nanoseconds
        self._civil: tuple[int, int, int, int] | None = None
        self._made: dict[bytes, bytes] = {}

    def date(self) -> tuple[int, int, int, int]:
        """Year, month, day and day of the year."""
        if self._civil is None:
            self._civil = civil(self.days)
        return self._civil

    def element(self, found: re.Match[bytes]) -> bytes:
        """What to write in an element's place."""
        name = found[0]
        text = self._made.get(name)
        if text is None:
            write = _WRITERS.get(name)
            text = self._made[name] = write(self) if write else self._other(name)
        return text

    def _other(self, name: bytes) -> bytes:
        return self._fraction(name) if name[0] in b".," else self.offset(name)

    def _fraction(self, name: bytes) -> bytes:
        count = (len(name) - 1) & DIGITS_MASK
        digits = b"%09d" % self.nanoseconds
        digits = digits[:count] if count < _NANO_DIGITS else digits
        if name[1:2] == b"0":
            return name[:1] + digits
        digits = digits.rstrip(b"0") if self.nanoseconds else b""
        return name[:1] + digits if digits else b""

    def offset(self, name: bytes) -> bytes:
        """As -0700, Z07:00 and their kin."""
        offset = self.zone.offset
        if offset == 0 and name.startswith(b"Z"):
            return b"Z"
        minutes = quotient(offset, 60)
        negative = minutes < 0
        colon = b":" if b":" in name else b""
        text = (b"-" if negative else b"+") + padded(abs(minutes) // 60, 2)
        if len(name) > 3:
            text += colon + padded(abs(minutes) % 60, 2)
        if len(name) > 6:
            text += colon + padded(remainder(-offset if negative else offset, 60), 2)
        return text


def _date(write: Callable[[tuple[int, int, int, int]], bytes]) -> Callable[[Shown], bytes]:
    return lambda shown: write(shown.date())


def _clock(width: int, unit: int, modulus: int) -> Callable[[Shown], bytes]:
    return lambda shown: padded(shown.seconds // unit % modulus, width)


def _twelve(width: int) -> Callable[[Shown], bytes]:
    return lambda shown: padded(shown.seconds // 3_600 % 12 or 12, width)


def _weekday(shown: Shown) -> bytes:
    return WEEKDAYS[weekday(shown.days)]


def _zone_name(shown: Shown) -> bytes:
    return shown.zone.name or shown.offset(b"-0700")


_WRITERS: Final[dict[bytes, Callable[[Shown], bytes]]] = {
    b"2006": _date(lambda date: padded(date[0], 4)),
    b"06": _date(lambda date: padded(abs(date[0]) % 100, 2)),
    b"January": _date(lambda date: MONTHS[date[1] - 1]),
    b"Jan": _date(lambda date: MONTHS[date[1] - 1][:3]),
    b"1": _date(lambda date: padded(date[1], 0)),
    b"01": _date(lambda date: padded(date[1], 2)),
    b"2": _date(lambda date: padded(date[2], 0)),
    b"_2": _date(lambda date: b"%2d" % date[2]),
    b"02": _date(lambda date: padded(date[2], 2)),
    b"__2": _date(lambda date: b"%3d" % date[3]),
    b"002": _date(lambda date: padded(date[3], 3)),
    b"Monday": _weekday,
    b"Mon": lambda shown: _weekday(shown)[:3],
    b"15": _clock(2, 3_600, 24),
    b"3": _twelve(0),
    b"03": _twelve(2),
    b"4": _clock(0, 60, 60),
    b"04": _clock(2, 60, 60),
    b"5": _clock(0, 1, 60),
    b"05": _clock(2, 1, 60),
    b"PM": lambda shown: b"PM" if shown.seconds >= DAY // 2 else b"AM",
    b"pm": lambda shown: b"pm" if shown.seconds >= DAY // 2 else b"am",
    b"MST": _zone_name,
}


def time_text(time: Time, layout: bytes = DEFAULT) -> bytes:
    """The time after the layout; without one as Go prints a time."""
    return ELEMENT.sub(Shown(time).element, layout)


def format_time(run: Run, time: Time, layout: bytes) -> bytes:
    """The time after a layout that a template's author has written."""
    run.spend(_STEPS + len(layout) // 2)
    # An element is written with four times its size at most, but for a zone's name, which a value may have made long.
    run.charge(4 * len(layout))
    if b"MST" in layout:
        run.charge(layout.count(b"MST") * len(time.zone().name))
    return time_text(time, layout)


def json_text(time: Time, method: str) -> bytes:
    """The time after RFC 3339, without quotes, as Go writes it into JSON.

    Raises:
        FunctionError: that has no way to write the year or the offset.
    """
    text = time_text(time, RFC3339_NANO)
    if text[4:5] != b"-":
        raise FunctionError(f"Time.{method}: year outside of range [0,9999]")
    if not text.endswith(b"Z") and (text[-6:-5].isdigit() or int(text[-5:-3]) >= 24):
        raise FunctionError(f"Time.{method}: timezone hour outside of range [0,23]")
    return text
