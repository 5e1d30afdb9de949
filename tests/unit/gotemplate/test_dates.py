"""Sprig's functions of dates, and the methods of time.Time."""

from __future__ import annotations

import json
import sys
import zoneinfo
from datetime import UTC as PYTHON_UTC
from datetime import datetime
from pathlib import Path

import pytest

from keyferry.gotemplate import ExecError, Limits, Run, parse, to_go
from keyferry.gotemplate.errors import Exhausted, FunctionError
from keyferry.gotemplate.functions import dates
from keyferry.gotemplate.objects import METHODS, STRINGERS
from keyferry.gotemplate.serial.gojson import MARSHALERS
from keyferry.gotemplate.times.gocalendar import civil, days_of
from keyferry.gotemplate.times.gotime import Month, Time, Weekday, from_unix
from keyferry.gotemplate.times.gozone import LOCAL, UTC, Location, fixed_zone, load_location
from keyferry.gotemplate.values import MAX_INT64, MIN_INT64, Int32, Int64, kind_of, type_of
from keyferry.testing.leaks import canary

NOW_NS = 1_709_212_455_120_000_000
"""2024-02-29 13:14:15.12 UTC."""


@pytest.fixture
def run():
    return Run(Limits(), now_ns=NOW_NS, monotonic=lambda: 0.0, random_bytes=bytes)


@pytest.fixture
def render(run):
    def rendered(text, **data):
        return parse("t", text).render(to_go(data), run).decode()

    return rendered


def call(run, method, receiver, *arguments):
    return METHODS[type(receiver)][method].call(run, receiver, *arguments)


def berlin(run, unix, nanoseconds=0):
    location = load_location(run, b"Europe/Berlin")
    assert location is not None
    return from_unix(unix, location, nanoseconds)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ now }}", "2024-02-29 13:14:15.12 +0000 UTC"),
        ("{{ now.Unix }} {{ now | unixEpoch }}", "1709212455 1709212455"),
        ('{{ now | date "2006-01-02" }}', "2024-02-29"),
        ('{{ date "2006-01-02 15:04:05" 0 }}', "1970-01-01 00:00:00"),
        ('{{ dateInZone "15:04 MST" 0 "Europe/Berlin" }}', "01:00 CET"),
        ('{{ date_in_zone "15:04 MST" 0 "Nowhere/None" }}', "00:00 UTC"),
        ('{{ dateInZone "15:04 MST" 0 "Local" }}', "00:00 UTC"),
        ('{{ htmlDate 86400 }} {{ htmlDateInZone 0 "America/New_York" }}', "1970-01-02 1969-12-31"),
        ('{{ date "2006" "no time" }} {{ htmlDate nil }}', "2024 2024-02-29"),
        ('{{ now | dateModify "-1.5h" }}', "2024-02-29 11:44:15.12 +0000 UTC"),
        ('{{ now | date_modify "1d" | unixEpoch }}', "1709212455"),
        ('{{ (now | mustDateModify "24h").Day }}', "1"),
        ('{{ toDate "2006-01-02" "2024-02-29" | unixEpoch }}', "1709164800"),
        ('{{ toDate "2006-01-02" "x" }}', "0001-01-01 00:00:00 +0000 UTC"),
        ('{{ mustToDate "2006" "2024" | date "Jan" }}', "Jan"),
        ("{{ ago 1709205248 }} {{ ago now }} {{ ago nil }}", "2h0m7s 0s 0s"),
        ("{{ (now.AddDate 1 0 0).Month }} {{ now.Weekday }}", "March Thursday"),
        ("{{ now.Month | int }} {{ add now.Month 1 }}", "2 3"),
        ("{{ (now.Add 3600000000000).Hour }}", "14"),
        ("{{ now.Sub (now.AddDate 0 -1 0) }}", "744h0m0s"),
        ('{{ printf "%v %d %s" now.Month now.Month now.Location }}', "February 2 UTC"),
        ('{{ printf "%#v" now }}', "time.Date(2024, time.February, 29, 13, 14, 15, 120000000, time.Local)"),
        ("{{ toJson (list now now.Month (now.Sub now)) }}", '["2024-02-29T13:14:15.12Z",2,0]'),
        ("{{ eq now now }} {{ eq now now.UTC }} {{ now.Equal now.UTC }}", "true false true"),
        ("{{ deepEqual now.UTC now.UTC }} {{ deepEqual now now.UTC }}", "true false"),
        (
            '{{ $a := toDate "MST" "CET" }}{{ $b := toDate "MST" "CET" }}{{ deepEqual $a $b }} {{ eq $a $b }}',
            "true false",
        ),
        ("{{ if now }}yes{{ end }}{{ if now.Location }}yes{{ end }}", "yesyes"),
    ],
)
def test_templates_work_with_dates_as_in_go(render, template, text):
    assert render(template) == text


@pytest.mark.parametrize(
    "template",
    [
        '{{ .secret | mustToDate "2006" }}',
        "{{ mustToDate .secret .secret | unixEpoch }}{{ fail .empty }}",
        "{{ now | mustDateModify .secret }}",
        '{{ dateModify "1h" .secret }}',
        "{{ now.In .secret }}",
    ],
)
def test_no_failure_shows_a_value(render, template):
    secret = canary("date")

    with pytest.raises(ExecError) as failed:
        render(template, secret=secret, empty="")

    assert secret not in str(failed.value)


@pytest.mark.parametrize(
    ("value", "year"),
    [
        (0, b"1970"),
        (Int64(0), b"1970"),
        (Int32(-1), b"1969"),
        (from_unix(-1), b"1969"),
        pytest.param(0.0, b"2024", id="a float means now"),
        pytest.param(b"0", b"2024", id="a text means now"),
        pytest.param(True, b"2024", id="a bool means now"),
        pytest.param(Month(1), b"2024", id="a month means now"),
        (MAX_INT64, b"292277026596"),
        (MIN_INT64, b"292277026596"),
    ],
)
def test_seconds_of_three_types_are_dates(run, value, year):
    assert dates.date(run, b"2006", value) == year


def test_ago_takes_an_int32_for_now(run):
    """Unlike date, as in Sprig."""
    assert dates.ago(run, Int32(0)) == b"0s"
    assert dates.ago(run, Int64(0)) == b"474781h14m15s"


def test_ago_ends_where_durations_end(run):
    assert dates.ago(run, Time()) == b"2562047h47m16.854775807s"
    assert dates.ago(run, MAX_INT64) == b"2562047h47m16.854775807s"


@pytest.mark.parametrize(
    ("method", "arguments", "expected"),
    [
        ("Year", (), 2024),
        ("Month", (), 3),
        ("Day", (), 31),
        ("YearDay", (), 91),
        ("Weekday", (), 0),
        ("Hour", (), 3),
        ("Minute", (), 0),
        ("Second", (), 0),
        ("Nanosecond", (), 1),
        ("Unix", (), 1_711_846_800),
        ("UnixMilli", (), 1_711_846_800_000),
        ("UnixMicro", (), 1_711_846_800_000_000),
        ("UnixNano", (), 1_711_846_800_000_000_001),
        ("IsDST", (), True),
        ("IsZero", (), False),
        ("String", (), b"2024-03-31 03:00:00.000000001 +0200 CEST"),
        (
            "GoString",
            (),
            b'time.Date(2024, time.March, 31, 3, 0, 0, 1, time.Location("Europe/Berlin"))',
        ),
        ("Format", (b"Jan 2",), b"Mar 31"),
        ("AppendFormat", (b"at ", b"15"), b"at 03"),
        ("AppendFormat", (None, b"15"), b"03"),
        ("MarshalJSON", (), b'"2024-03-31T03:00:00.000000001+02:00"'),
        ("MarshalText", (), b"2024-03-31T03:00:00.000000001+02:00"),
        ("AppendText", (b"x",), b"x2024-03-31T03:00:00.000000001+02:00"),
        ("MarshalBinary", (), bytes.fromhex("01 0000000edd9aac90 00000001 0078")),
        ("GobEncode", (), bytes.fromhex("01 0000000edd9aac90 00000001 0078")),
        ("AppendBinary", (b"\xff",), bytes.fromhex("ff 01 0000000edd9aac90 00000001 0078")),
        ("After", (Time(),), True),
        ("Before", (Time(),), False),
        ("Compare", (Time(),), 1),
        ("Equal", (from_unix(1_711_846_800, UTC, 1),), True),
        ("Sub", (from_unix(1_711_846_801),), -999_999_999),
        ("Sub", (Time(),), MAX_INT64),
    ],
)
def test_methods_of_a_time_give_what_go_gives(run, method, arguments, expected):
    moment = berlin(run, 1_711_846_800, 1)

    assert call(run, method, moment, *arguments) == expected


@pytest.mark.parametrize(
    ("method", "arguments", "text"),
    [
        ("Add", (999_999_999_999,), "2024-03-31 03:16:39.999999999 +0200 CEST"),
        ("Add", (-1,), "2024-03-31 01:59:59.999999999 +0100 CET"),
        ("Add", (MIN_INT64,), "1731-12-21 02:06:11.145224192 +0053 LMT"),
        ("AddDate", (0, 0, -1), "2024-03-30 03:00:00 +0100 CET"),
        ("AddDate", (0, -1, 0), "2024-03-02 03:00:00 +0100 CET"),
        ("AddDate", (1, -13, 400), "2025-04-06 03:00:00 +0200 CEST"),
        ("Round", (5_400_000_000_000,), "2024-03-31 03:30:00 +0200 CEST"),
        ("Round", (7_200_000_000_001,), "2024-03-31 01:00:00.0088677 +0100 CET"),
        ("Truncate", (86_400_000_000_000,), "2024-03-31 01:00:00 +0100 CET"),
        ("Round", (-1,), "2024-03-31 03:00:00 +0200 CEST"),
        ("UTC", (), "2024-03-31 01:00:00 +0000 UTC"),
        ("Local", (), "2024-03-31 01:00:00 +0000 UTC"),
        ("In", (fixed_zone(b"X", -3_600),), "2024-03-31 00:00:00 -0100 X"),
    ],
)
def test_methods_that_make_other_times_give_what_go_gives(run, method, arguments, text):
    moment = call(run, method, berlin(run, 1_711_846_800), *arguments)

    assert STRINGERS[Time](moment).decode() == text


def test_an_hour_that_clocks_skip_or_show_twice_is_the_one_that_go_takes(run):
    skipped = call(run, "AddDate", berlin(run, 1_711_846_800 - 85_500), 0, 0, 1)
    twice = call(run, "AddDate", berlin(run, 1_729_989_900 - 86_400), 0, 0, 1)

    assert STRINGERS[Time](skipped) == b"2024-03-31 03:15:00 +0200 CEST"
    assert STRINGERS[Time](twice) == b"2024-10-27 02:45:00 +0100 CET"


def test_nanoseconds_carry_over_into_seconds(run):
    assert call(run, "Add", from_unix(6, UTC, 999_999_999), 1) == from_unix(7, UTC)


def test_times_stop_at_the_ends_of_their_range(run):
    late = Time(MAX_INT64 - 5)
    early = Time(-MAX_INT64 + 5)

    assert call(run, "Add", late, 10_000_000_000).seconds == MAX_INT64
    assert call(run, "Add", early, -10_000_000_000).seconds == -MAX_INT64
    assert call(run, "Sub", early, late) == MIN_INT64


@pytest.mark.parametrize(
    ("method", "moment", "why"),
    [
        ("MarshalJSON", from_unix(253_402_300_800), "Time.MarshalJSON: year outside of range [0,9999]"),
        ("MarshalText", from_unix(-62_167_219_201), "Time.MarshalText: year outside of range [0,9999]"),
        (
            "MarshalJSON",
            from_unix(0, fixed_zone(b"", 86_400)),
            "Time.MarshalJSON: timezone hour outside of range [0,23]",
        ),
        ("MarshalBinary", from_unix(0, fixed_zone(b"", -60)), "Time.MarshalBinary: unexpected zone offset"),
    ],
)
def test_methods_fail_with_the_texts_of_go(run, method, moment, why):
    with pytest.raises(FunctionError) as failed:
        call(run, method, moment)

    assert str(failed.value) == why


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("Clock", "function Clock has 3 return values; should be 1 or 2"),
        ("Zone", "invalid function signature for Zone: second return value should be error; is int"),
    ],
)
def test_methods_with_several_results_cannot_be_called(render, method, why):
    with pytest.raises(ExecError) as failed:
        render(f"{{{{ now.{method} }}}}")

    assert failed.value.detail == why


def test_a_time_goes_nowhere_without_a_location(run):
    with pytest.raises(FunctionError, match=r"^time: missing Location in call to Time\.In$"):
        call(run, "In", Time(), None)


def test_a_time_that_json_has_no_text_for_fails_in_its_words():
    with pytest.raises(FunctionError) as failed:
        MARSHALERS[Time](from_unix(253_402_300_800))

    assert str(failed.value) == (
        "json: error calling MarshalJSON for type time.Time: Time.MarshalJSON: year outside of range [0,9999]"
    )


@pytest.mark.parametrize(
    ("value", "type_name", "kind"),
    [
        (Time(), "time.Time", "struct"),
        (Month(1), "time.Month", "int"),
        (Weekday(1), "time.Weekday", "int"),
        (UTC, "*time.Location", "ptr"),
    ],
)
def test_values_have_the_types_of_go(value, type_name, kind):
    assert (type_of(value), kind_of(value)) == (type_name, kind)


def test_numbers_that_are_no_month_or_day_say_so():
    assert STRINGERS[Month](Month(13)) == b"%!Month(13)"
    assert STRINGERS[Weekday](Weekday(-1)) == b"%!Weekday(18446744073709551615)"


def test_months_days_and_locations_have_names(run):
    assert call(run, "String", Month(12)) == b"December"
    assert call(run, "String", Weekday(6)) == b"Saturday"
    assert call(run, "String", fixed_zone(b"CET", 3_600)) == b"CET"


@pytest.mark.parametrize(("location", "text"), [(UTC, b"time.UTC)"), (LOCAL, b"time.Local)")])
def test_go_source_names_the_two_known_locations(run, location, text):
    assert call(run, "GoString", from_unix(0, location)).endswith(text)


def test_equal_times_have_one_hash():
    first, second = from_unix(0, fixed_zone(b"CET", 0)), from_unix(0, fixed_zone(b"CET", 0))

    assert first == second
    assert len({first, second, from_unix(1)}) == 2


@pytest.mark.parametrize(
    "year", [-292_277_022_398, -401, -1, 0, 1, 1900, 2000, 2023, 2024, 9_999, 10_000, 292_277_026_595]
)
def test_every_day_of_a_year_has_one_date(year):
    first, last = days_of(year, 1, 1), days_of(year, 12, 31)

    found = [civil(day) for day in range(first, last + 1)]

    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    assert len(found) == 365 + leap
    assert [day for _, _, _, day in found] == list(range(1, 366 + leap))
    assert {year for year, _, _, _ in found} == {year}
    assert [days_of(year, month, day) for _, month, day, _ in found] == list(range(first, last + 1))


def test_every_zone_of_the_database_is_shown_as_python_shows_it(run):
    """Another reader of the same files; in the years for which both have them."""
    names = sorted(name for name in zoneinfo.available_timezones() if name[0].isupper())
    wrong = []
    for name in names:
        fresh = Run(Limits(), now_ns=0, monotonic=lambda: 0.0, random_bytes=bytes)
        location = load_location(fresh, name.encode())
        assert location is not None, name
        for unix in range(-1_900_000_000, 7_000_000_000, 111_111_111):
            found = location.lookup(unix)
            expected = datetime.fromtimestamp(unix, PYTHON_UTC).astimezone(zoneinfo.ZoneInfo(name))
            offset = expected.utcoffset()
            assert offset is not None
            if (found.name.decode(), found.offset) != (expected.tzname(), offset.total_seconds()):
                wrong.append((name, unix))

    assert len(names) > 300
    assert not wrong


def test_zones_come_from_the_package_where_the_system_has_none(run, tmp_path, monkeypatch):
    """The package tzdata has the database's folder in it; here one with a single zone stands for it."""
    source = next(path for folder in zoneinfo.TZPATH if (path := Path(folder, "Asia", "Tokyo")).is_file())
    package = tmp_path / "site" / "tzdata"
    (package / "zoneinfo" / "Asia").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "zoneinfo" / "Asia" / "Tokyo_Elsewhere").write_bytes(source.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "tzdata", raising=False)

    location = load_location(run, b"Asia/Tokyo_Elsewhere")

    assert isinstance(location, Location)
    assert location.lookup(0).name == b"JST"


def test_looking_for_zones_that_are_none_is_paid_for(run):
    def look_often():
        for number in range(10_000):
            load_location(run, b"Zone%d" % number)

    with pytest.raises(Exhausted):
        look_often()


def test_the_local_zone_is_utc_whatever_the_environment_says(run, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    assert dates.date(run, b"15:04 MST", 0) == b"00:00 UTC"
    assert json.loads(MARSHALERS[Time](from_unix(0, LOCAL)).join((b'"', b'"'))) == "1970-01-01T00:00:00Z"
