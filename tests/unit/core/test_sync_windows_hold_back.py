"""syncWindows: what is open when, and what a periodic refresh makes of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.cron import parse_schedule
from keyferry.core.due import RefreshState, refresh_due, rotation_due
from keyferry.core.windows import HORIZON, MAX_WINDOWS, Windows, is_open, next_open, parse_windows
from keyferry.errors import ON_CHANGE, SpecError

HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
MONDAY = datetime(2025, 6, 2, tzinfo=UTC)


def windows(kind: str, *entries: tuple[str, timedelta]) -> Windows:
    return Windows(kind == "allow", tuple((parse_schedule(text), length) for text, length in entries))


NIGHT = ("0 22 * * *", 4 * HOUR)
WEEKDAYS = ("0 9 * * 1-5", 8 * HOUR)
NEVER = ("0 0 30 2 *", HOUR)
ALWAYS = ("* * * * *", 2 * HOUR)
YEARS = ("0 0 1 1 *", timedelta(days=800))

CASES = [
    pytest.param([NIGHT], 22 * HOUR, True, id="at the opening"),
    pytest.param([NIGHT], 22 * HOUR - MICROSECOND, False, id="a moment before the opening"),
    pytest.param([NIGHT], 24 * HOUR, True, id="beyond midnight"),
    pytest.param([NIGHT], 26 * HOUR, True, id="at the end"),
    pytest.param([NIGHT], 26 * HOUR + MICROSECOND, False, id="a moment after the end"),
    pytest.param([NIGHT], 12 * HOUR, False, id="between two openings"),
    pytest.param([NIGHT, WEEKDAYS], 12 * HOUR, True, id="one of two windows"),
    pytest.param([NEVER], 12 * HOUR, False, id="a schedule that never comes up"),
    pytest.param([ALWAYS], 12 * HOUR, True, id="windows that overlap themselves"),
    pytest.param([YEARS], 12 * HOUR, True, id="a window of years"),
    pytest.param([("@every 6h", HOUR)], 12.5 * HOUR, True, id="every six hours, within"),
    pytest.param([("@every 6h", HOUR)], 14 * HOUR, False, id="every six hours, without"),
    pytest.param([("@every 6h", 8 * HOUR)], 14 * HOUR, True, id="every six hours for longer"),
]


@pytest.mark.parametrize(("entries", "at", "inside"), CASES)
def test_allowed_windows_are_open_inside_and_denied_ones_outside(entries, at, inside):
    assert is_open(windows("allow", *entries), MONDAY + at) is inside
    assert is_open(windows("deny", *entries), MONDAY + at) is not inside


@pytest.mark.parametrize(
    ("kind", "entries", "at", "expected"),
    [
        pytest.param("allow", [NIGHT], 12 * HOUR, 22 * HOUR, id="the next opening"),
        pytest.param("allow", [NIGHT], 23 * HOUR, 23 * HOUR, id="now, where it is open"),
        pytest.param("allow", [WEEKDAYS, NIGHT], 18 * HOUR, 22 * HOUR, id="the first of two openings"),
        pytest.param("allow", [NEVER, NIGHT], 12 * HOUR, 22 * HOUR, id="one of two never opens"),
        pytest.param("allow", [NEVER], 12 * HOUR, None, id="never"),
        pytest.param("deny", [NIGHT], 12 * HOUR, 12 * HOUR, id="now, outside of denied windows"),
        pytest.param("deny", [NIGHT], 23 * HOUR, 26 * HOUR + MICROSECOND, id="after the denied window"),
        pytest.param(
            "deny",
            [NIGHT, ("0 1 * * *", 3 * HOUR)],
            23 * HOUR,
            28 * HOUR + MICROSECOND,
            id="after two denied windows that overlap",
        ),
    ],
)
def test_refresh_waits_for_the_first_open_moment(kind, entries, at, expected):
    found = next_open(windows(kind, *entries), MONDAY + at)

    assert found == (None if expected is None else MONDAY + expected)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([("0 0 * * *", 24 * HOUR)], id="each day, all day"),
        pytest.param([ALWAYS], id="each minute, for two hours"),
        pytest.param(
            [("* * * * *", HOUR / 60), ("@every 1s", HOUR)] * (MAX_WINDOWS // 2), id="as many as served"
        ),
        pytest.param([("@every 1000h", timedelta(days=100_000))], id="a window of centuries"),
    ],
)
def test_what_is_always_denied_is_looked_at_again_in_bounded_time(entries):
    """Somewhere on the way the search ends; who looks again then goes on from there."""
    always = windows("deny", *entries)
    began = time.process_time()

    found = next_open(always, MONDAY)

    assert found is not None
    assert found > MONDAY
    assert not is_open(always, found)
    assert time.process_time() - began < 1


def test_gap_of_denied_windows_is_found_across_a_year():
    """Denied day by day; 29 February is spared."""
    spared = windows("deny", ("0 0 * 1,3-12 *", 24 * HOUR), ("0 0 1-28 2 *", 24 * HOUR))

    found = next_open(spared, datetime(2027, 3, 5, tzinfo=UTC))

    assert found == datetime(2028, 2, 29, tzinfo=UTC) + MICROSECOND
    assert found - datetime(2027, 3, 5, tzinfo=UTC) < HORIZON


entry = st.tuples(
    st.sampled_from(
        ["0 22 * * *", "*/45 * * * *", "15 9-17 * * 1-5", "0 0 1 * *", "@every 7h", "@weekly", "30 3 29 2 *"]
    ),
    st.integers(1, 3 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes)),
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(st.sampled_from(["allow", "deny"]), st.lists(entry, min_size=1, max_size=3), moments, st.floats(0, 1))
def test_no_moment_before_the_next_open_one_is_open(kind, entries, now, share):
    some = windows(kind, *entries)
    found = next_open(some, now)
    if found is None or not is_open(some, found):
        # Years away, or beyond the horizon: nothing up to there may be open either.
        found = found or now + timedelta(days=3 * 365)
        assert kind == "deny" or not is_open(some, found - MICROSECOND)
    assert found >= now

    between = now + share * (found - now)
    assert between >= found or not is_open(some, between)


def state(kind: str = "", **fields) -> RefreshState:
    defaults = {
        "policy": "Periodic",
        "interval": HOUR,
        "pause": HOUR,
        "current": "1-a",
        "synced": "1-a",
        "refreshed_at": MONDAY + 9 * HOUR,
        "windows": windows(kind, NIGHT) if kind else None,
    }
    return RefreshState(**defaults | fields)


NOON = MONDAY + 12 * HOUR


def test_refresh_that_is_due_by_time_alone_waits_for_its_window():
    due = refresh_due(state("allow"), NOON)

    assert (due.now, due.held, due.next_at) == (False, True, MONDAY + 22 * HOUR)
    assert due.why == "outside syncWindows"
    assert refresh_due(state("allow"), MONDAY + 22 * HOUR).now
    assert refresh_due(state("deny"), NOON).now


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"synced": "", "refreshed_at": None}, id="the first sync"),
        pytest.param({"synced": "0-a"}, id="an edit of the object"),
        pytest.param({"refreshed_at": None}, id="no time of a refresh"),
        pytest.param({"refreshed_at": NOON + HOUR}, id="a time of a refresh in the future"),
        pytest.param({"policy": "OnChange", "synced": "0-a"}, id="refreshPolicy OnChange"),
        pytest.param(
            {"policy": "CreatedOnce", "synced": "", "refreshed_at": None}, id="refreshPolicy CreatedOnce"
        ),
    ],
)
def test_windows_hold_nothing_else_back(fields):
    assert refresh_due(state("allow", **fields), NOON).now


def test_refresh_that_is_not_due_yet_is_looked_at_when_it_is():
    due = refresh_due(state("allow", refreshed_at=NOON - HOUR / 2), NOON)

    assert (due.now, due.held, due.next_at) == (False, False, NOON + HOUR / 2)


def test_generated_values_are_not_made_anew_outside_the_windows():
    assert not rotation_due(state("allow", synced="0-a"), NOON)
    assert rotation_due(state("deny", synced="0-a"), NOON)


def windows_of(spec, *entries, kind="allow"):
    return spec(
        syncWindows={
            "kind": kind,
            "windows": [dict(zip(("schedule", "duration"), e, strict=True)) for e in entries],
        }
    )


def test_windows_are_read_from_the_spec(spec):
    assert parse_windows(spec().sync_windows) is None
    for kind in ("allow", "deny"):
        parsed = parse_windows(windows_of(spec, ("0 22 * * *", "4h"), kind=kind).sync_windows)
        assert parsed == windows(kind, NIGHT)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        pytest.param(
            [("@daily", "1h"), ("99 * * * *", "1h")],
            'spec.syncWindows.windows[1].schedule "99 * * * *": its minute goes beyond 0 to 59',
            id="a schedule that means nothing",
        ),
        pytest.param(
            [("@daily", "0s")], 'spec.syncWindows.windows[0].duration "0s" is not longer than 0', id="no time"
        ),
        pytest.param(
            [("@daily", "-1h")], 'spec.syncWindows.windows[0].duration "-1h" is not longer than 0', id="less"
        ),
        pytest.param(
            [("@daily", "")], 'spec.syncWindows.windows[0].duration "" is not longer than 0', id="empty"
        ),
        pytest.param(
            [("@daily", "1h")] * 101,
            "spec.syncWindows.windows has 101 windows, at most 100 are served",
            id="too many",
        ),
    ],
)
def test_windows_that_mean_nothing_are_refused_by_field(spec, entries, message):
    with pytest.raises(SpecError) as caught:
        parse_windows(windows_of(spec, *entries).sync_windows)

    assert caught.value.message == message
    assert caught.value.retry == ON_CHANGE
