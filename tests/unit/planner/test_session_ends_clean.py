from __future__ import annotations

import asyncio

import pytest

from keyferry.errors import Unavailable
from keyferry.planner.cache import AnswerCache
from keyferry.testing.looptime import settle, virtual_time


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.5, 1.5], ids=lambda moment: f"after {moment} s")
@virtual_time
async def test_close_leaves_no_task_and_no_reader_behind(open_desk, moment: float) -> None:
    """Closed while questions wait for their batch, for a slot, for their answer, and for a second try."""
    before = asyncio.all_tasks()
    desk = open_desk(batch_size=2, max_concurrency=2, latency_s=1.0)
    desk.client.next_calls.append(Unavailable("hiccup"))
    readers = [asyncio.create_task(desk.ask(f"k{n}", version="7" * (n % 2))) for n in range(20)]
    await settle()
    if moment:
        await asyncio.sleep(moment)

    await desk.session.close()

    answers = await asyncio.gather(*readers)
    assert before == asyncio.all_tasks()
    told = {one.message for one in answers if not isinstance(one, str)}
    assert told <= {"the store's connection is being replaced", "the call to the store was cancelled"}
    assert told
    assert desk.client.closed
    asked = len(desk.client.calls)
    await asyncio.sleep(100)
    assert (asked, []) == (len(desk.client.calls), desk.client.broken_promises)


@virtual_time
async def test_closed_session_asks_no_more(open_desk) -> None:
    """A reader may hold a session that was closed meanwhile."""
    desk = open_desk()
    await desk.ask("db")
    await desk.session.close()

    assert "the store's connection is being replaced" == (await desk.ask("db")).message
    assert [] == desk.client.broken_promises


@virtual_time
async def test_close_ends_the_probing(open_desk) -> None:
    before = asyncio.all_tasks()
    desk = open_desk()
    desk.client.outage = Unavailable("down")
    await desk.ask("db", retries=())
    await asyncio.sleep(3)

    await desk.session.close()

    asked = len(desk.client.calls)
    await asyncio.sleep(1000)
    assert (asked, 0) == (len(desk.client.calls), desk.recoveries)
    assert before == asyncio.all_tasks()


@virtual_time
async def test_close_forgets_the_answers_of_this_identity_alone(open_desk) -> None:
    cache = AnswerCache()
    mine, theirs = open_desk(cache=cache, fingerprint="mine"), open_desk(cache=cache, fingerprint="theirs")
    await asyncio.gather(mine.ask("db"), theirs.ask("db"))

    await mine.session.close()

    assert 1 == len(cache)
    await theirs.ask("db")
    assert 1 == len(theirs.client.calls)


@virtual_time
async def test_answer_that_comes_after_the_end_is_not_kept(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    ended = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.set()

    desk.client.next_calls.append(stubborn)
    reader = asyncio.create_task(desk.ask("db"))
    await asyncio.sleep(1)

    await desk.session.close()

    await reader
    assert ended.is_set()
    assert 0 == len(desk.cache)


@virtual_time
async def test_session_says_whether_anybody_waits(open_desk) -> None:
    desk = open_desk(latency_s=1.0)
    assert desk.session.idle
    reader = asyncio.create_task(desk.ask("db"))
    await settle()
    assert not desk.session.idle

    await reader
    await settle()

    assert desk.session.idle


@virtual_time
async def test_session_tells_its_state_and_no_key(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(Unavailable("down"))
    assert "<StoreSession fp ready, 0 under way>" == repr(desk.session)
    await desk.ask("secret-name", retries=())

    assert "<StoreSession fp open breaker, 0 under way>" == repr(desk.session)
