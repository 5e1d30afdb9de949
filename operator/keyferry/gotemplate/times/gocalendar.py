"""The calendar of Go's package time, from the year -292277022399 to 292277026596, and Go's division.

Seconds are counted from 1970 (Unix, 64 bits with sign) or from the first of March of the year -292277022400
(absolute, 64 bits without sign), from where every cycle of 400 years is the same. Both wrap around as in Go.
The arithmetic: C. Neri, L. Schneider, https://doi.org/10.1002/spe.3172.
"""

from __future__ import annotations

from typing import Final

from keyferry.gotemplate.values import wrap_int64

DAY: Final = 86_400
_WRAP: Final = 1 << 64
_YEARS: Final = 292_277_022_400
YEAR_ONE: Final = -719_162 * DAY
"""When the year 1 began, in Unix seconds."""
_ABSOLUTE_ZERO: Final = YEAR_ONE - (_YEARS // 400 * 146_097 + 306) * DAY
"""The same of the absolute count; 306 days are from March to December."""
_MARCH_TO_DECEMBER: Final = 306
_BEFORE: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)


def absolute(unix: int) -> int:
    """Absolute seconds of Unix seconds."""
    return (unix - _ABSOLUTE_ZERO) % _WRAP


def civil(days: int) -> tuple[int, int, int, int]:
    """Year, month, day and day of the year (all but the year from 1) of a day of the absolute count."""
    century, rest = divmod(4 * days + 3, 146_097)
    year_of_century, rest = divmod(rest | 3, 1_461)
    from_march = rest // 4
    month, rest = divmod(5 * from_march + 461, 153)
    year = century * 100 - _YEARS + year_of_century
    if from_march >= _MARCH_TO_DECEMBER:
        return year + 1, month - 12, rest // 5 + 1, from_march - _MARCH_TO_DECEMBER + 1
    return year, month, rest // 5 + 1, from_march + 60 + is_leap(year)


def year_day(unix: int) -> tuple[int, int]:
    """Year and day of the year, from 1, of an instant."""
    year, _, _, day = civil(absolute(unix) // DAY)
    return year, day


def weekday(days: int) -> int:
    """The day of the week, Sunday is 0, of a day of the absolute count."""
    return (days + 3) % 7


def days_of(year: int, month: int, day: int) -> int:
    """The absolute count's day; the day may be out of range."""
    early = month < 3
    century, year_of_century = divmod((year - early + _YEARS) % _WRAP, 100)
    from_march = (153 * (month + 12 * early) - 457) // 5
    days = (146_097 * century) % _WRAP // 4 + 1_461 * year_of_century // 4 + from_march
    return (days + wrap_int64(day) - 1) % _WRAP


def unix_of(days: int, seconds: int) -> int:
    """Unix seconds of a day of the absolute count, and seconds since it began."""
    return wrap_int64(days * DAY + seconds + _ABSOLUTE_ZERO)


def is_leap(year: int) -> bool:
    """Whether the year has a 29th of February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def days_in(month: int, year: int) -> int:
    """How many days the month has."""
    return 29 if month == 2 and is_leap(year) else _BEFORE[month] - _BEFORE[month - 1]


def days_before(month: int) -> int:
    """How many days a year without leap day has before the month."""
    return _BEFORE[month - 1]


def quotient(number: int, divisor: int) -> int:
    """Go's `/`: it rounds towards zero."""
    return -(-number // divisor) if number < 0 else number // divisor


def remainder(number: int, divisor: int) -> int:
    """Go's `%`: it has the sign of the number."""
    return -(-number % divisor) if number < 0 else number % divisor
