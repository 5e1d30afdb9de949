"""Go durations ("1h30m", "1.5s"), as Go's `time.ParseDuration` reads and `Duration.String` prints them.

Source of the rules: the documentation of Go's package time. Results are the same to the nanosecond.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

_UNSIGNED: Final = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"
PATTERN: Final = rf"^[-+]?(0|({_UNSIGNED})+)$"
"""What a Go duration looks like; used by the CRD's schema too. A bare "0" is one, a bare "5" is not."""

_NANOS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_WHOLE: Final = re.compile(PATTERN.removeprefix("^").removesuffix("$"))
_PART: Final = re.compile(r"([0-9]*)\.?([0-9]*)([nuµμmsh]+)")
_MOST_NANOS: Final = 2**63
_MOST_DIGITS: Final = 19
"""Of a number of nanoseconds that fits into 64 bits."""


def parse_go_duration_nanos(text: str) -> int:
    """The nanoseconds of a Go duration.

    Raises:
        ValueError: the text is no Go duration, or beyond 64 bits of nanoseconds. The text is not repeated.
    """
    if _WHOLE.fullmatch(text) is None:
        raise ValueError('not a duration such as "1h", "30m" or "1h30m0s"')
    total = sum(_nanos(whole, fraction, _NANOS[unit]) for whole, fraction, unit in _PART.findall(text))
    negative = text.startswith("-")
    if total > _MOST_NANOS - (not negative):
        raise _too_long()
    return -total if negative else total


def _nanos(whole: str, fraction: str, unit: int) -> int:
    """One number with its unit. Go adds the fraction as a float, from as many digits as 64 bits hold."""
    whole = whole.lstrip("0")
    if len(whole) > _MOST_DIGITS:
        raise _too_long()
    nanos = int(whole or "0") * unit
    digits, scale = 0, 1.0
    for digit in fraction:
        longer = digits * 10 + int(digit)
        if longer > _MOST_NANOS:
            break
        digits, scale = longer, scale * 10
    return nanos + int(digits * (unit / scale))


def _too_long() -> ValueError:
    return ValueError("the duration is longer than 292 years")


def parse_go_duration(text: str) -> timedelta:
    """A Go duration as a timedelta, in whole microseconds; a part of one counts as one.

    So nothing but zero becomes zero, which has a meaning of its own in most fields.

    Raises:
        ValueError: as `parse_go_duration_nanos`.
    """
    nanos = parse_go_duration_nanos(text)
    micros = -(-abs(nanos) // 1_000)
    return timedelta(microseconds=-micros if nanos < 0 else micros)


def format_go_duration(value: timedelta) -> str:
    """A timedelta as Go prints a duration: "1h0m0s", "1m30s", "1.5s", "10ms", "0s"."""
    micros = value // timedelta(microseconds=1)
    if micros == 0:
        return "0s"
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    if micros < 1_000:
        return f"{sign}{micros}µs"
    if micros < 1_000_000:
        return f"{sign}{_trim(Decimal(micros) / 1_000)}ms"
    seconds, rest = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    tail = f"{_trim(Decimal(seconds) + Decimal(rest) / 1_000_000)}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{tail}"
    return f"{sign}{minutes}m{tail}" if minutes else f"{sign}{tail}"


def _trim(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
