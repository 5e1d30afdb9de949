from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

from keyferry.api import names
from keyferry.kube.events import BURST, MAX_WAITING, NORMAL, REFILL_S, SOURCES, WARNING, EventRecorder
from keyferry.ports import ObjectKey
from keyferry.testing.clock import FakeClock

KEY = ObjectKey("ExternalSecret", "team-a", "db")
STORE = ObjectKey("ClusterSecretStore", "", "shared")
EVENTS = "/api/v1/namespaces/team-a/events"


class Quick(EventRecorder):
    """The same with shorter pauses."""

    PAUSE_S = 0.01
    LONGEST_DELAY_S = 0.2


@pytest.fixture
async def recording(open_api):
    """Starts recorders."""
    tasks = []

    def start(may_send=lambda: True, clock=None, api=None) -> EventRecorder:
        recorder = Quick(api or open_api(), may_send, (clock or FakeClock()).monotonic)
        tasks.append(asyncio.create_task(recorder.run()))
        return recorder

    yield start
    for task in tasks:
        assert not task.done(), task
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def note(
    recorder: EventRecorder, message: str = "secret created", key: ObjectKey = KEY, uid: str = "u1"
) -> None:
    recorder.record(key, uid, NORMAL, "Created", message)


async def test_event_is_created_as_kubectl_describe_wants_it(server, recording, play) -> None:
    recorder = recording()

    recorder.record(KEY, "u1", WARNING, "UpdateFailed", "cannot\nfetch  it")

    await play.until(lambda: server.seen)
    seen = server.seen[0]
    event = seen.json()
    stamp, name = event["firstTimestamp"], event["metadata"]["name"]
    assert ("POST", EVENTS) == (seen.method, seen.path)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp)
    assert re.fullmatch(r"db\.[0-9a-f]+", name)
    assert {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "team-a"},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": "ExternalSecret",
            "name": "db",
            "namespace": "team-a",
            "uid": "u1",
        },
        "type": "Warning",
        "reason": "UpdateFailed",
        "message": "cannot fetch it",
        "source": {"component": SOURCES["ExternalSecret"]},
        "reportingComponent": SOURCES["ExternalSecret"],
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    } == event


async def test_event_of_a_cluster_scoped_object_goes_to_namespace_default(server, recording, play) -> None:
    note(recording(), key=STORE)

    await play.until(lambda: server.seen)
    event = server.seen[0].json()
    assert "/api/v1/namespaces/default/events" == server.seen[0].path
    assert "default" == event["metadata"]["namespace"]
    assert "namespace" not in event["involvedObject"]


def test_every_kind_has_a_source() -> None:
    with_events = {
        "ExternalSecret",
        "SecretStore",
        "ClusterSecretStore",
        "ClusterExternalSecret",
        "GeneratorState",
    }
    assert with_events == set(SOURCES)


@pytest.mark.parametrize("name", ["a" * 199 + "-b" * 27, "a" * 198 + ".-.b", "x" * 253])
async def test_name_cut_short_is_still_a_name(server, recording, play, name: str) -> None:
    note(recording(), key=ObjectKey("ExternalSecret", "team-a", name))

    await play.until(lambda: server.seen)
    made = server.seen[0].json()["metadata"]["name"]
    assert len(made) <= 253
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", made)


async def test_repetition_counts_up_the_event_that_exists(server, recording, play) -> None:
    recorder = recording()
    for number in range(1, 4):
        note(recorder)
        await play.until(lambda number=number: len(server.seen) == number)

    name = server.seen[0].json()["metadata"]["name"]
    assert [("POST", EVENTS), *[("PATCH", f"{EVENTS}/{name}")] * 2] == [
        (one.method, one.path) for one in server.seen
    ]
    assert [2, 3] == [one.json()["count"] for one in server.seen[1:]]
    assert {"application/merge-patch+json"} == {one.headers["Content-Type"] for one in server.seen[1:]}
    assert {"count", "lastTimestamp"} == set(server.seen[1].json())


async def test_repetitions_at_the_same_time_count_up_too(server, recording, play) -> None:
    """Four tasks send: without care each of them would create an event of its own."""
    recorder = recording()
    for _ in range(10):
        note(recorder)

    await play.until(lambda: not recorder._waiting and not recorder._sending)
    created = [one for one in server.seen if one.method == "POST"]
    counts = [one.json()["count"] for one in server.seen if one.method == "PATCH"]
    assert (1, sorted(counts)) == (len(created), counts)
    assert 10 == max(counts)


async def test_other_message_object_or_type_is_another_event(server, recording, play) -> None:
    recorder = recording()
    note(recorder)
    note(recorder, message="secret updated")
    note(recorder, uid="u2")
    recorder.record(KEY, "u1", WARNING, "Created", "secret created")

    await play.until(lambda: len(server.seen) == 4)
    assert ["POST"] * 4 == [one.method for one in server.seen]


async def test_event_that_has_expired_is_created_anew(server, recording, play) -> None:
    recorder = recording()
    note(recorder)
    await play.until(lambda: len(server.seen) == 1)
    server.script.append(play.refuses(404, "events not found"))
    note(recorder)
    await play.until(lambda: len(server.seen) == 3)
    note(recorder)
    await play.until(lambda: len(server.seen) == 4)

    assert ["POST", "PATCH", "POST", "PATCH"] == [one.method for one in server.seen]
    assert [1, 2, 1, 2] == [one.json()["count"] for one in server.seen]


async def test_one_object_cannot_flood(server, open_api) -> None:
    clock = FakeClock()
    recorder = EventRecorder(open_api(), lambda: True, clock.monotonic)
    for number in range(1000):
        note(recorder, f"message {number}")
    assert (BURST, 1000 - BURST) == (len(recorder._waiting), recorder.dropped)

    note(recorder, uid="another object")
    assert BURST + 1 == len(recorder._waiting)
    clock.advance(REFILL_S * 3)
    for number in range(10):
        note(recorder, f"later {number}")

    assert BURST + 1 + 3 == len(recorder._waiting)


async def test_flooding_object_is_not_forgotten_for_a_crowd_of_others(open_api) -> None:
    recorder = EventRecorder(open_api(), lambda: True, FakeClock().monotonic)
    for number in range(10_000):
        note(recorder, f"message {number}", uid="noisy")
        note(recorder, uid=f"quiet {number}")

    assert BURST == sum(event.uid == "noisy" for event in recorder._waiting)


async def test_memory_is_bounded(open_api) -> None:
    recorder = EventRecorder(open_api(), lambda: True, FakeClock().monotonic)
    for number in range(MAX_WAITING + 5_000):
        note(recorder, uid=f"u{number}")

    assert (MAX_WAITING, 5_000) == (len(recorder._waiting), recorder.dropped)
    assert len(recorder._allowances) <= 4096


async def test_what_was_sent_is_remembered_within_bounds(server, recording, play, monkeypatch) -> None:
    monkeypatch.setattr("keyferry.kube.events.MAX_REMEMBERED", 10)
    recorder = recording()
    for number in range(50):
        note(recorder, uid=f"u{number}")

    await play.until(lambda: len(server.seen) == 50 and not recorder._sending)
    assert len(recorder._sent) <= 10


async def test_nothing_is_sent_while_others_are_busy(server, recording, play) -> None:
    busy = True
    recorder = recording(lambda: not busy)
    note(recorder)
    await asyncio.sleep(0.1)
    assert [] == server.seen

    busy = False

    await play.until(lambda: server.seen)


async def test_event_goes_at_the_latest_after_the_bound(server, recording, play) -> None:
    recorder = recording(lambda: False)
    began = asyncio.get_running_loop().time()
    note(recorder)

    await play.until(lambda: server.seen)
    assert 0.15 <= server.seen[0].at - began <= 2.0


async def test_refusal_loses_one_event_and_nothing_else(server, recording, play) -> None:
    recorder = recording()
    server.script.append(play.refuses(403, "namespace is being terminated"))
    note(recorder, "lost")
    await play.until(lambda: len(server.seen) == 1)
    note(recorder, "kept")

    await play.until(lambda: len(server.seen) == 2)
    assert "kept" == server.seen[1].json()["message"]


async def test_flush_sends_what_waits_though_others_are_busy(server, open_api) -> None:
    recorder = EventRecorder(open_api(), lambda: False, FakeClock().monotonic)
    for number in range(20):
        note(recorder, uid=f"u{number}")

    await recorder.flush(5.0)

    assert (20, 0) == (len(server.seen), len(recorder._waiting))


async def test_flush_waits_for_what_is_being_sent(server, recording, play) -> None:
    async def slow(request):
        await asyncio.sleep(0.1)
        done.append(request.path)
        return await play.says(200, {})(request)

    done: list[str] = []
    server.otherwise = slow
    recorder = recording()
    note(recorder)
    await play.until(lambda: server.seen)

    await recorder.flush(5.0)

    assert [EVENTS] == done


async def test_flush_ends_in_time(server, open_api, play) -> None:
    server.otherwise = play.hangs
    recorder = EventRecorder(open_api(), lambda: True, FakeClock().monotonic)
    for number in range(20):
        note(recorder, uid=f"u{number}")
    began = asyncio.get_running_loop().time()

    await recorder.flush(0.1)

    assert asyncio.get_running_loop().time() - began < 2.0
    assert (19, 0) == (recorder.dropped, len(recorder._waiting))
