"""Go durations ("1h30m", "1.5s"), as Go's `time.ParseDuration` reads and `Duration.String` prints them.

Source of the rules: the documentation of Go's package time.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Final

PATTERN: Final = r"^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$"
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
_WHOLE: Final = re.compile(r"^([-+]?)((?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)$")
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_MAX_NANOS: Final = 2**63 - 1


def parse_go_duration_nanos(text: str) -> int:
    """The nanoseconds of a Go duration.

    Raises:
        ValueError: the text is no Go duration, or beyond 64 bits of nanoseconds. The text is not repeated.
    """
    if text in ("0", "+0", "-0"):
        return 0
    whole = _WHOLE.match(text)
    if whole is None:
        raise ValueError('not a duration such as "1h", "30m" or "1h30m0s"')
    total = sum(int(Decimal(number) * _NANOS[unit]) for number, unit in _PART.findall(whole[2]))
    if total > _MAX_NANOS:
        raise ValueError("the duration is longer than 292 years")
    return -total if whole[1] == "-" else total


def parse_go_duration(text: str) -> timedelta:
    """A Go duration as a timedelta, cut to whole microseconds.

    Raises:
        ValueError: as `parse_go_duration_nanos`.
    """
    return timedelta(microseconds=parse_go_duration_nanos(text) // 1_000)


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
