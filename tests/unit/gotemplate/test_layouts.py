"""Layouts of Go's package time: how times are written and read."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.times.golayout import RFC3339_NANO, format_time, time_text
from keyferry.gotemplate.times.goparsetime import parse_time
from keyferry.gotemplate.times.gotime import Time, from_unix
from keyferry.gotemplate.times.gozone import (
    LOCAL,
    UTC,
    Location,
    fixed_zone,
    load_location,
    parse_rule,
    parse_tzif,
)
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64
from keyferry.testing.leaks import canary


def a_run():
    return Run(Limits(), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)


def a_zone(name):
    location = load_location(a_run(), name.encode())
    assert location is not None
    return location


def read(layout, value):
    return parse_time(a_run(), layout.encode(), value.encode())


def shown(moment):
    return time_text(moment).decode()


MOMENT = Time(63_844_794_672, 120_000_000, fixed_zone(b"", 7_200))
"""2024-02-29 11:11:12.12, a Thursday, two hours east."""


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02T15:04:05Z07:00", "2024-02-29T11:11:12+02:00"),
        ("Mon Jan _2 15:04:05 2006", "Thu Feb 29 11:11:12 2024"),
        ("Monday, 02-Jan-06 03:04:05PM", "Thursday, 29-Feb-24 11:11:12AM"),
        ("January 2, 3:4:5 pm", "February 29, 11:11:12 am"),
        ("1 01 002 __2 _2", "2 02 060  60 29"),
        ("_2006 __2006 20060 02006", "_2024  60024 20240 29024"),
        ("Month Janet Janx Jan. MonMST", "Month Janet Janx Feb. Thu+0200"),
        (".0 .00 .000000000 .0000000000", ".1 .12 .120000000 .120000000"),
        (".9 ,99 ,999 .999999999999", ".1 ,12 ,12 .12"),
        ("5.0005 5.95 .0a", "12.0012 12.912 .1a"),
        ("Z07 Z0700 Z070000 Z07:00:00 Z", "+02 +0200 +020000 +02:00:00 Z"),
        ("-07 -0700 -070000 -07:00:00 -07:0 -06", "+02 +0200 +020000 +02:00:00 +02:0 -24"),
        ("15 3 03 4 04 5 05 PM P p", "11 11 11 11 11 12 12 AM P p"),
        ("", ""),
        ("\u00e9 text", "\u00e9 text"),
    ],
)
def test_times_are_written_after_the_layout(layout, text):
    assert format_time(a_run(), MOMENT, layout.encode()).decode() == text


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (0, "Z Z Z +00 +0000"),
        (3_600, "+01 +01:00 +01:00:00 +01 +0100"),
        (-12_600, "-03 -03:30 -03:30:00 -03 -0330"),
        (-2_588, "-00 -00:43 -00:43:08 -00 -0043"),
        pytest.param(-30, "+00 +00:00 +00:00:-30 +00 +0000", id="Go loses the sign below a minute"),
        (90_000, "+25 +25:00 +25:00:00 +25 +2500"),
    ],
)
def test_offsets_are_written_as_in_go(offset, text):
    moment = Time(0, 0, fixed_zone(b"", offset))

    assert time_text(moment, b"Z07 Z07:00 Z07:00:00 -07 -0700").decode() == text


@pytest.mark.parametrize(
    ("unix", "text"),
    [
        (0, "1970-01-01 00:00:00 +0000 UTC"),
        (-62_135_596_801, "0000-12-31 23:59:59 +0000 UTC"),
        (-62_167_219_201, "-0001-12-31 23:59:59 +0000 UTC"),
        (253_402_300_800, "10000-01-01 00:00:00 +0000 UTC"),
        pytest.param(MAX_INT64 - 62_135_596_800, "292277024627-12-06 15:30:07 +0000 UTC", id="latest"),
        pytest.param(MAX_INT64, "292277026596-12-04 15:30:07 +0000 UTC", id="wrapped around"),
        pytest.param(MIN_INT64, "292277026596-12-04 15:30:08 +0000 UTC", id="where the wrapped ones begin"),
    ],
)
def test_years_of_any_size_are_shown(unix, text):
    assert shown(from_unix(unix)) == text


@pytest.mark.parametrize(
    ("zone", "unix", "text"),
    [
        ("Europe/Berlin", 1_711_846_799, "2024-03-31 01:59:59 +0100 CET"),
        ("Europe/Berlin", 1_711_846_800, "2024-03-31 03:00:00 +0200 CEST"),
        ("America/New_York", 1_730_613_600, "2024-11-03 01:00:00 -0500 EST"),
        ("Asia/Kathmandu", 0, "1970-01-01 05:30:00 +0530 +0530"),
        ("Africa/Monrovia", 0, "1969-12-31 23:15:30 -0044 MMT"),
        ("Europe/Dublin", 1_720_000_000, "2024-07-03 10:46:40 +0100 IST"),
        ("Australia/Lord_Howe", 1_704_067_200, "2024-01-01 11:00:00 +1100 +11"),
        pytest.param(
            "Europe/Berlin", -10_000_000_000, "1653-02-10 07:06:48 +0053 LMT", id="before the first change"
        ),
        pytest.param("Europe/Berlin", 10_000_000_000, "2286-11-20 18:46:40 +0100 CET", id="by the rule"),
        pytest.param(
            "Australia/Sydney", 9_980_000_000, "2286-04-03 17:13:20 +1100 AEDT", id="by the rule, south"
        ),
        pytest.param(
            "America/New_York", 253_420_000_000, "10000-07-23 16:26:40 -0400 EDT", id="beyond Python's years"
        ),
        ("Etc/GMT+5", 0, "1969-12-31 19:00:00 -0500 -05"),
    ],
)
def test_zones_are_those_of_the_database(zone, unix, text):
    assert shown(from_unix(unix, a_zone(zone))) == text


@pytest.mark.parametrize(
    "name",
    [
        "Nowhere/None",
        "../etc/passwd",
        "/etc/passwd",
        "Europe/../Europe/Berlin",
        "Europe",
        "Europe/",
        "localtime",
        "posixrules",
        "zone.tab",
        "europe/berlin\x00",
        "\u00c9urope",
        "A" * 1_000,
    ],
)
def test_no_other_file_is_taken_for_a_zone(name):
    assert load_location(a_run(), name.encode()) is None


def test_zones_that_are_named_by_words_are_utc():
    assert [load_location(a_run(), name) for name in (b"", b"UTC", b"Local")] == [UTC, UTC, LOCAL]
    assert LOCAL.name == b"UTC"


@pytest.mark.parametrize(
    "data", [b"", b"TZif", b"TZif2" + bytes(39), b"TZif2" + b"\xff" * 200, b"PK" + bytes(100)]
)
def test_a_file_that_is_no_zone_is_none(data):
    assert parse_tzif(b"Europe/Berlin", data) is None


def tzif(zones, changes, footer=b""):
    """A file of the database in its first form, or in its second where it has a footer."""
    names = b"".join(name + b"\0" for name, _, _ in zones)
    starts = [names.index(name + b"\0") for name, _, _ in zones]
    kinds = b"".join(
        struct.pack(">lBB", offset, dst, start) for (_, offset, dst), start in zip(zones, starts, strict=True)
    )
    counts = struct.pack(">6l", 0, 0, 0, len(changes), len(zones), len(names))
    body = bytes(index for _, index in changes) + kinds + names
    old = counts + b"".join(struct.pack(">l", when) for when, _ in changes) + body
    if not footer:
        return b"TZif" + bytes(16) + old
    new = counts + b"".join(struct.pack(">q", when) for when, _ in changes) + body
    return b"TZif2" + bytes(15) + old + b"TZif2" + bytes(15) + new + footer


WINTER, SUMMER, WAR = (b"WIN", 3_600, 0), (b"SUM", 7_200, 1), (b"WAR", 10_800, 1)


@pytest.mark.parametrize(
    ("data", "first", "last"),
    [
        pytest.param(tzif([WINTER], []), b"WIN", b"WIN", id="fixed"),
        pytest.param(tzif([WAR, SUMMER], [(0, 1)]), b"WAR", b"SUM", id="the first is used by no change"),
        pytest.param(tzif([WINTER, SUMMER], [(0, 1), (9, 0)]), b"WIN", b"WIN", id="standard before summer"),
        pytest.param(tzif([WAR, SUMMER, WINTER], [(0, 1), (9, 0)]), b"WIN", b"WAR", id="any standard"),
        pytest.param(tzif([WAR, SUMMER], [(0, 1), (9, 0)]), b"WAR", b"WAR", id="no standard at all"),
        pytest.param(tzif([WINTER], [(0, 0)], b"\nABC0\n"), b"WIN", b"ABC", id="rule"),
        pytest.param(tzif([WINTER], [(0, 0)], b"\nnone\n"), b"WIN", b"WIN", id="a footer that is no rule"),
    ],
)
def test_what_was_before_the_first_change_and_is_after_the_last_follows_go(data, first, last):
    location = parse_tzif(b"Test", data)
    assert location is not None

    assert location.lookup(-1).name == first
    assert location.lookup(10).name == last
    assert location.lookup(-1).start == MIN_INT64
    assert location.lookup(10).end == MAX_INT64


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(tzif([], []), id="no zone"),
        pytest.param(tzif([WINTER], [(0, 1)]), id="a change to no zone"),
        pytest.param(tzif([WINTER, SUMMER], [(0, 1)])[:-12], id="cut off"),
    ],
)
def test_a_broken_zone_is_none(data):
    assert parse_tzif(b"Test", data) is None


@pytest.mark.parametrize(
    ("rule", "unix", "expected"),
    [
        ("EST5EDT", 1_720_000_000, (b"EDT", -14_400, True)),
        ("EST5EDT4,M3.2.0,M11.1.0", 1_735_000_000, (b"EST", -18_000, False)),
        ("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1_720_000_000, (b"-01", -3_600, True)),
        ("IST-1GMT0,M10.5.0,M3.5.0/1", 1_704_067_200, (b"GMT", 0, True)),
        ("AAA3BBB,J60/0,J300/0", 1_709_251_200 + 10_800, (b"BBB", -7_200, True)),
        ("AAA3BBB,J60/0,J300/0", 1_709_251_200 + 10_799, (b"AAA", -10_800, False)),
        ("AAA3BBB,59/0,299/0", 1_709_164_800 + 10_800, (b"BBB", -7_200, True)),
        ("UTC0", 1_720_000_000, (b"UTC", 0, False)),
    ],
)
def test_rules_go_on_for_ever(rule, unix, expected):
    found = parse_rule(rule.encode())
    assert found is not None

    now = found.at(0, unix)

    assert (now.name, now.offset, now.is_dst) == expected
    assert now.start <= unix < now.end


@pytest.mark.parametrize("rule", [b"", b"E5", b"EST", b"EST5EDT,M3.2.0", b"EST5EDT,M3.2,M11.1.0", b"<EST5"])
def test_what_is_no_rule_is_none(rule):
    assert parse_rule(rule) is None


@pytest.mark.parametrize(
    ("layout", "value", "text"),
    [
        ("2006-01-02T15:04:05Z07:00", "2024-02-29T10:11:12Z", "2024-02-29 10:11:12 +0000 UTC"),
        ("2006-01-02T15:04:05Z07:00", "2024-02-29T10:11:12.5-03:30", "2024-02-29 10:11:12.5 -0330 -0330"),
        (
            "2006-01-02 15:04:05",
            "2024-02-29   10:11:12,123456789012",
            "2024-02-29 10:11:12.123456789 +0000 UTC",
        ),
        ("02 Jan 06 15:04 MST", "01 sep 68 10:11 CEST", "2068-09-01 10:11:00 +0000 CEST"),
        ("02 Jan 06 15:04 MST", "01 SEP 69 10:11 GMT+3", "1969-09-01 13:11:00 +0300 GMT+3"),
        ("Monday, 02-Jan-06 15:04:05 MST", "Friday, 01-Jan-21 00:00:00 UTC", "2021-01-01 00:00:00 +0000 UTC"),
        ("15:04 MST -0700", "10:00 CET +0100", "0000-01-01 10:00:00 +0100 CET"),
        ("3:04PM", "12:30AM", "0000-01-01 00:30:00 +0000 UTC"),
        ("3:04pm", "12:30pm", "0000-01-01 12:30:00 +0000 UTC"),
        ("2006 002", "2024 060", "2024-02-29 00:00:00 +0000 UTC"),
        ("2006 002", "2024 366", "2024-12-31 00:00:00 +0000 UTC"),
        ("3 PM", "11 PM", "0000-01-01 23:00:00 +0000 UTC"),
        ("2006 __2", "2023  60", "2023-03-01 00:00:00 +0000 UTC"),
        ("Jan _2 15:04:05.000", "Feb  3 10:11:12.345", "0000-02-03 10:11:12.345 +0000 UTC"),
        ("5.000", "7.+12", "0000-01-01 00:00:07.012 +0000 UTC"),
        ("5 .999", "7 ", "0000-01-01 00:00:07 +0000 UTC"),
        ("-07:00:00", "-00:43:08", "0000-01-01 00:00:00 -0043 -0043"),
        pytest.param(
            "-07:00:00", "-00:00:01", "0000-01-01 00:00:00 +0000 UTC", id="an offset Go takes for none"
        ),
        ("-0700", "+2460", "0000-01-01 00:00:00 +2500 +2500"),
        ("MST", "+03", "0000-01-01 00:00:00 +0000 +03"),
        pytest.param(
            "MST",
            "GMT+" + "0" * 9_000 + "2",
            f"0000-01-01 02:00:00 +0200 GMT+{0:09000}2",
            id="a name of many zeros",
        ),
        ("06", "-5", "1995-01-01 00:00:00 +0000 UTC"),
        ("", "", "0000-01-01 00:00:00 +0000 UTC"),
        ("  a ", " a    ", "0000-01-01 00:00:00 +0000 UTC"),
    ],
)
def test_times_are_read_after_the_layout(layout, value, text):
    assert shown(read(layout, value)) == text


@pytest.mark.parametrize(
    ("value", "location", "unix"),
    [
        ("2024-01-01T00:00:00Z", UTC, 1_704_067_200),
        ("2024-01-01T00:00:00+00:00", LOCAL, 1_704_067_200),
        ("2024-01-01T00:00:00-00:00", LOCAL, 1_704_067_200),
        ("2024-01-01T00:00:00+01:00", fixed_zone(b"", 3_600), 1_704_063_600),
    ],
)
def test_a_time_is_in_the_location_that_go_puts_it_in(value, location, unix):
    moment = read("2006-01-02T15:04:05Z07:00", value)

    assert moment.location is location
    assert moment.unix == unix


@pytest.mark.parametrize(
    ("layout", "value", "why"),
    [
        ("2006", "x", 'cannot parse as "2006"'),
        ("2006", "202", 'cannot parse as "2006"'),
        ("2006", "+024", 'cannot parse as "2006"'),
        ("06", "1", 'cannot parse as "06"'),
        ("06", "xx", 'cannot parse as "06"'),
        ("2006 01", "2024-01", 'the value differs from the layout before "01"'),
        ("05.0", "07:1", 'cannot parse as ".0"'),
        ("05.00", "07.x1", 'cannot parse as ".00"'),
        ("01", "1", 'cannot parse as "01"'),
        ("01", "13", "month out of range"),
        ("Jan", "jax", 'cannot parse as "Jan"'),
        ("January", "Jan", 'cannot parse as "January"'),
        ("Monday", "Mon", 'cannot parse as "Monday"'),
        ("15", "24", "hour out of range"),
        ("3", "13", "hour out of range"),
        ("04", "60", "minute out of range"),
        ("05", "60", "second out of range"),
        ("05.000", "07.12", 'cannot parse as ".000"'),
        ("05.000", "07.-12", "fractional second out of range"),
        ("PM", "pm", 'cannot parse as "PM"'),
        ("pm", "xm", 'cannot parse as "pm"'),
        ("Z07:00", "+0100", 'cannot parse as "Z07:00"'),
        ("Z07:00", "+01.00", 'cannot parse as "Z07:00"'),
        ("Z07:00", " 01:00", 'cannot parse as "Z07:00"'),
        ("Z07:00", "+25:00", "time zone offset hour out of range"),
        ("-0700", "+2361", "time zone offset minute out of range"),
        ("-070000", "+256161", "time zone offset second out of range"),
        ("-070000", "+xx6100", 'cannot parse as "-070000"'),
        ("MST", "+3", 'cannot parse as "MST"'),
        ("MST", "+24 ", 'cannot parse as "MST"'),
        ("MST", "ABCDEF", 'cannot parse as "MST"'),
        ("MST", "ABCD", 'cannot parse as "MST"'),
        ("2006-01-02", "2023-02-29", "day out of range"),
        ("2006-01-02", "2024-04-31", "day out of range"),
        ("2006-01-02", "2024-01-00", "day out of range"),
        ("2006 002", "2023 366", "day-of-year out of range"),
        ("2006 002", "2023 000", "day-of-year out of range"),
        ("2006-01 002", "2023-02 060", "day-of-year does not match month"),
        ("2006-01-02 002", "2023-03-02 060", "day-of-year does not match day"),
        ("2006-01", "2024/01", 'the value differs from the layout before "01"'),
        ("2006 x", "2024 y", "the value differs from the layout at the end"),
        ("2006", "2024 ", "extra text"),
        pytest.param("." + "0" * 50, "x", 'cannot parse as ".000000000"', id="a long element is cut"),
    ],
)
def test_what_is_no_time_is_refused(layout, value, why):
    with pytest.raises(FunctionError) as refused:
        read(layout, value)

    assert str(refused.value) == f"parsing time: {why}"


@pytest.mark.parametrize(
    ("layout", "value"),
    [
        ("2006-01-02", "{}"),
        ("2006-01-02", "2024{}"),
        ("2006", "2024{}"),
        ("{}", "2024"),
        ("2006{}", "2024"),
        ("{}2006", "{}x"),
    ],
)
def test_a_refusal_shows_nothing_of_value_or_layout(layout, value):
    """Canaries are of letters that no element of a layout begins with, or short of one."""
    secret = canary("time").replace("0", "8").replace("1", "8").replace("2", "8").lower()

    with pytest.raises(FunctionError) as refused:
        read(layout.replace("{}", secret), value.replace("{}", secret))

    assert not any(secret[at : at + 6] in str(refused.value) for at in range(len(secret) - 6))


@given(
    seconds=st.integers(-62_135_596_800, 253_402_300_799),
    nanoseconds=st.integers(0, 999_999_999),
    offset=st.integers(-23 * 60, 23 * 60),
)
def test_what_is_written_is_read_again(seconds, nanoseconds, offset):
    moment = from_unix(seconds, fixed_zone(b"", offset * 60) if offset else LOCAL, nanoseconds)
    if not 0 <= moment.date()[0] <= 9_999:
        return

    again = parse_time(a_run(), RFC3339_NANO, time_text(moment, RFC3339_NANO))

    assert again.instant == moment.instant
    assert again.zone().offset == moment.zone().offset


@pytest.mark.parametrize("element", [b"2", b"MST", b"Jan", b".0", b" ", b"x", b".9999", b"Z07:00:00", b"5.9"])
@pytest.mark.parametrize("size", [100_000, 16_000_000])
def test_long_layouts_are_written_and_read_in_time_or_refused(element, size, ends_soon):
    layout = element * (size // len(element))

    def write():
        with contextlib.suppress(Exhausted, FunctionError):
            format_time(a_run(), MOMENT, layout)

    def read():
        with contextlib.suppress(Exhausted, FunctionError):
            parse_time(a_run(), layout, layout)

    ends_soon(write)
    ends_soon(read)


def test_a_long_zone_name_is_paid_for_as_often_as_it_is_written():
    moment = read("MST", "GMT+" + "0" * 1_000_000 + "3")

    with pytest.raises(Exhausted):
        format_time(a_run(), moment, b"MST" * 1_000)


def test_locations_are_equal_where_go_calls_them_deeply_equal():
    first, second = fixed_zone(b"CET", 3_600), fixed_zone(b"CET", 3_600)

    assert first is not second
    assert first.same_as(second)
    assert not first.same_as(fixed_zone(b"CET", 7_200))
    assert not UTC.same_as(LOCAL)
    assert not UTC.same_as(Location(b"UTC", UTC._zones))
    assert fixed_zone(b"", 3_600) is fixed_zone(b"", 3_600)
