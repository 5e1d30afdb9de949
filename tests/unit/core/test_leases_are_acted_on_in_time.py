"""Leases: when to act, what of a life is too little, and how a GeneratorState tells a term."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keyferry.core.lease import (
    AFTER_S,
    CATCH_UP_S,
    LEAST_S,
    Term,
    catch_up_s,
    first_term,
    next_term,
    retry_s,
    term_of,
    text_of,
)
from keyferry.core.summarize import with_trouble
from keyferry.lease import AtTheEnd, Lease

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def lease(life_s: float, began_s: float = 0, at_the_end: AtTheEnd = AtTheEnd.RENEW) -> Lease:
    return Lease(at(began_s), at(began_s + life_s), at_the_end)


@pytest.mark.parametrize("at_the_end", [AtTheEnd.RENEW, AtTheEnd.REPLACE])
@pytest.mark.parametrize(("spread", "due_s"), [(0.0, 2400), (0.5, 2280), (1.0, 2160)])
def test_time_to_act_is_at_two_thirds_less_up_to_a_tenth(at_the_end, spread, due_s):
    assert at(due_s) == first_term(lease(3600, at_the_end=at_the_end), spread).due_at


@pytest.mark.parametrize(("spread", "late_s"), [(0.0, AFTER_S), (1.0, AFTER_S * 1.1)])
def test_what_is_made_anew_elsewhere_is_read_just_after(spread, late_s):
    assert at(60 + late_s) == first_term(lease(60, at_the_end=AtTheEnd.READ_AGAIN), spread).due_at


@pytest.mark.parametrize("life_s", [-5, 0, 1])
def test_life_however_short_makes_no_hot_loop(life_s):
    assert at(LEAST_S) == first_term(lease(life_s), 1.0).due_at


@pytest.mark.parametrize(
    ("life_s", "then"),
    [
        pytest.param(3600, AtTheEnd.RENEW, id="as-much-as-before"),
        pytest.param(7200, AtTheEnd.RENEW, id="more"),
        pytest.param(2400, AtTheEnd.RENEW, id="two-thirds"),
        pytest.param(2399, AtTheEnd.REPLACE, id="less"),
    ],
)
def test_renewal_that_gives_too_little_is_the_last(life_s, then):
    before = first_term(lease(3600), 0.0)
    after = next_term(before, lease(life_s, began_s=2400), 0.0)

    assert then == after.lease.at_the_end
    assert at(2400 + life_s * 2 / 3) == after.due_at
    assert 3600 == after.life_s


def test_last_second_of_a_life_is_not_waited_for():
    after = next_term(first_term(lease(3600), 0.0), lease(1.5, began_s=2400), 0.0)

    assert at(2401) == after.due_at


def test_what_was_given_at_first_is_the_measure_however_often_it_is_renewed():
    term = first_term(lease(3600), 0.0)
    for life_s in (3000, 2600, 2500):
        term = next_term(term, lease(life_s, began_s=2400), 0.0)
        assert AtTheEnd.RENEW == term.lease.at_the_end

    assert AtTheEnd.REPLACE == next_term(term, lease(2000, began_s=5000), 0.0).lease.at_the_end


@pytest.mark.parametrize(
    ("now_s", "spread", "wait_s"),
    [
        pytest.param(0, 1.0, 2400, id="not-due"),
        pytest.param(2399, 0.0, 1, id="soon-due"),
        pytest.param(2400, 0.0, 0, id="due-and-first"),
        pytest.param(2400, 1.0, CATCH_UP_S, id="due-and-last"),
        pytest.param(3500, 1.0, 50, id="half-of-what-is-left"),
        pytest.param(3600, 1.0, 0, id="ended"),
        pytest.param(9999, 1.0, 0, id="ended-long-ago"),
    ],
)
def test_overdue_renewals_are_spread_after_a_start(now_s, spread, wait_s):
    assert wait_s == catch_up_s(first_term(lease(3600), 0.0), at(now_s), spread)


@pytest.mark.parametrize(
    ("left_s", "pause_s", "wait_s"),
    [
        pytest.param(1200, 2.0, 2.0, id="as-the-failure-says"),
        pytest.param(1200, 420.0, 400.0, id="three-more-tries-at-least"),
        pytest.param(1200, None, CATCH_UP_S, id="only-a-change-would-help"),
        pytest.param(30, None, 10.0, id="near-the-end"),
        pytest.param(1, 60.0, 1.0, id="at-the-end"),
    ],
)
def test_renewal_that_failed_is_tried_again_before_the_end(left_s, pause_s, wait_s):
    assert wait_s == retry_s(first_term(lease(3600), 0.0), at(3600 - left_s), pause_s)


def test_end_is_near_when_half_of_the_time_to_act_is_over():
    assert at(3000) == first_term(lease(3600), 0.0).endangered_at


@pytest.mark.parametrize("at_the_end", AtTheEnd)
def test_term_is_read_as_it_was_written(at_the_end):
    term = Term(lease(3600, at_the_end=at_the_end), at(2400), 3600.0)

    assert term == term_of(text_of(term))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{}",
        "no JSON",
        "[" * 100_000,
        text_of(first_term(lease(60), 0.0)).replace("2026-01-01T12:00:00Z", "noon"),
        text_of(first_term(lease(60), 0.0)).replace("Renew", "Keep"),
    ],
    ids=["none", "empty", "nothing-in-it", "no-json", "deep", "no-time", "no-kind"],
)
def test_text_that_is_no_term_tells_none(text):
    assert term_of(text) is None


def test_trouble_with_a_lease_is_told_behind_what_is_true_and_only_while_it_lasts():
    told = with_trouble("secret synced; optional keys without a value: x", "sealed")

    words = "the lease of generated values could not be renewed so far, and its end is near: sealed"
    assert f"secret synced; optional keys without a value: x; {words}" == told
    assert told == with_trouble(told, "sealed")
    assert "secret synced; optional keys without a value: x" == with_trouble(told, "")
