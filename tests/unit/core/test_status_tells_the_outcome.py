"""From outcome to status: what it says, and that it does not flap."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from keyferry.api.conditions import Condition, ExternalSecretCondition
from keyferry.api.external_secret import ExternalSecretStatus
from keyferry.api.secret_store import SecretStoreStatus
from keyferry.core.summarize import (
    MESSAGE_DELETED,
    MESSAGE_PAUSED,
    MESSAGE_SYNCED,
    Outcome,
    StoreOutcome,
    event_text,
    external_secret_status,
    failed,
    is_ready,
    is_told,
    missing_text,
    only_refresh_time_changed,
    parse_timestamp,
    paused_status,
    refresh_time_is_stale,
    resumed_status,
    store_failed,
    store_status,
    store_unknown,
    store_valid,
    timestamp,
)
from keyferry.errors import MAX_MESSAGE_CHARS, AccessDenied

NOW = datetime(2025, 6, 1, 12, 0, 30, 999_999, tzinfo=UTC)
LATER = NOW + timedelta(minutes=7)
NOW_TEXT = "2025-06-01T12:00:30Z"
EMPTY = ExternalSecretStatus()
SYNCED = Outcome("SecretSynced", MESSAGE_SYNCED, ready=True, refreshed_at=NOW, synced="1-abc", binding="db")
DELETED = Outcome("SecretDeleted", MESSAGE_DELETED, ready=True, refreshed_at=NOW, synced="1-abc")
REPAIRED = Outcome("SecretSynced", MESSAGE_SYNCED, ready=True)
FAILED = failed("could not get secret data from provider", AccessDenied("denied", hint="Ask the owner"))
OUTCOMES = [SYNCED, DELETED, REPAIRED, FAILED]
OTHER = ExternalSecretCondition(type="Deleted", status="False", last_transition_time="2020-01-01T00:00:00Z")


def _ready(status):
    (ready,) = (condition for condition in status.conditions if condition.type == "Ready")
    return ready


# -- an ExternalSecret


def test_first_sync_says_all_there_is_to_say():
    status = external_secret_status(EMPTY, SYNCED, 3, NOW)

    assert msgspec.json.decode(msgspec.json.encode(status)) == {
        "refreshTime": NOW_TEXT,
        "syncedResourceVersion": "1-abc",
        "binding": {"name": "db"},
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "SecretSynced",
                "message": "secret synced",
                "lastTransitionTime": NOW_TEXT,
                "observedGeneration": 3,
            }
        ],
    }


def test_failure_says_what_and_why_and_keeps_what_was_known():
    before = external_secret_status(EMPTY, SYNCED, 3, NOW)

    after = external_secret_status(before, FAILED, 3, LATER)

    assert _ready(after) == ExternalSecretCondition(
        type="Ready",
        status="False",
        reason="SecretSyncedError",
        message="could not get secret data from provider: denied. Ask the owner",
        last_transition_time="2025-06-01T12:07:30Z",
        observed_generation=3,
    )
    assert (after.refresh_time, after.synced_resource_version, after.binding) == (
        before.refresh_time,
        before.synced_resource_version,
        before.binding,
    )


def test_failure_of_a_new_object_names_no_refresh_time():
    status = external_secret_status(EMPTY, FAILED, 1, NOW)

    assert (status.refresh_time, status.synced_resource_version, status.binding.name) == (None, "", "")


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("others", [(), (OTHER,)])
def test_same_outcome_gives_the_same_bytes(outcome, others):
    before = external_secret_status(ExternalSecretStatus(conditions=others), outcome, 3, NOW)

    after = external_secret_status(before, outcome, 3, LATER)

    assert msgspec.json.encode(after) == msgspec.json.encode(before)


@pytest.mark.parametrize(("first", "second"), [*itertools.product(OUTCOMES, repeat=2)])
def test_transition_time_moves_only_with_the_status(first, second):
    before = external_secret_status(EMPTY, first, 3, NOW)

    after = external_secret_status(before, second, 4, LATER)

    assert (_ready(after).last_transition_time == NOW_TEXT) is (first.ready is second.ready)
    assert _ready(after).observed_generation == 4


@pytest.mark.parametrize("place", [0, 1, 2])
def test_other_conditions_keep_their_place(place):
    """Else the first status after another writer's would differ by the order alone."""
    ready = _ready(external_secret_status(EMPTY, SYNCED, 1, NOW))
    conditions = [OTHER, OTHER]
    conditions.insert(place, ready)
    before = external_secret_status(ExternalSecretStatus(conditions=tuple(conditions)), SYNCED, 1, NOW)

    assert before.conditions == tuple(conditions)


def test_second_ready_condition_goes_away():
    ready = _ready(external_secret_status(EMPTY, FAILED, 1, NOW))

    status = external_secret_status(ExternalSecretStatus(conditions=(ready, OTHER, ready)), FAILED, 1, LATER)

    assert status.conditions == (ready, OTHER)


def test_condition_without_a_transition_time_gets_one():
    bare = ExternalSecretCondition(type="Ready", status="True")

    status = external_secret_status(ExternalSecretStatus(conditions=(bare,)), SYNCED, 1, LATER)

    assert _ready(status).last_transition_time == "2025-06-01T12:07:30Z"


def test_condition_of_the_reference_operator_keeps_its_transition_time():
    theirs = ExternalSecretCondition(
        type="Ready",
        status="True",
        reason="SecretSynced",
        message="secret synced",
        last_transition_time="2024-01-01T00:00:00Z",
    )

    status = external_secret_status(ExternalSecretStatus(conditions=(theirs,)), SYNCED, 1, LATER)

    assert _ready(status).last_transition_time == "2024-01-01T00:00:00Z"


def test_condition_message_is_one_short_line():
    message = failed("could not update secret", AccessDenied("x\ny " * 2000)).message

    assert len(message) <= 1024
    assert message.isprintable()


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [((), False), ((OTHER,), False), ((OTHER, ExternalSecretCondition(type="Ready", status="True")), True),
     ((ExternalSecretCondition(type="Ready", status="Unknown"),), False)],
)  # fmt: skip
def test_ready_is_what_the_condition_says(conditions, ready):
    assert is_ready(ExternalSecretStatus(conditions=conditions)) is ready


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcome_is_told_from_the_first_one_on_and_also_while_paused(outcome):
    status = external_secret_status(ExternalSecretStatus(), outcome, 3, NOW)

    assert is_told(status)
    assert is_told(paused_status(status, LATER))


@pytest.mark.parametrize("conditions", [(), (OTHER,)])
def test_pause_alone_is_no_outcome(conditions):
    status = ExternalSecretStatus(conditions=conditions)

    assert not is_told(status)
    assert not is_told(paused_status(status, NOW))


# -- pause


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_pause_is_told_and_taken_back(outcome):
    before = external_secret_status(ExternalSecretStatus(conditions=(OTHER,)), outcome, 3, NOW)

    paused = paused_status(before, LATER)

    assert _ready(paused).message == f"{_ready(before).message}; {MESSAGE_PAUSED}"
    assert _ready(paused).last_transition_time == NOW_TEXT
    assert paused_status(paused, LATER) == paused
    assert resumed_status(paused) == before


def test_pause_of_a_new_object_is_unknown_until_it_is_resumed():
    before = ExternalSecretStatus(conditions=(OTHER,))

    paused = paused_status(before, NOW)

    assert (_ready(paused).status, _ready(paused).reason) == ("Unknown", "Paused")
    assert _ready(paused).message == MESSAGE_PAUSED
    assert paused_status(paused, LATER) == paused
    assert resumed_status(paused) == before


def test_pause_is_told_whatever_the_message_was():
    """Another operator's message may be as long as the API allows."""
    long = ExternalSecretCondition(type="Ready", status="False", message="x" * 32_000)

    paused = paused_status(ExternalSecretStatus(conditions=(long,)), NOW)

    assert _ready(paused).message.endswith(f"; {MESSAGE_PAUSED}")
    assert paused_status(paused, LATER) == paused


@pytest.mark.parametrize("status", [EMPTY, ExternalSecretStatus(conditions=(OTHER,))])
def test_resuming_what_was_not_paused_changes_nothing(status):
    assert resumed_status(status) == status
    assert resumed_status(synced := external_secret_status(status, SYNCED, 1, NOW)) == synced


def test_next_outcome_ends_the_words_about_a_pause():
    paused = paused_status(external_secret_status(EMPTY, SYNCED, 1, NOW), NOW)

    assert _ready(external_secret_status(paused, SYNCED, 1, LATER)).message == "secret synced"


# -- times


def test_time_is_told_in_utc_and_whole_seconds():
    moment = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert timestamp(moment) == NOW_TEXT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NOW_TEXT, NOW.replace(microsecond=0)),
        ("2025-06-01T17:30:30+05:30", NOW.replace(microsecond=0)),
        ("2025-06-01T12:00:30.123456789Z", NOW.replace(microsecond=123456)),
        ("2025-06-01T12:00:30", NOW.replace(microsecond=0)),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("2025-13-01T00:00:00Z", None),
        ("2025-06-01T12:00:60Z", None),
    ],
)
def test_time_is_read_or_counts_as_none(text, expected):
    assert parse_timestamp(text) == expected


def test_what_was_written_is_read_back():
    assert parse_timestamp(timestamp(NOW)) == NOW.replace(microsecond=0)


def test_refresh_time_alone_is_told_from_other_changes():
    before = external_secret_status(EMPTY, SYNCED, 1, NOW)
    moved = msgspec.structs.replace(before, refresh_time=timestamp(LATER))

    assert only_refresh_time_changed(before, moved)
    assert only_refresh_time_changed(before, before)
    assert not only_refresh_time_changed(before, external_secret_status(moved, FAILED, 1, LATER))
    assert not only_refresh_time_changed(
        before, msgspec.structs.replace(moved, synced_resource_version="2-x")
    )


@pytest.mark.parametrize(
    ("written", "stale"),
    [
        (None, True),
        ("nonsense", True),
        (timestamp(NOW - timedelta(minutes=4)), False),
        (timestamp(NOW - timedelta(minutes=5)), True),
        (timestamp(NOW + timedelta(seconds=2)), False),
        (timestamp(NOW + timedelta(days=400)), True),
    ],
)
def test_refresh_time_is_stale_after_a_while_or_when_a_clock_was_wrong(written, stale):
    before = ExternalSecretStatus(refresh_time=written)

    assert refresh_time_is_stale(before, NOW.replace(microsecond=0), timedelta(minutes=5)) is stale


# -- a store


STORE_OUTCOMES = [
    store_valid(),
    store_unknown(),
    store_failed("unable to validate store", AccessDenied("denied")),
]


def _store_ready(status):
    (ready,) = (condition for condition in status.conditions if condition.type == "Ready")
    return ready


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (STORE_OUTCOMES[0], ("True", "Valid", "store validated")),
        (STORE_OUTCOMES[1], ("True", "ValidationUnknown", "could not determine validation status")),
        (STORE_OUTCOMES[2], ("False", "InvalidProviderConfig", "unable to validate store: denied")),
    ],
)
def test_store_tells_what_its_validation_found(outcome, expected):
    status = store_status(SecretStoreStatus(), outcome, "ReadOnly", 2, NOW)

    ready = _store_ready(status)
    assert (ready.status, ready.reason, ready.message) == expected
    assert (ready.last_transition_time, ready.observed_generation) == (NOW_TEXT, 2)
    assert status.capabilities == "ReadOnly"


@pytest.mark.parametrize(("first", "second"), [*itertools.product(STORE_OUTCOMES, repeat=2)])
def test_store_does_not_flap(first, second):
    other = Condition(type="Other", status="True")
    before = store_status(SecretStoreStatus(conditions=(other,)), first, "ReadOnly", 2, NOW)

    after = store_status(before, second, "ReadOnly", 2, LATER)

    assert (after == before) is (first is second)
    assert (_store_ready(after).last_transition_time == NOW_TEXT) is (first.ready is second.ready)
    assert after.conditions[0] == other


def test_cause_of_a_failure_travels_with_the_outcome():
    error = AccessDenied("denied")

    assert failed("x", error).error is error
    assert store_failed("x", error).error is error
    assert StoreOutcome(ready=True, reason="Valid", message="m").error is None


def test_optional_entries_that_are_missing_are_named():
    assert missing_text(()) == ""
    assert missing_text(("a: gone", "b: gone")) == "; optional keys without a value: a: gone; b: gone"


def test_message_about_many_optional_keys_stays_readable():
    """The API takes 32 KiB; a thousand entries would be more."""
    text = missing_text([f"spec.data[{number}] (key: k): there is none" for number in range(1000)])

    assert text.startswith(
        "; optional keys without a value: spec.data[0] (key: k): there is none; spec.data[1]"
    )
    assert len(text) == MAX_MESSAGE_CHARS


def test_event_about_several_entries_names_each():
    error = AccessDenied("2 entries failed, the first: no")
    error.details = ("a: no", "b: " + "slow " * 300)

    text = event_text(error)

    assert text.startswith("2 entries failed: (1) a: no; (2) b: slow")
    assert len(text) <= 1024


def test_event_about_one_entry_is_its_text():
    assert event_text(AccessDenied("no", hint="Ask")) == "no. Ask"


def test_event_about_too_many_entries_to_name_tells_the_first():
    error = AccessDenied("99 entries failed, the first: no")
    error.details = ("no",) * 99

    assert event_text(error) == str(error)
