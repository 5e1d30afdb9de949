"""Go's durations: read, printed, rounded, counted."""

from __future__ import annotations

import pytest

from keyferry.gotemplate.budget import Limits, Run
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions.dates import date_modify, duration, duration_round, must_date_modify
from keyferry.gotemplate.times.goduration import METHODS, Duration, duration_text, parse_duration
from keyferry.gotemplate.times.gotime import ZERO, from_unix
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64, Int64
from keyferry.testing.leaks import canary

HOUR = 3_600_000_000_000


@pytest.fixture
def run():
    return Run(Limits(), now_ns=1_000_000_000_000_000_000, monotonic=lambda: 0.0, random_bytes=bytes)


def call(method, receiver, *arguments):
    return METHODS[Duration][method].call(None, receiver, *arguments)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"0", 0),
        (b"-0", 0),
        (b"0s", 0),
        (b"1h", HOUR),
        (b"+5.s", 5_000_000_000),
        (b".5s", 500_000_000),
        (b"-1h30m", -5_400_000_000_000),
        (b"1.5h1.5m", 5_490_000_000_000),
        (b"3ns2us1ms", 1_002_003),
        ("7\u00b5s".encode(), 7_000),
        ("7\u03bcs".encode(), 7_000),
        (b"1s1h1s", HOUR + 2_000_000_000),
        (b"0.3333333333333333333h", 1_200_000_000_000),
        (b"0.9223372036854775807h", 3_320_413_933_267),
        (b"0.9223372036854775809h", 3_320_413_933_267),
        pytest.param(b"0.100000000000000000000h", 360_000_000_000, id="more digits than are counted"),
        pytest.param(b"0." + b"0" * 400 + b"9h", 0, id="a scale beyond all floats"),
        pytest.param(b"0" * 5_000 + b"1ns", 1, id="many zeros"),
        (b"9223372036854775807ns", MAX_INT64),
        (b"-9223372036854775808ns", MIN_INT64),
        (b"-9223372036.854775808s", MIN_INT64),
        (b"2562047h47m16.854775807s", MAX_INT64),
    ],
)
def test_durations_are_read_as_go_reads_them(text, nanoseconds):
    assert parse_duration(text) == nanoseconds
    assert type(parse_duration(text)) is Duration


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "invalid duration"),
        (b"-", "invalid duration"),
        (b"h", "invalid duration"),
        (b".h", "invalid duration"),
        (b"--1h", "invalid duration"),
        (b" 1h", "invalid duration"),
        (b"1h.", "invalid duration"),
        (b"3", "missing unit in duration"),
        (b"1h2", "missing unit in duration"),
        (b"1d", "unknown unit in duration"),
        (b"1 h", "unknown unit in duration"),
        (b"1h m", "unknown unit in duration"),
        (b"1H", "unknown unit in duration"),
        (b"9223372036854775808ns", "invalid duration"),
        (b"-9223372036854775809ns", "invalid duration"),
        (b"9223372036854775.808us", "invalid duration"),
        (b"2562048h", "invalid duration"),
        (b"-9223372036854775.809us", "invalid duration"),
        (b"-9223372036854775807ns9223372036854775807ns", "invalid duration"),
        (b"9223372036854775807ns1ns", "invalid duration"),
        pytest.param(b"9" * 10_000 + b"h", "invalid duration", id="more digits than Python converts"),
    ],
)
def test_what_is_no_duration_is_refused(text, why):
    with pytest.raises(FunctionError) as refused:
        parse_duration(text)

    assert str(refused.value) == f"time: {why}"


@pytest.mark.parametrize("shape", [b"%s", b"1%s", b"1h%s", b"-%sh"])
def test_a_refusal_shows_nothing_of_the_text(run, shape):
    secret = canary("duration")

    with pytest.raises(FunctionError) as refused:
        must_date_modify(run, shape % secret.encode(), ZERO)

    assert secret[-8:] not in str(refused.value)
    assert len(str(refused.value)) < 40


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (-999, "-999ns"),
        (1_000, "1\u00b5s"),
        (1_100, "1.1\u00b5s"),
        (2_200_000, "2.2ms"),
        (999_999_999, "999.999999ms"),
        (1_000_000_000, "1s"),
        (60_000_000_000, "1m0s"),
        (3_300_000_000_000, "55m0s"),
        (HOUR + 5_001_000_000, "1h0m5.001s"),
        (-100 * HOUR, "-100h0m0s"),
        (MAX_INT64, "2562047h47m16.854775807s"),
        (MIN_INT64, "-2562047h47m16.854775808s"),
    ],
)
def test_durations_print_as_in_go(nanoseconds, text):
    assert duration_text(nanoseconds).decode() == text
    assert parse_duration(text.encode()) == nanoseconds


@pytest.mark.parametrize(
    ("nanoseconds", "unit", "rounded", "truncated"),
    [
        (1_500, 1_000, 2_000, 1_000),
        (-1_500, 1_000, -2_000, -1_000),
        (1_499, 1_000, 1_000, 1_000),
        (7, 5, 5, 5),
        (-8, 5, -10, -5),
        (7, 0, 7, 7),
        (7, -5, 7, 7),
        (MAX_INT64, 10, MAX_INT64, MAX_INT64 - 7),
        (MIN_INT64, 10, MIN_INT64, MIN_INT64 + 8),
        (MIN_INT64, HOUR, MIN_INT64, -2_562_047 * HOUR),
        (MAX_INT64, MAX_INT64, MAX_INT64, MAX_INT64),
    ],
)
def test_durations_are_rounded_half_away_from_zero(nanoseconds, unit, rounded, truncated):
    assert call("Round", Duration(nanoseconds), unit) == rounded
    assert call("Truncate", Duration(nanoseconds), unit) == truncated


def test_durations_are_counted_in_every_unit():
    length = Duration(-5_400_000_000_001)

    counted = {name: call(name, length) for name in METHODS[Duration] if name not in {"Round", "Truncate"}}

    assert counted == {
        "String": b"-1h30m0.000000001s",
        "Abs": 5_400_000_000_001,
        "Hours": -1.5000000000002778,
        "Minutes": -90.00000000001667,
        "Seconds": -5400.000000001,
        "Milliseconds": -5_400_000,
        "Microseconds": -5_400_000_000,
        "Nanoseconds": -5_400_000_000_001,
    }
    assert type(counted["Milliseconds"]) is Int64


def test_the_smallest_duration_has_no_opposite():
    assert call("Abs", Duration(MIN_INT64)) == MAX_INT64


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (b"95", "1m35s"),
        (b"-3661", "-1h1m1s"),
        (Int64(3661), "1h1m1s"),
        (b"1.5", "0s"),
        (b"", "0s"),
        (b"1_000", "0s"),
        (b"9223372036854775807", "-1s"),
        (b"-9223372036854775808", "0s"),
        pytest.param(b"99999999999999999999x", "-1s", id="too large before it is no number"),
        pytest.param(b"-" + b"9" * 10_000, "0s", id="more digits than Python converts"),
        pytest.param(b"0" * 10_000 + b"7", "7s", id="many zeros"),
        pytest.param(95, "0s", id="an int is none of Sprig's kinds"),
        (95.0, "0s"),
        (None, "0s"),
        (Duration(95), "0s"),
    ],
)
def test_seconds_are_written_as_a_duration(run, seconds, text):
    assert duration(run, seconds).decode() == text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (b"2h10m5s", "2h"),
        (b"1h", "60m"),
        (b"1h0m0.1s", "1h"),
        (b"-90m", "1h"),
        (b"1.5s", "1s"),
        (b"1s", "0s"),
        (b"9000h", "1y"),
        (b"8760h", "12mo"),
        (b"800h", "1mo"),
        (b"49h", "2d"),
        (b"x", "0s"),
        (Int64(90_000_000_000), "1m"),
        (Int64(MIN_INT64), "292y"),
        (90_000_000_000, "0s"),
        (Duration(90_000_000_000), "0s"),
        pytest.param(from_unix(1_000_000_000 - 7_300), "2h", id="since a time"),
        pytest.param(from_unix(1_000_000_000 + 7_300), "2h", id="until a time"),
        pytest.param(ZERO, "292y", id="longer than a duration can be"),
    ],
)
def test_a_duration_is_rounded_to_its_largest_unit(run, length, text):
    assert duration_round(run, length).decode() == text


def test_a_time_stays_as_it_is_where_the_duration_is_none(run):
    moment = from_unix(7)

    assert date_modify(run, b"1d", moment) is moment


def test_a_duration_of_very_many_pieces_is_refused_at_once(new_run, ends_soon):
    def work():
        with pytest.raises(Exhausted):
            must_date_modify(new_run(), b"0h" * 1_000_000, ZERO)

    ends_soon(work)
