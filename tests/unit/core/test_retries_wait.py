"""When a failed object is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.core.backoff import (
    LEAST_INTERVAL_S,
    PATIENCE,
    refresh_delay,
    restart_spread_s,
    retry_delay,
    status_delay,
)
from keyferry.errors import (
    BACKOFF,
    MAX_RETRY_AFTER_S,
    ON_CHANGE,
    AccessDenied,
    InternalError,
    KubeConflict,
    KubeUnavailable,
    NotReadyError,
    RateLimited,
    RenderError,
    SpecError,
    Unavailable,
    after,
)

HOUR = 3600.0
PAID = [
    AccessDenied("x"),
    RateLimited("x"),
    Unavailable("x"),
    RenderError("x"),
    InternalError("x"),
    KubeConflict("x"),  # over the target, which is written after the store was read
]
FREE = [NotReadyError("x"), KubeUnavailable("x", status=503)]
SPREADS = st.floats(0, 1)
FAILURES = st.integers(1, 10_000)
INTERVALS = st.floats(-10, 1e6)


@pytest.mark.parametrize("error", [SpecError("x"), AccessDenied("x", retry=ON_CHANGE)])
def test_what_only_a_change_can_mend_is_not_tried_again(error):
    assert [retry_delay(error, failures, HOUR, 0.5) for failures in (1, 50)] == [None, None]


@pytest.mark.parametrize("error", PAID)
def test_pauses_double_up_to_seven_minutes(error):
    pauses = [retry_delay(error, failures, 1.0, 0.0) for failures in range(1, 12)]

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 420, 420]


@pytest.mark.parametrize("error", FREE)
def test_pauses_are_shorter_where_no_store_is_asked(error):
    pauses = [retry_delay(error, failures, HOUR, 0.0) for failures in (1, 7, 8, 20, 100_000)]

    assert pauses == [1, 60, 60, 60, 60]


def test_patience_ends_with_the_tenth_failure():
    assert [retry_delay(AccessDenied("x"), failures, HOUR, 0.0) for failures in (9, 10)] == [256, HOUR]


@pytest.mark.parametrize("interval_s", [0.0, -1.0])
def test_interval_of_nothing_counts_as_an_hour(interval_s):
    assert retry_delay(AccessDenied("x"), PATIENCE, interval_s, 0.0) == HOUR


@given(st.sampled_from(PAID), st.integers(PATIENCE, 10_000), st.floats(1, 1e6), SPREADS)
def test_after_ten_failures_no_store_is_asked_more_often_than_every_interval(
    error, failures, interval_s, spread
):
    assert retry_delay(error, failures, interval_s, spread) >= interval_s


@given(
    st.sampled_from([RateLimited, KubeUnavailable, Unavailable, NotReadyError]),
    st.floats(0.001, MAX_RETRY_AFTER_S),
    FAILURES,
    INTERVALS,
    SPREADS,
)
def test_other_sides_word_is_kept_however_often_it_failed(kind, seconds, failures, interval_s, spread):
    """Also where the interval is shorter, and where the longest pause is."""
    delay = retry_delay(kind("x", retry=after(seconds)), failures, interval_s, spread)

    assert delay >= seconds
    if failures < PATIENCE:
        assert delay <= seconds * 1.1 + 1e-9


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_word_of_no_seconds_is_no_word(seconds):
    """Else the object would be tried without any pause, for ever."""
    assert retry_delay(RateLimited("x", retry=after(seconds)), 4, HOUR, 0.0) == 8.0


@given(st.sampled_from(PAID + FREE), st.integers(1, PATIENCE - 1), INTERVALS, SPREADS)
def test_jitter_is_a_tenth_at_most(error, failures, interval_s, spread):
    plain = retry_delay(error, failures, interval_s, 0.0)
    delay = retry_delay(error, failures, interval_s, spread)

    assert plain * 0.9 - 1e-9 <= delay <= plain


@given(st.sampled_from(PAID + FREE), FAILURES, INTERVALS, SPREADS)
def test_there_is_always_a_pause(error, failures, interval_s, spread):
    assert retry_delay(error, failures, interval_s, spread) >= 0.9


def test_status_that_is_not_taken_is_tried_ever_more_rarely_up_to_a_minute():
    assert [status_delay(tries, 0.0) for tries in (1, 2, 6, 7, 8, 100_000)] == [1, 2, 32, 60, 60, 60]
    assert status_delay(7, 1.0) == 54


@given(st.floats(LEAST_INTERVAL_S, 1e6), SPREADS)
def test_refresh_is_never_late_and_never_more_than_a_tenth_early(interval_s, spread):
    assert interval_s * 0.9 - 1e-9 <= refresh_delay(interval_s, spread) <= interval_s


@given(st.floats(-1.0, LEAST_INTERVAL_S), SPREADS)
def test_interval_that_would_make_a_hot_loop_is_stretched(interval_s, spread):
    assert refresh_delay(interval_s, spread) >= 0.9 * LEAST_INTERVAL_S - 1e-9


@pytest.mark.parametrize(
    ("interval_s", "expected"), [(0.0, 0.0), (600.0, 60.0), (HOUR, 300.0), (86400.0, 300.0)]
)
def test_overdue_refreshes_are_spread_over_a_tenth_of_the_interval_at_most(interval_s, expected):
    assert restart_spread_s(interval_s) == expected


def test_backoff_is_the_default():
    assert AccessDenied("x").retry == BACKOFF


def test_nobody_can_ask_for_a_pause_of_more_than_an_hour():
    assert after(1e9).seconds == MAX_RETRY_AFTER_S
