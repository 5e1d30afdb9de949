"""The end of a sync: the status says what came of it, an event only what is new, and the clock is set.

What happens to a status that the API server does not take decides whether anything is lost.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from keyferry.core.summarize import MESSAGE_SYNCED, Outcome, failed
from keyferry.errors import KubeInvalid, RemoteSecretNotFound, SpecError, Unavailable
from keyferry.planner.health import deferred
from keyferry.reconcile.finish import finish, forget, retry_status, write_behind, write_pending
from keyferry.reconcile.queue import Claim, Lane

HOUR = timedelta(hours=1)
SYNCED = "1-" + "5f" * 28
"""What the status of `bench`'s object says already."""
OBJECT = "/apis/external-secrets.io/v1/namespaces/team-0/externalsecrets/orders-0"


def written(version="200000"):
    return {"metadata": {"name": "orders-0", "resourceVersion": version, "uid": "u"}}


def success(bench):
    """The same as before, at the time that it is."""
    return Outcome(
        "SecretSynced",
        MESSAGE_SYNCED,
        ready=True,
        refreshed_at=bench.clock.now(),
        synced=SYNCED,
        binding="orders-0",
    )


def failure(error):
    return failed("could not get secret data from provider", error)


async def end(bench, outcome, interval=HOUR):
    await finish(bench.engine, bench.key, bench.record, outcome, interval)


def writes(server):
    """The statuses that were sent."""
    return [seen.json()["status"] for seen in server.seen if seen.method == "PUT"]


def ready(status):
    (condition,) = status["conditions"]
    return condition["status"], condition["reason"], condition["message"]


async def events(bench, server):
    """Reasons of the events that wait to be sent."""
    await bench.engine.events.flush(5)
    return [seen.json()["reason"] for seen in server.seen if seen.path.endswith("/events")]


@pytest.fixture
def settled(bench):
    """The object's condition names the generation that it is of, as one that we have written does."""
    bench.record.status = bench.record.status.replace(
        b'"lastTransitionTime"', b'"observedGeneration":1,"lastTransitionTime"'
    )
    return bench


async def test_success_is_written_and_comes_back_before_the_interval_has_passed(bench, server, play) -> None:
    bench.clock.advance(1000)
    server.otherwise = play.says(200, written())
    bench.record.failures = 3

    await end(bench, success(bench))

    (status,) = writes(server)
    assert ("True", "SecretSynced", MESSAGE_SYNCED) == ready(status)
    assert "2026-01-01T12:16:40Z" == status["refreshTime"]
    assert ("200000", b"", 0) == (
        bench.record.resource_version,
        bench.record.unwritten,
        bench.record.failures,
    )
    assert 3240 <= bench.due_in() <= 3600
    assert [] == await events(bench, server)


async def test_new_refresh_time_alone_is_not_written_within_five_minutes(settled, server) -> None:
    settled.clock.advance(299)

    await end(settled, success(settled))

    assert [] == server.seen
    assert settled.clock.now().timestamp() == settled.record.refreshed_at
    assert 3240 <= settled.due_in() <= 3600


async def test_new_refresh_time_is_written_after_five_minutes(settled, server, play) -> None:
    server.otherwise = play.says(200, written())
    settled.clock.advance(300)

    await end(settled, success(settled))

    assert ["2026-01-01T12:05:00Z"] == [status["refreshTime"] for status in writes(server)]


async def test_object_without_an_interval_is_not_looked_at_again(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    bench.engine.queue.schedule(bench.key, bench.engine.queue.now() + 5)

    await end(bench, success(bench), timedelta(0))

    assert bench.due_in() is None


async def test_failure_is_told_once_and_tried_again(bench, server, play, caplog) -> None:
    server.otherwise = play.says(200, written())
    missing = RemoteSecretNotFound('remote secret "db" does not exist')

    await end(bench, failure(missing))
    await end(bench, failure(missing))

    (status,) = writes(server)
    assert ("False", "SecretSyncedError") == ready(status)[:2]
    assert 'remote secret "db" does not exist' in ready(status)[2]
    assert "2026-01-01T12:00:00Z" == status["refreshTime"]
    assert ["UpdateFailed"] == await events(bench, server)
    assert 1 == sum(r.levelno == logging.WARNING for r in caplog.records)
    assert (2, 2, True) == (bench.record.failures, bench.record.sync_errors, bench.record.waiting)
    assert 1.8 <= bench.due_in() <= 2.0


async def test_failure_that_only_a_change_can_mend_waits_for_the_next_refresh(bench, server, play) -> None:
    """The change may be one at the store, which nobody tells of."""
    server.otherwise = play.says(200, written())

    await end(bench, failure(KubeInvalid("data[ä]: Invalid value", status=422)))

    assert 3240 <= bench.due_in() <= 3600


async def test_failure_that_only_a_change_can_mend_is_not_tried_again_where_nothing_is_refreshed(
    bench, server, play
) -> None:
    server.otherwise = play.says(200, written())
    bench.engine.queue.schedule(bench.key, bench.engine.queue.now() + 5)

    await end(bench, failure(SpecError("spec.data[0] is wrong")), timedelta(0))

    assert bench.due_in() is None


async def test_object_without_an_interval_waits_an_hour_at_most_after_many_failures(
    bench, server, play
) -> None:
    """Each try costs a call to the store."""
    server.otherwise = play.says(200, written())
    bench.record.failures = 20

    await end(bench, failure(Unavailable("no answer")), timedelta(0))

    assert 3600 <= bench.due_in() <= 3960


async def test_read_that_waits_for_its_turn_is_no_failure_of_what_is_in_sync(bench, server) -> None:
    await end(bench, failure(deferred(7.0)))

    assert [] == server.seen
    assert (0, 0, True) == (bench.record.failures, bench.record.sync_errors, bench.record.waiting)
    assert 7.0 <= bench.due_in() <= 7.7


PAUSED = b'{"conditions":[{"type":"Ready","status":"Unknown","reason":"Paused"}]}'


@pytest.mark.parametrize("status", [b"{}", PAUSED], ids=["new", "paused-so-far"])
async def test_read_that_waits_for_its_turn_is_told_where_nothing_is_told_yet(
    bench, server, play, status
) -> None:
    server.otherwise = play.says(200, written())
    bench.record.status = status

    await end(bench, failure(deferred(7.0)))

    (status,) = writes(server)
    assert "False" == ready(status)[0]
    assert [] == await events(bench, server)
    assert (0, 0) == (bench.record.failures, bench.record.sync_errors)


async def test_read_that_waits_for_its_turn_loses_no_patience_however_often(bench, server, play) -> None:
    """Ten failures would make it wait for its interval, and the store was never asked."""
    server.otherwise = play.says(200, written())
    bench.record.status = b"{}"

    for _ in range(30):
        await end(bench, failure(deferred(2.0)))

        assert 2.0 <= bench.due_in() <= 2.2


async def test_read_that_waits_for_its_turn_comes_soon_after_many_failures(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    bench.record.failures = 10

    await end(bench, failure(deferred(2.0)))

    assert 10 == bench.record.failures
    assert 2.0 <= bench.due_in() <= 2.2


async def test_read_that_waits_for_its_turn_does_not_hide_a_real_cause(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    await end(bench, failure(RemoteSecretNotFound('remote secret "db" does not exist')))

    await end(bench, failure(deferred(2.0)))

    (status,) = writes(server)
    assert 'remote secret "db" does not exist' in ready(status)[2]
    assert (1, 1) == (bench.record.failures, bench.record.sync_errors)


async def test_event_of_a_failure_is_the_error_and_the_condition_says_what_failed(
    bench, server, play
) -> None:
    server.otherwise = play.says(200, written())

    await end(bench, failure(RemoteSecretNotFound("no such remote secret", hint="Create it")))
    await bench.engine.events.flush(5)

    (status,) = writes(server)
    (event,) = [seen.json()["message"] for seen in server.seen if seen.path.endswith("/events")]
    assert "no such remote secret. Create it" == event
    assert f"could not get secret data from provider: {event}" == ready(status)[2]


async def test_conflict_over_something_else_is_written_on_the_new_version(
    bench, server, play, external_secret
) -> None:
    """Somebody else wrote the status, or a field that does not count."""
    bench.clock.advance(1000)
    server.script.extend(
        [
            play.refuses(409, "modified"),
            play.says(200, external_secret(metadata__resourceVersion="150000")),
            play.says(200, written()),
        ]
    )

    await end(bench, success(bench))

    sent = [seen for seen in server.seen if seen.method == "PUT"]
    assert ["100000", "150000"] == [one.json()["metadata"]["resourceVersion"] for one in sent]
    assert sent[0].json()["status"] == sent[1].json()["status"]
    assert ("200000", b"") == (bench.record.resource_version, bench.record.unwritten)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"metadata__generation": 2}, id="spec"),
        pytest.param({"metadata__labels": {"a": "b"}}, id="labels"),
        pytest.param({"metadata__deletionTimestamp": "2026-01-01T00:00:00Z"}, id="deleted"),
        pytest.param({"metadata__uid": "another"}, id="made-anew"),
    ],
)
async def test_conflict_over_what_counts_throws_the_status_away_and_starts_again(
    bench, server, play, external_secret, change
) -> None:
    bench.clock.advance(1000)
    current = external_secret(metadata__resourceVersion="150000", **change)
    server.script.extend([play.refuses(409, "modified"), play.says(200, current)])

    await end(bench, success(bench))

    assert ["PUT", "GET"] == [seen.method for seen in server.seen]
    assert b"" == bench.record.unwritten
    claim = await bench.engine.queue.take()
    assert (bench.key, Lane.USER) == (claim.key, claim.lane)


async def test_conflict_over_an_object_that_is_gone_forgets_it(bench, server, play) -> None:
    bench.clock.advance(1000)
    server.script.extend([play.refuses(409, "modified"), play.refuses(404, "not found")])

    await write_after_success(bench)

    assert (False, 0) == (bench.key in bench.engine.books.external_secrets, len(bench.engine.queue))


async def write_after_success(bench):
    """The end of a sync, without the schedule that follows."""
    bench.record.unwritten = b'{"refreshTime":"2026-01-01T12:16:40Z"}'
    await write_pending(bench.engine, bench.key, bench.record)


async def test_status_of_an_object_that_is_gone_is_forgotten_with_it(bench, server, play) -> None:
    server.otherwise = play.refuses(404, "not found")

    await write_after_success(bench)

    assert (False, 0) == (bench.key in bench.engine.books.external_secrets, len(bench.engine.queue))
    assert 1 == len(server.seen)


async def test_status_that_the_schema_refuses_is_given_up(bench, server, play, caplog) -> None:
    """An object older than the rules: the same status would be refused for ever."""
    server.otherwise = play.refuses(422, "spec.target: Invalid value")

    await write_after_success(bench)

    assert b"" == bench.record.unwritten
    assert 1 == len(server.seen)
    assert "spec.target: Invalid value" in caplog.text


@pytest.mark.parametrize("code", [403, 500, 503])
async def test_status_that_cannot_be_written_now_stays_to_be_written(bench, server, play, code) -> None:
    server.otherwise = play.refuses(code, "no")

    await write_after_success(bench)

    assert b'{"refreshTime":"2026-01-01T12:16:40Z"}' == bench.record.unwritten
    assert "2026-01-01T12:16:40Z" == bench.record.read_status().refresh_time


async def test_endless_conflicts_end_after_three_tries_and_lose_nothing(
    bench, server, play, external_secret
) -> None:
    async def answer(request):
        if request.method == "PUT":
            return await play.refuses(409, "modified")(request)
        return await play.says(200, external_secret(metadata__resourceVersion=str(len(server.seen))))(request)

    server.otherwise = answer

    await write_after_success(bench)

    assert 3 == sum(seen.method == "PUT" for seen in server.seen)
    assert bench.record.unwritten


async def test_conflict_during_an_outage_is_not_taken_for_a_change(bench, server, play) -> None:
    server.script.extend([play.refuses(409, "modified"), play.refuses(500, "no"), play.says(200, written())])

    await write_after_success(bench)

    assert ["PUT", "GET", "PUT"] == [seen.method for seen in server.seen]
    assert b"" == bench.record.unwritten


async def test_unwritten_status_is_tried_soon_and_the_refresh_keeps_its_time(bench, server, play) -> None:
    """One failed write must not lead to a new read of the store."""
    queue = bench.engine.queue
    refresh = queue.now() + 3000
    queue.schedule(bench.key, refresh)
    server.script.append(play.refuses(500, "no"))
    await write_after_success(bench)

    retry_status(bench.engine, bench.key, bench.record)

    assert 0.9 <= bench.due_in() <= 1.0
    bench.clock.advance(1)
    server.script.append(play.says(200, written()))
    claim = Claim(bench.key, Lane.RETRY, queue.now())
    assert await write_behind(bench.engine, claim, bench.record)
    assert (b"", refresh) == (bench.record.unwritten, queue.due_at(bench.key))


async def test_unwritten_status_of_what_rests_is_tried_and_then_it_rests_again(bench, server, play) -> None:
    server.script.append(play.refuses(500, "no"))
    await write_after_success(bench)
    retry_status(bench.engine, bench.key, bench.record)
    bench.engine.queue.unschedule(bench.key)  # it is handed out
    bench.clock.advance(1)
    server.script.append(play.says(200, written()))

    claim = Claim(bench.key, Lane.RETRY, bench.engine.queue.now())

    assert await write_behind(bench.engine, claim, bench.record)
    assert bench.due_in() is None


async def pauses_until(bench, tries):
    """The pauses between this many tries to write the status, each as soon as it is due."""
    pauses = []
    for _ in range(tries):
        pauses.append(bench.due_in())
        bench.clock.advance(bench.due_in())
        bench.engine.queue.unschedule(bench.key)  # it is handed out
        claim = Claim(bench.key, Lane.RETRY, bench.engine.queue.now())
        assert await write_behind(bench.engine, claim, bench.record)
    return pauses


@pytest.mark.parametrize("code", [403, 500])
async def test_unwritten_status_is_tried_ever_more_rarely_and_logged_once(
    bench, server, play, caplog, code
) -> None:
    server.otherwise = play.refuses(code, "no")
    await write_after_success(bench)
    retry_status(bench.engine, bench.key, bench.record)

    pauses = await pauses_until(bench, 9)

    for pause, most in zip(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60], strict=True):
        assert most * 0.9 <= pause <= most
    assert bench.record.unwritten
    assert 10 == len(server.seen)
    assert 1 == sum(record.levelno == logging.WARNING for record in caplog.records)


async def test_series_of_refusals_ends_with_the_write(bench, server, play, caplog) -> None:
    """The next one is told and tried as the first."""
    server.otherwise = play.refuses(500, "no")
    await write_after_success(bench)
    retry_status(bench.engine, bench.key, bench.record)
    await pauses_until(bench, 4)
    server.script.append(play.says(200, written()))
    await pauses_until(bench, 1)
    assert b"" == bench.record.unwritten

    await write_after_success(bench)
    retry_status(bench.engine, bench.key, bench.record)

    assert 0.9 <= bench.due_in() <= 1.0
    assert 2 == sum(record.levelno == logging.WARNING for record in caplog.records)


async def test_refreshes_do_not_try_a_refused_status_more_often(bench, server, play) -> None:
    """The interval may be a second; the status waits for its own time and goes with the look that is due then."""
    server.otherwise = play.refuses(403, "no")
    for _ in range(60):
        await end(bench, success(bench), timedelta(seconds=1))
        retry_status(bench.engine, bench.key, bench.record)
        assert bench.due_in() <= 1.0
        bench.clock.advance(1)
        claim = Claim(bench.key, Lane.PERIODIC, bench.engine.queue.now())
        assert not await write_behind(bench.engine, claim, bench.record)

    assert 6 == len(server.seen)  # at once, and after 1, 2, 4, 8, 16 and 32 s


async def test_object_that_is_gone_takes_the_series_with_it(bench, server, play) -> None:
    server.script.append(play.refuses(403, "no"))
    await write_after_success(bench)

    forget(bench.engine, bench.key)

    assert {} == bench.engine.debts.external_secrets


@pytest.mark.parametrize("lane", [Lane.USER, Lane.EVENT, Lane.PERIODIC])
async def test_key_that_comes_for_another_reason_is_looked_at_after_the_write(
    bench, server, play, lane
) -> None:
    server.otherwise = play.says(200, written())
    bench.record.unwritten, bench.record.resume_at = b"{}", float("inf")

    claim = Claim(bench.key, lane, bench.engine.queue.now())

    assert not await write_behind(bench.engine, claim, bench.record)
    assert b"" == bench.record.unwritten


async def test_own_work_that_is_due_meanwhile_is_done_with_the_write(bench, server, play) -> None:
    server.otherwise = play.says(200, written())
    bench.record.unwritten, bench.record.resume_at = b"{}", bench.engine.queue.now()

    claim = Claim(bench.key, Lane.RETRY, bench.engine.queue.now())

    assert not await write_behind(bench.engine, claim, bench.record)


async def test_end_of_a_sync_that_is_cancelled_leaves_its_status_to_be_written(bench, server, play) -> None:
    server.otherwise = play.hangs
    bench.clock.advance(1000)
    ending = asyncio.create_task(end(bench, success(bench)))
    await play.until(lambda: server.seen)

    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)

    assert bench.record.unwritten
