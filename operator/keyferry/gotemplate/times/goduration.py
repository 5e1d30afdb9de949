"""Go's time.Duration: a count of nanoseconds in 64 bits, its text, and the rounding of it.

Facts: https://pkg.go.dev/time#Duration and #ParseDuration. Used by `gotime`, and by the functions of dates.
"""

from __future__ import annotations

import re
from typing import Final

from keyferry.gotemplate.errors import FunctionError
from keyferry.gotemplate.objects import METHODS, STRINGERS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.times.gocalendar import quotient, remainder
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64, Int64, Sized, register, wrap_int64

SECOND: Final = 1_000_000_000
_UNITS: Final[dict[bytes, int]] = {
    b"ns": 1,
    b"us": 1_000,
    "\u00b5s".encode(): 1_000,  # the micro sign
    "\u03bcs".encode(): 1_000,  # the Greek letter
    b"ms": 1_000_000,
    b"s": SECOND,
    b"m": 60 * SECOND,
    b"h": 3_600 * SECOND,
}
_PIECE: Final = re.compile(rb"(?=[0-9.])([0-9]*+)(?:\.([0-9]*+))?+([^.0-9]*+)")
_LIMIT: Final = 1 << 63
_MOST_DIGITS: Final = 19
"""Of a number that 63 bits hold."""


@register
class Duration(Sized):
    """time.Duration."""

    __slots__ = ()
    go_type = "time.Duration"
    go_kind = "int64"


def parse_duration(text: bytes) -> Duration:
    """The duration that a text such as `-1h30m` or `1.5s` names.

    Raises:
        FunctionError: the text is none, or names one that 64 bits do not hold.
    """
    negative = text[:1] == b"-"
    at = 1 if text[:1] in (b"-", b"+") else 0
    if text[at:] == b"0":
        return Duration(0)
    if at == len(text):
        raise FunctionError("time: invalid duration")
    total = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise FunctionError("time: invalid duration")
        total += _piece(*found.groups(default=b""))
        if total > _LIMIT:
            raise FunctionError("time: invalid duration")
        at = found.end()
    if negative:
        return Duration(-total)
    if total == _LIMIT:
        raise FunctionError("time: invalid duration")
    return Duration(total)


def _piece(whole: bytes, fraction: bytes, unit: bytes) -> int:
    """The nanoseconds of one number with its unit."""
    digits = whole.lstrip(b"0")
    if not (whole or fraction) or len(digits) > _MOST_DIGITS or int(digits or b"0") > _LIMIT:
        raise FunctionError("time: invalid duration")
    if not unit:
        raise FunctionError("time: missing unit in duration")
    factor = _UNITS.get(unit)
    if factor is None:
        raise FunctionError("time: unknown unit in duration")
    count = int(digits or b"0")
    if count > _LIMIT // factor:
        raise FunctionError("time: invalid duration")
    count = count * factor + _fraction(fraction, factor)
    if count > _LIMIT:
        raise FunctionError("time: invalid duration")
    return count


def _fraction(digits: bytes, factor: int) -> int:
    """The nanoseconds of what stands behind the point; further digits than 63 bits hold are ignored, as in Go."""
    significant = digits.lstrip(b"0")
    if not significant:
        return 0
    number, scale = 0, 1.0
    for _ in range(min(len(digits) - len(significant), 400)):  # it is infinite by then
        scale *= 10
    for digit in significant[: _MOST_DIGITS + 1]:
        if number > MAX_INT64 // 10:
            break
        following = number * 10 + digit - 48
        if following > _LIMIT:
            break
        number = following
        scale *= 10
    return int(float(number) * (factor / scale))


def duration_text(duration: int) -> bytes:
    """As Go prints it: `72h3m0.5s`, below a second `1.5ms`, `0s` for none."""
    size = abs(duration)
    sign = "-" if duration < 0 else ""
    if size == 0:
        return b"0s"
    if size < SECOND:
        places, unit = (0, "ns") if size < 1_000 else (3, "\u00b5s") if size < 1_000_000 else (6, "ms")
        return f"{sign}{_decimal(size, places)}{unit}".encode()
    minutes, rest = divmod(size, 60 * SECOND)
    text = f"{_decimal(rest, 9)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return f"{sign}{text}".encode()


def _decimal(number: int, places: int) -> str:
    whole, rest = divmod(number, 10**places)
    return f"{whole}.{rest:0{places}}".rstrip("0") if rest else str(whole)


def round_duration(duration: int, unit: int) -> Duration:
    """To the nearest multiple of the unit, halves away from zero; the largest there is where that overflows."""
    if unit <= 0:
        return Duration(duration)
    rest = abs(remainder(duration, unit))
    size = abs(duration) - rest
    if rest + rest >= unit:
        size += unit
    return Duration(max(-size, MIN_INT64) if duration < 0 else min(size, MAX_INT64))


methods: Final = FunctionGroup("Methods of time.Duration")
STRINGERS[Duration] = duration_text
METHODS[Duration] = methods.functions


@methods.add("String", "func() string")
def _string(_run: object, duration: Duration) -> bytes:
    """The duration as text, such as 72h3m0.5s."""
    return duration_text(duration)


@methods.add("Abs", "func() time.Duration")
def _abs(_run: object, duration: Duration) -> Duration:
    """The duration without its sign."""
    return Duration(min(abs(duration), MAX_INT64))


@methods.add("Round", "func(time.Duration) time.Duration")
def _round(_run: object, duration: Duration, unit: int) -> Duration:
    """The nearest multiple of another duration."""
    return round_duration(duration, unit)


@methods.add("Truncate", "func(time.Duration) time.Duration")
def _truncate(_run: object, duration: Duration, unit: int) -> Duration:
    """The next multiple of another duration towards zero."""
    return Duration(duration - remainder(duration, unit)) if unit > 0 else duration


@methods.add("Hours", "func() float64")
def _hours(_run: object, duration: Duration) -> float:
    """The duration in hours."""
    return _in_units(duration, 3_600 * SECOND)


@methods.add("Minutes", "func() float64")
def _minutes(_run: object, duration: Duration) -> float:
    """The duration in minutes."""
    return _in_units(duration, 60 * SECOND)


@methods.add("Seconds", "func() float64")
def _seconds(_run: object, duration: Duration) -> float:
    """The duration in seconds."""
    return _in_units(duration, SECOND)


def _in_units(duration: int, unit: int) -> float:
    return float(quotient(duration, unit)) + float(remainder(duration, unit)) / unit


@methods.add("Milliseconds", "func() int64")
def _milliseconds(_run: object, duration: Duration) -> Int64:
    """The duration in whole milliseconds."""
    return Int64(quotient(duration, 1_000_000))


@methods.add("Microseconds", "func() int64")
def _microseconds(_run: object, duration: Duration) -> Int64:
    """The duration in whole microseconds."""
    return Int64(quotient(duration, 1_000))


@methods.add("Nanoseconds", "func() int64")
def _nanoseconds(_run: object, duration: Duration) -> Int64:
    """The duration in nanoseconds."""
    return Int64(duration)


def times_second(count: int) -> Duration:
    """So many seconds, with Go's wrap-around."""
    return Duration(wrap_int64(count * SECOND))
