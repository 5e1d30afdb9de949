"""Cron schedules: what each text means, and when it comes up. The oracle compares thousands with the original."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.cron import Every, last_activation, next_activation, parse_schedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SUNDAY = datetime(2025, 6, 1, 12, 30, 15, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("* * * * *", "2025-06-01T12:31", id="each minute, from the next on"),
        pytest.param("? ? ? ? ?", "2025-06-01T12:31", id="a question mark is a star"),
        pytest.param("*/20 * * * *", "2025-06-01T12:40", id="a step counts from the least"),
        pytest.param("35/10 * * * *", "2025-06-01T12:35", id="a number with a step runs to the end"),
        pytest.param("5-10/3 13 * * *", "2025-06-01T13:05", id="a range with a step"),
        pytest.param("0,45 * * * *", "2025-06-01T12:45", id="a list"),
        pytest.param("0 9 * * MON-fri", "2025-06-02T09:00", id="names of days in any case"),
        pytest.param("0 0 1 jan *", "2026-01-01T00:00", id="names of months"),
        pytest.param("0 0 * * 0", "2025-06-08T00:00", id="Sunday is 0"),
        pytest.param("0 0 13 * 5", "2025-06-06T00:00", id="either day where both are restricted"),
        pytest.param("0 0 13 * *", "2025-06-13T00:00", id="the day of the month alone"),
        pytest.param("0 0 */1 * 5", "2025-06-06T00:00", id="a step of one is a star"),
        pytest.param("0 0 */2 * 5", "2025-06-03T00:00", id="a longer step is none"),
        pytest.param("0 0 29 2 *", "2028-02-29T00:00", id="the next leap day"),
        pytest.param("0 0 30 2 *", None, id="a day that there is not"),
        pytest.param("@yearly", "2026-01-01T00:00", id="yearly"),
        pytest.param("@annually", "2026-01-01T00:00", id="annually"),
        pytest.param("@monthly", "2025-07-01T00:00", id="monthly"),
        pytest.param("@weekly", "2025-06-08T00:00", id="weekly"),
        pytest.param("@daily", "2025-06-02T00:00", id="daily"),
        pytest.param("@midnight", "2025-06-02T00:00", id="midnight"),
        pytest.param("@hourly", "2025-06-01T13:00", id="hourly"),
        pytest.param("@every 6h", "2025-06-01T18:00", id="every six hours of UTC"),
        pytest.param("@every 1.9s", "2025-06-01T12:30:16", id="every whole second"),
        pytest.param("@every 10ms", "2025-06-01T12:30:16", id="never more often than each second"),
        pytest.param("@every -1h", "2025-06-01T12:30:16", id="a negative pause is a second"),
    ],
)
def test_schedule_comes_up_next(text, expected):
    found = next_activation(parse_schedule(text), SUNDAY)

    assert found == (moment(expected) if expected else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("* * * * *", "2025-06-01T12:30", id="this minute"),
        pytest.param("45 * * * *", "2025-06-01T11:45", id="the hour before"),
        pytest.param("0 13 * * *", "2025-05-31T13:00", id="the day before"),
        pytest.param("0 0 31 1-5 *", "2025-05-31T00:00", id="the month before"),
        pytest.param("0 0 1 1 *", "2025-01-01T00:00", id="months ago"),
        pytest.param("0 0 30 2 *", None, id="a day that there is not"),
        pytest.param("0 0 1 1 1", "2025-01-27T00:00", id="either day"),
        pytest.param("@every 5h", "2025-06-01T10:00", id="a multiple since the epoch"),
    ],
)
def test_schedule_came_up_last(text, expected):
    schedule = parse_schedule(text)
    found = last_activation(schedule, SUNDAY, EPOCH)

    assert found == (moment(expected) if expected else None)
    if found is not None:
        assert last_activation(schedule, SUNDAY, found) == found
        assert last_activation(schedule, SUNDAY, found + MICROSECOND) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "it has 0 fields instead of 5", id="nothing"),
        pytest.param("* * * *", "it has 4 fields instead of 5", id="four fields"),
        pytest.param("0 * * * * *", "it has 6 fields instead of 5", id="six fields"),
        pytest.param("60 * * * *", "its minute goes beyond 0 to 59", id="minute 60"),
        pytest.param("* 24 * * *", "its hour goes beyond 0 to 23", id="hour 24"),
        pytest.param("* * 0 * *", "its day of month goes beyond 1 to 31", id="day 0"),
        pytest.param("* * * 13 *", "its month goes beyond 1 to 12", id="month 13"),
        pytest.param("* * * * 7", "its day of week goes beyond 0 to 6", id="Sunday as 7"),
        pytest.param("5-1 * * * *", "its minute has a range that ends before it begins", id="backwards"),
        pytest.param("1-2-3 * * * *", "its minute has something that is no number", id="two hyphens"),
        pytest.param("1/2/3 * * * *", "its minute has a range with two steps", id="two slashes"),
        pytest.param("*/0 * * * *", "its minute has a step of 0", id="step 0"),
        pytest.param("*/mon * * * *", "its minute has something that is no number", id="a name as a step"),
        pytest.param("mon * * * *", "its minute has something that is no number", id="a name for a minute"),
        pytest.param(", * * * *", "its minute names nothing", id="an empty list"),
        pytest.param("٣ * * * *", "its minute has something that is no number", id="digits of other scripts"),
        pytest.param(f"{'9' * 19} * * * *", "its minute has something that is no number", id="a huge number"),
        pytest.param(f"0 {'1,' * 500}1 * * *", "it is longer than 1000 characters", id="a huge text"),
        pytest.param("TZ=UTC 0 0 * * *", "a time zone cannot be chosen, schedules are in UTC", id="a zone"),
        pytest.param(
            "CRON_TZ=UTC 0 0 * *", "a time zone cannot be chosen, schedules are in UTC", id="cron zone"
        ),
        pytest.param("@every 1d", 'not a duration such as "1h", "30m" or "1h30m0s"', id="a day as a unit"),
    ],
)
def test_text_that_is_no_schedule_is_refused_with_the_reason(text, why):
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        parse_schedule(text)


def test_unknown_shorthand_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"^it is none of @yearly, .* and @every with a duration$"):
        parse_schedule("@reboot")


numbers = st.sampled_from(["*", "*/7", "0", "1,3", "1-4", "2/3"])
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
schedules = st.builds(
    " ".join, st.tuples(numbers, numbers, st.sampled_from(["*", "1", "29-31", "*/9"]), st.just("*"), numbers)
) | st.integers(1, 10**7).map(lambda seconds: f"@every {seconds}s")


@given(schedules, moments)
def test_last_and_next_are_neighbours(text, now):
    schedule = parse_schedule(text)
    later = next_activation(schedule, now)
    assert later is not None
    earlier = last_activation(schedule, now, EPOCH)
    assert earlier is not None

    assert earlier <= now < later
    assert next_activation(schedule, earlier) == later
    assert last_activation(schedule, later - MICROSECOND, EPOCH) == earlier
    assert later - earlier == schedule.pause if isinstance(schedule, Every) else later.second == 0
