"""All of refreshPolicy, refreshInterval and what was synced: the whole table, and its edges."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from keyferry.core.due import (
    Due,
    RefreshState,
    asked_due,
    heeds_changes,
    refresh_due,
    rotation_due,
)

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD, RECENT, FUTURE = NOW - 2 * HOUR, NOW - HOUR / 2, NOW + HOUR
POLICIES = ["", "Periodic", "OnChange", "CreatedOnce"]
INTERVALS = {"hour": HOUR, "zero": timedelta(0), "negative": -HOUR}
STATES = {
    "new": ("", None),
    "new-with-time": ("", RECENT),
    "synced-without-time": ("1-a", None),
    "synced-recently": ("1-a", RECENT),
    "synced-long-ago": ("1-a", OLD),
    "synced-in-the-future": ("1-a", FUTURE),
    "changed-recently": ("0-a", RECENT),
    "changed-long-ago": ("0-a", OLD),
    "changed-without-time": ("0-a", None),
}


def _state(policy="Periodic", interval=HOUR, synced="1-a", refreshed_at=RECENT, pause=None):
    return RefreshState(policy, interval, interval if pause is None else pause, "1-a", synced, refreshed_at)


def _expected(policy, interval, state):
    if policy in ("OnChange", "CreatedOnce"):
        never = state.startswith("new") or state.endswith("without-time")
        return never or (policy == "OnChange" and state.startswith("changed"))
    if state.startswith("new"):
        return True
    if interval != "hour":
        return False
    return state != "synced-recently"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("policy", POLICIES)
def test_refresh_follows_policy_interval_and_state(policy, interval, state):
    synced, refreshed_at = STATES[state]

    due = refresh_due(_state(policy, INTERVALS[interval], synced, refreshed_at), NOW)

    assert due.now is _expected(policy, interval, state)
    assert due.why


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"synced": ""}, "never synced"),
        ({"synced": "0-a"}, "the ExternalSecret changed"),
        ({"refreshed_at": None}, "no refresh time is known"),
        ({"refreshed_at": FUTURE}, "the last refresh time lies in the future"),
        ({"refreshed_at": OLD}, "refreshInterval has passed"),
        ({}, "not yet"),
        ({"interval": timedelta(0)}, "refreshInterval is 0"),
        ({"policy": "OnChange"}, "refreshPolicy is OnChange"),
        ({"policy": "OnChange", "synced": ""}, "never synced"),
        ({"policy": "OnChange", "synced": "0-a"}, "the ExternalSecret changed"),
        ({"policy": "CreatedOnce"}, "refreshPolicy is CreatedOnce"),
        ({"policy": "CreatedOnce", "synced": ""}, "never synced"),
    ],
)
def test_decision_says_why(fields, why):
    assert refresh_due(_state(**fields), NOW).why == why


def test_interval_zero_ignores_edits_once_synced():
    """As the reference operator does, odd as it is."""
    assert not refresh_due(_state(interval=timedelta(0), synced="0-a"), NOW).now


def test_next_refresh_is_known_only_where_time_decides():
    assert refresh_due(_state(), NOW).next_at == RECENT + HOUR
    assert refresh_due(_state(interval=timedelta(0)), NOW).next_at is None
    assert refresh_due(_state(policy="OnChange"), NOW).next_at is None
    assert refresh_due(_state(policy="CreatedOnce"), NOW).next_at is None


def test_refresh_is_due_when_the_pause_ends_and_not_a_moment_before():
    state = _state(refreshed_at=NOW - timedelta(minutes=54), pause=timedelta(minutes=54))
    early = NOW - timedelta(microseconds=1)

    assert refresh_due(state, NOW).now
    assert not refresh_due(state, early).now
    assert refresh_due(state, early).next_at == NOW


@pytest.mark.parametrize(("ahead", "due"), [(5.0, False), (5.001, True)])
def test_refresh_time_may_be_ahead_by_what_clocks_differ(ahead, due):
    assert refresh_due(_state(refreshed_at=NOW + timedelta(seconds=ahead)), NOW).now is due


@pytest.mark.parametrize("moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_absurd_refresh_times_do_not_stop_anything(moment):
    """Somebody may edit a status."""
    longest = timedelta(microseconds=2**63 // 1000)

    assert refresh_due(_state(refreshed_at=moment), NOW).now
    assert not refresh_due(_state(interval=longest), NOW).now


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("policy", POLICIES)
def test_only_time_makes_generated_values_due(policy, interval, state):
    """Neither an edit of the object nor a clock that went back is a reason for a new password."""
    synced, refreshed_at = STATES[state]
    passed = state.endswith("long-ago") and interval == "hour" and policy in ("", "Periodic")

    assert rotation_due(_state(policy, INTERVALS[interval], synced, refreshed_at), NOW) is passed


def test_generated_values_are_due_to_the_second():
    state = _state(refreshed_at=NOW - HOUR)

    assert rotation_due(state, NOW)
    assert not rotation_due(state, NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("due", "now"),
    [
        (Due(now=False, why="not yet", next_at=NOW), True),
        (Due(now=False, why="refreshInterval is 0"), False),
        (Due(now=False, why="outside syncWindows", next_at=NOW, held=True), False),
        (Due(now=True, why="never synced"), True),
    ],
    ids=["waiting", "never-refreshed", "held-back", "due"],
)
def test_who_asks_gets_what_only_waits_for_its_time(due, now):
    assert asked_due(due).now is now


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("policy", POLICIES)
def test_text_that_a_template_is_made_from_counts_as_an_edit_of_the_object(policy, interval):
    """And is looked at only where an edit would count."""
    unchanged = _state(policy, INTERVALS[interval])
    edited = dataclasses.replace(unchanged, synced="0-a")
    changed = dataclasses.replace(unchanged, template_changed=True)

    assert refresh_due(changed, NOW).now == refresh_due(edited, NOW).now == heeds_changes(unchanged)
    assert not rotation_due(changed, NOW)
    assert not heeds_changes(dataclasses.replace(unchanged, synced=""))
    if heeds_changes(unchanged):
        assert refresh_due(changed, NOW).why == "its template changed"
