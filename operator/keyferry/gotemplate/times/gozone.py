"""Time zones as Go's package time sees them: `Location`, from the tz database.

The files are read here, and not by `zoneinfo.ZoneInfo`, since that ends with the year 9999 and guesses whether
a zone has daylight saving time. Where they are looked for is as there: the folders of `zoneinfo.TZPATH`, which
is the system's, then the package tzdata. The format: RFC 9636; what Go makes of it:
https://pkg.go.dev/time#LoadLocation.

The local zone is UTC, whatever the machine says: a template gives the same on every one.
"""

from __future__ import annotations

import re
import struct
import zoneinfo
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

from keyferry.gotemplate.budget import Run
from keyferry.gotemplate.objects import METHODS, STRINGERS
from keyferry.gotemplate.signatures import FunctionGroup
from keyferry.gotemplate.times.gocalendar import (
    DAY,
    days_before,
    days_in,
    is_leap,
    remainder,
    year_day,
)
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64, register

_HOUR: Final = 3_600
_NAME: Final = re.compile(rb"[A-Z][A-Za-z0-9_+-]*+(?:/[A-Za-z0-9_+-]++)*+")
"""The database's names. Those that begin small (localtime, posixrules) depend on the machine."""
_LONGEST_NAME: Final = 64
_LARGEST_FILE: Final = 1 << 16
_HEADER: Final = struct.Struct(">4sc15x6l")
_READING_STEPS: Final = 150
"""What reading a zone costs, in steps."""


class Span(NamedTuple):
    """What is in force at an instant: abbreviation, seconds east of UTC, and from when until when (Unix)."""

    name: bytes
    offset: int
    start: int
    end: int
    is_dst: bool


class Zone(NamedTuple):
    """One of a location's zones, such as CET."""

    name: bytes
    offset: int
    is_dst: bool


class _Change(NamedTuple):
    """When a rule takes effect each year: `M3.5.0/2`."""

    kind: bytes
    month: int
    week: int
    day: int
    seconds: int

    def in_year(self, year: int, offset: int) -> int:
        """Seconds since the year began, in UTC."""
        if self.kind == b"J":
            day = self.day - 1 + (is_leap(year) and self.day >= 60)
        elif self.kind == b"M":
            day = self._month_day(year)
        else:
            day = self.day
        return day * DAY + self.seconds - offset

    def _month_day(self, year: int) -> int:
        """The day of the year, from 0, of the week day that is meant, by Zeller's rule."""
        month = (self.month + 9) % 12 + 1
        century, rest = divmod(year - (self.month <= 2), 100)
        first = ((26 * month - 2) // 10 + 1 + rest + rest // 4 + century // 4 - 2 * century) % 7
        day = (self.day - first) % 7
        for _ in range(1, self.week):
            if day + 7 >= days_in(self.month, year):
                break
            day += 7
        return day + days_before(self.month) + (self.month > 2 and is_leap(year))


class Rule(NamedTuple):
    """What holds after the last change that the file lists: `CET-1CEST,M3.5.0,M10.5.0/3`."""

    standard: Zone
    summer: Zone | None
    begin: _Change
    end: _Change

    def at(self, last_change: int, unix: int) -> Span:
        """What is in force at the instant; its bounds are those of the year at most, as in Go."""
        if self.summer is None:
            return Span(self.standard.name, self.standard.offset, last_change, MAX_INT64, is_dst=False)
        year, day = year_day(unix)
        second = (day - 1) * DAY + remainder(unix, DAY)
        first = unix - second
        changes = sorted(
            (
                (self.begin.in_year(year, self.standard.offset), False, self.summer),
                (self.end.in_year(year, self.summer.offset), True, self.standard),
            )
        )
        (middle, _, inner), (late, _, outer) = changes
        if second < middle:
            return Span(outer.name, outer.offset, first, first + middle, outer.is_dst)
        if second >= late:
            return Span(outer.name, outer.offset, first + late, first + 365 * DAY, outer.is_dst)
        return Span(inner.name, inner.offset, first + middle, first + late, inner.is_dst)


@register
class Location:
    """time.Location.

    Args:
        name: as asked for, or the abbreviation of a zone with a fixed offset.
        zones: those that occur.
        changes: when (Unix) which of them begins, in order.
        rule: what holds after the last change.
    """

    __slots__ = ("_always", "_first", "_indices", "_rule", "_whens", "_zones", "name")
    go_type: ClassVar[str] = "*time.Location"
    go_kind: ClassVar[str] = "ptr"

    def __init__(
        self,
        name: bytes,
        zones: Sequence[Zone],
        changes: Sequence[tuple[int, int]] = (),
        rule: Rule | None = None,
    ) -> None:
        self.name = name
        self._zones = zones
        self._whens = [when for when, _ in changes] or [MIN_INT64]
        self._indices = [index for _, index in changes] or [0]
        self._rule = rule
        self._first = zones[_first_zone(zones, self._indices)]
        self._always = (
            None if changes or rule else Span(zones[0][0], zones[0][1], MIN_INT64, MAX_INT64, zones[0][2])
        )

    def lookup(self, unix: int) -> Span:
        """What is in force at the instant."""
        if self._always is not None:
            return self._always
        whens = self._whens
        at = bisect_right(whens, unix) - 1
        if at < 0:
            zone = self._first
            return Span(zone.name, zone.offset, MIN_INT64, whens[0], zone.is_dst)
        if at + 1 < len(whens):
            end = whens[at + 1]
        elif self._rule is not None:
            return self._rule.at(whens[at], unix)
        else:
            end = MAX_INT64
        zone = self._zones[self._indices[at]]
        return Span(zone.name, zone.offset, whens[at], end, zone.is_dst)

    def same_as(self, other: Location) -> bool:
        """Whether Go's reflect.DeepEqual takes the two for equal."""
        return self is other or (
            self.name == other.name
            and self._zones == other._zones
            and self._whens == other._whens
            and self._rule == other._rule
            and UTC not in {self, other}
        )


def _first_zone(zones: Sequence[Zone], indices: Sequence[int]) -> int:
    """The zone before the first change: as in Go the first that no change leads to, or that is standard time."""
    if 0 not in indices:
        return 0
    if zones[indices[0]].is_dst:
        for index in range(indices[0] - 1, -1, -1):
            if not zones[index].is_dst:
                return index
    return next((index for index, zone in enumerate(zones) if not zone.is_dst), 0)


UTC: Final = Location(b"UTC", [Zone(b"UTC", 0, is_dst=False)])
LOCAL: Final = Location(b"UTC", [Zone(b"UTC", 0, is_dst=False)])
"""Go's time.Local where neither TZ nor /etc/localtime says anything else."""
_UNNAMED: Final = {
    hours * _HOUR: Location(b"", [Zone(b"", hours * _HOUR, is_dst=False)]) for hours in range(-12, 15)
}
"""Go makes these once only, so that times in them may be equal."""
_known: Final[dict[bytes, Location]] = {}
"""As many as the database has names: unknown ones are not kept."""


def fixed_zone(name: bytes, offset: int) -> Location:
    """The location that has always this offset."""
    if not name and (known := _UNNAMED.get(offset)):
        return known
    return Location(name, [Zone(name, offset, is_dst=False)])


def load_location(run: Run, name: bytes) -> Location | None:
    """The location of the tz database's name; None if there is none of the name."""
    if name in (b"", b"UTC"):
        return UTC
    if name == b"Local":
        return LOCAL
    if (known := _known.get(name)) is not None:
        return known
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        return None
    run.spend(_READING_STEPS)
    for source in _sources(name.decode("ascii")):
        try:
            with source.open("rb") as file:
                location = parse_tzif(name, file.read(_LARGEST_FILE))
        except OSError:
            continue
        if location is not None:
            _known[name] = location
            return location
    return None


def _sources(name: str) -> Iterator[Traversable]:
    """Where the name's file may be."""
    for folder in zoneinfo.TZPATH:
        yield Path(folder, name)
    try:
        yield resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    except ModuleNotFoundError:
        return


def parse_tzif(name: bytes, data: bytes) -> Location | None:
    """The location that a file of the tz database describes; None if it is no such file."""
    try:
        return _parse_tzif(name, data)
    except (struct.error, IndexError, ValueError):
        return None


def _parse_tzif(name: bytes, data: bytes) -> Location | None:
    magic, version, *counts = _HEADER.unpack_from(data)
    if magic != b"TZif" or version not in b"\x00234":
        return None
    at, width = _HEADER.size, 4
    if version != b"\x00":
        # All that follows is there twice, the second time with 64 bits.
        at += _size(counts, width)
        counts, width = list(_HEADER.unpack_from(data, at)[2:]), 8
        at += _HEADER.size
    footer = data[at + _size(counts, width) :]
    _, _, _, times, types, letters = counts
    whens = struct.unpack_from(f">{times}{'q' if width == 8 else 'l'}", data, at)
    at += times * width
    indices = data[at : at + times]
    at += times
    kinds = list(struct.iter_unpack(">lBB", data[at : at + types * 6]))
    at += types * 6
    names = data[at : at + letters]
    zones = [Zone(names[start:].split(b"\x00", 1)[0], offset, dst != 0) for offset, dst, start in kinds]
    if not zones or len(indices) != times or any(index >= len(zones) for index in indices):
        return None
    rule = parse_rule(footer.strip(b"\n")) if footer[:1] == b"\n" else None
    return Location(name, zones, list(zip(whens, indices, strict=True)), rule)


def _size(counts: Sequence[int], width: int) -> int:
    """How many bytes follow a header with these counts."""
    utc, standard, leaps, times, types, letters = counts
    return times * (width + 1) + types * 6 + letters + leaps * (width + 4) + standard + utc


_ZONE = rb"(?:<([^>]*)>|([^<0-9,+-][^0-9,+-]{2,}))"
_OFFSET = rb"([+-]?\d+(?::\d+){0,2})"
_CHANGE = rb"(J\d+|M\d+\.\d+\.\d+|\d+)(?:/" + _OFFSET + rb")?"
_RULE: Final = re.compile(
    _ZONE + _OFFSET + rb"(?:" + _ZONE + _OFFSET + rb"?(?:[,;]" + _CHANGE + rb"," + _CHANGE + rb")?)?"
)


def parse_rule(text: bytes) -> Rule | None:
    """The rule that a text such as `EST5EDT,M3.2.0,M11.1.0` is; None if it is none."""
    found = _RULE.fullmatch(text)
    if found is None:
        return None
    quoted, plain, west, quoted_summer, plain_summer, west_summer, *changes = found.groups()
    offset = -_seconds(west)
    standard = Zone(quoted if quoted is not None else plain, offset, is_dst=False)
    summer = None
    if quoted_summer is not None or plain_summer is not None:
        summer_offset = offset + _HOUR if west_summer is None else -_seconds(west_summer)
        summer = Zone(
            quoted_summer if quoted_summer is not None else plain_summer, summer_offset, is_dst=True
        )
    begin, begin_time, end, end_time = changes
    return Rule(
        standard, summer, _change(begin or b"M3.2.0", begin_time), _change(end or b"M11.1.0", end_time)
    )


def _seconds(text: bytes) -> int:
    hours, minutes, seconds = ([int(part) for part in text.lstrip(b"+-").split(b":")] + [0, 0])[:3]
    total = hours * _HOUR + minutes * 60 + seconds
    return -total if text.startswith(b"-") else total


def _change(text: bytes, time: bytes | None) -> _Change:
    seconds = 2 * _HOUR if time is None else _seconds(time)
    if text.startswith(b"M"):
        month, week, day = (int(part) for part in text[1:].split(b"."))
        return _Change(b"M", month, week, day, seconds)
    if text.startswith(b"J"):
        return _Change(b"J", 0, 0, int(text[1:]), seconds)
    return _Change(b"", 0, 0, int(text), seconds)


methods: Final = FunctionGroup("Methods of time.Location")
STRINGERS[Location] = lambda location: location.name
METHODS[Location] = methods.functions


@methods.add("String", "func() string")
def _string(_run: Run, location: Location) -> bytes:
    """The location's name, such as UTC."""
    return location.name
