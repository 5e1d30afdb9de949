from __future__ import annotations

import asyncio

import pytest

from keyferry.errors import AccessDenied, KubeForbidden, Malformed, ProviderError, RemoteSecretNotFound
from keyferry.planner.cache import AnswerCache, Freshness
from keyferry.ports import Read
from keyferry.testing.looptime import settle, virtual_time
from keyferry.testing.storeclient import ScriptedStoreClient

ALWAYS_NEW = Freshness(float("inf"), float("inf"))


@virtual_time
async def test_thousand_readers_of_one_key_cost_one_call(open_desk) -> None:
    desk = open_desk()

    answers = await asyncio.gather(*(desk.ask("db") for _ in range(1000)))

    assert {"value of db"} == set(answers)
    assert 1 == len(desk.client.calls)
    assert (1, 999) == (desk.session.calls, desk.session.saved)


@virtual_time
async def test_versions_and_metadata_are_other_questions(open_desk) -> None:
    desk = open_desk()

    await asyncio.gather(
        desk.session.read(Read("db"), ALWAYS_NEW),
        desk.session.read(Read("db", "2"), ALWAYS_NEW),
        desk.session.read(Read("db", metadata=True), ALWAYS_NEW),
    )

    assert 3 == sum(len(call.reads) for call in desk.client.calls)


@virtual_time
async def test_question_that_comes_while_the_call_is_under_way_and_needs_no_newer_answer_joins_it(
    open_desk,
) -> None:
    desk = open_desk(latency_s=5.0)
    first = asyncio.create_task(desk.ask("db"))
    await asyncio.sleep(1)

    assert "value of db" == await desk.ask("db", Freshness(1000.5 - 1, 1000.5 - 1))
    await first
    assert 1 == len(desk.client.calls)


@virtual_time
async def test_cancelled_reader_takes_nobody_along(open_desk) -> None:
    desk = open_desk(latency_s=1.0)
    readers = [asyncio.create_task(desk.ask("db")) for _ in range(3)]
    await asyncio.sleep(0.5)
    readers[0].cancel()

    assert ["value of db"] * 2 == await asyncio.gather(*readers[1:])
    assert 1 == len(desk.client.calls)


@virtual_time
async def test_call_whose_readers_have_all_gone_ends_and_frees_its_slot(open_desk) -> None:
    desk = open_desk(max_concurrency=1, latency_s=1.0)
    reader = asyncio.create_task(desk.ask("db"))
    await asyncio.sleep(0.5)
    reader.cancel()

    assert "value of other" == await desk.ask("other")
    assert desk.session.idle


@pytest.mark.parametrize(
    "failure",
    [RemoteSecretNotFound("no such secret"), AccessDenied("not yours"), Malformed("nonsense")],
    ids=lambda failure: failure.reason,
)
@virtual_time
async def test_failure_of_one_item_is_its_own(open_desk, failure: ProviderError) -> None:
    desk = open_desk()
    desk.client.values["bad"] = failure

    bad, *good = await asyncio.gather(*(desk.ask(key) for key in ("bad", "a", "b")))

    assert (type(failure), failure.message) == (type(bad), bad.message)
    assert ["value of a", "value of b"] == good
    assert 1 == len(desk.client.calls)
    assert desk.session.failure is None


@virtual_time
async def test_absent_key_is_remembered_for_those_who_ask_with_patience(open_desk) -> None:
    desk = open_desk()
    desk.client.values["gone"] = RemoteSecretNotFound("no such secret")
    await desk.ask("gone")
    await asyncio.sleep(3)
    now = asyncio.get_running_loop().time()

    patient = await desk.ask("gone", Freshness(values_from=now, failures_from=now - 5))
    assert RemoteSecretNotFound is type(patient)
    assert 1 == len(desk.client.calls)

    desk.client.values.clear()
    assert "value of gone" == await desk.ask("gone", Freshness(values_from=now, failures_from=now))


@virtual_time
async def test_sessions_of_two_identities_share_nothing(open_desk) -> None:
    """The same question, the same cache, at the same time: each is asked with its own credentials."""
    cache = AnswerCache()
    mine = open_desk(cache=cache, fingerprint="mine")
    theirs = open_desk(cache=cache, fingerprint="theirs")
    theirs.client.values["db"] = AccessDenied("not yours")

    got_theirs, got_mine = await asyncio.gather(theirs.ask("db"), mine.ask("db"))
    again_theirs, again_mine = await asyncio.gather(theirs.ask("db"), mine.ask("db"))

    assert ("value of db", "value of db") == (got_mine, again_mine)
    assert (AccessDenied, AccessDenied) == (type(got_theirs), type(again_theirs))
    assert (1, 1) == (len(mine.client.calls), len(theirs.client.calls))


@virtual_time
async def test_readers_do_not_share_the_failure_object(open_desk) -> None:
    """A failure is raised by every reader: a shared one would collect all their frames, values included."""
    desk = open_desk()
    kept = AccessDenied("not yours", hint="ask for it")
    desk.client.values["db"] = kept

    together = await asyncio.gather(desk.ask("db"), desk.ask("db"))
    later = await desk.ask("db")

    assert 4 == len({id(one) for one in (kept, *together, later)})
    assert {"not yours. ask for it"} == {str(one) for one in (*together, later)}


@virtual_time
async def test_failure_that_is_not_the_stores_is_raised_as_it_is(open_desk) -> None:
    """For example no token from the API server: its type and schedule are its own."""
    desk = open_desk()
    desk.client.next_calls.append(KubeForbidden("serviceaccounts is forbidden", status=403))

    results = await asyncio.gather(desk.ask("a"), desk.ask("b"), return_exceptions=True)

    assert [KubeForbidden] * 2 == [type(one) for one in results]
    assert desk.session.failure is None
    assert "value of a" == await desk.ask("a")


@virtual_time
async def test_bug_in_a_client_reaches_its_readers_and_nobody_else(open_desk) -> None:
    desk = open_desk(max_concurrency=1)
    desk.client.next_calls.append(KeyError("a bug"))

    with pytest.raises(KeyError):
        await desk.ask("a")

    assert "value of a" == await desk.ask("a")
    assert desk.session.idle


@virtual_time
async def test_bug_that_nobody_waits_for_any_more_is_no_complaint_of_the_loop(open_desk) -> None:
    desk = open_desk(latency_s=1.0)
    desk.client.next_calls.append(KeyError("a bug"))
    reader = asyncio.create_task(desk.ask("a"))
    await settle()
    reader.cancel()

    await asyncio.sleep(5)  # `virtual_time` fails the test where the loop complains

    assert desk.session.idle


class ShortClient(ScriptedStoreClient):
    """Forgets the last answer."""

    async def read(self, reads):
        return (await super().read(reads))[:-1]


@virtual_time
async def test_client_that_answers_too_little_leaves_nobody_waiting(open_desk) -> None:
    desk = open_desk(client=ShortClient())

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(desk.ask(key) for key in "abc"))

    assert [Malformed] * 3 == [type(one) for one in answers]
    assert desk.session.idle


@virtual_time
async def test_call_that_somebody_else_cancels_leaves_nobody_waiting(open_desk) -> None:
    """Kopf does so when it ends, and it may be started anew: the session must go on."""
    desk = open_desk(max_concurrency=1, latency_s=1.0)
    before = asyncio.all_tasks()
    reader = asyncio.create_task(desk.ask("db"))
    await asyncio.sleep(0.5)
    for task in asyncio.all_tasks() - before - {reader}:
        task.cancel()

    assert "the call to the store was cancelled" == (await reader).message
    assert "value of db" == await desk.ask("db")
    assert desk.session.idle


@virtual_time
async def test_call_cancelled_before_its_first_step_leaves_nobody_waiting(open_desk) -> None:
    """White box: such a task never runs at all, not even its `finally`."""
    desk = open_desk(max_concurrency=1, batch_size=1)
    reader = asyncio.create_task(desk.ask("db"))
    await asyncio.sleep(0)
    (task,) = desk.session._tasks._tasks
    task.cancel()

    async with asyncio.timeout(5):
        assert "the call to the store was cancelled" == (await reader).message
        assert "value of db" == await desk.ask("db")
