from __future__ import annotations

import asyncio

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import Claim, Lane, QueueClosed, WorkQueue
from keyferry.testing.looptime import settle, virtual_time


def key(name: str = "db") -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-a", name)


async def take_now(queue: WorkQueue) -> Claim | None:
    """What the queue has for a worker at this very moment."""
    try:
        async with asyncio.timeout(0.001):
            return await queue.take()
    except TimeoutError:
        return None


@virtual_time
async def test_key_added_many_times_is_handed_out_once() -> None:
    queue = WorkQueue(most_out=8)
    for lane in (Lane.PERIODIC, Lane.USER, Lane.EVENT, Lane.USER, Lane.RETRY):
        queue.add(key(), lane)

    claim = await queue.take()

    assert Claim(key(), Lane.USER, 1000.0) == claim
    assert await take_now(queue) is None
    queue.done(key())
    assert await take_now(queue) is None
    assert 0 == len(queue)


@virtual_time
async def test_key_changed_while_out_is_not_handed_out_before_done() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.USER)
    await queue.take()

    queue.add(key(), Lane.USER)

    assert await take_now(queue) is None
    assert 1 == queue.depth(Lane.USER)


@virtual_time
async def test_key_changed_often_while_out_gets_exactly_one_more_turn() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.PERIODIC)
    await queue.take()
    for lane in (Lane.PERIODIC, Lane.RETRY, Lane.USER, Lane.EVENT):
        queue.add(key(), lane)

    queue.done(key())

    assert Claim(key(), Lane.USER, queue.now()) == await take_now(queue)
    queue.done(key())
    assert await take_now(queue) is None
    assert queue.idle


@virtual_time
async def test_turn_after_a_change_asks_for_answers_from_the_change_on() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.USER)
    await queue.take()
    await asyncio.sleep(5)
    queue.add(key(), Lane.USER)
    changed_at = queue.now()
    await asyncio.sleep(7)
    queue.done(key())

    claim = await queue.take()

    assert changed_at == claim.fresh_from


@virtual_time
async def test_freshest_wish_of_those_who_added_it_holds() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.PERIODIC, fresh_from=900.0)
    queue.add(key(), Lane.PERIODIC, fresh_from=950.0)
    queue.add(key(), Lane.PERIODIC, fresh_from=800.0)

    claim = await queue.take()

    assert 950.0 == claim.fresh_from


@virtual_time
async def test_freshness_of_a_served_wish_does_not_bind_the_next_one() -> None:
    queue = WorkQueue(most_out=8)
    queue.schedule(key(), 2000.0)  # keeps the key known between its turns
    queue.add(key(), Lane.USER)
    await queue.take()
    queue.done(key())

    queue.add(key(), Lane.PERIODIC, fresh_from=900.0)

    assert Claim(key(), Lane.PERIODIC, 900.0) == await queue.take()


@virtual_time
async def test_forgotten_key_is_not_handed_out() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.USER)
    queue.schedule(key(), 1005.0)

    queue.forget(key())

    await asyncio.sleep(10)
    assert await take_now(queue) is None
    assert 0 == len(queue)
    assert queue.idle


@virtual_time
async def test_key_forgotten_while_out_ends_with_its_work() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.USER)
    await queue.take()
    queue.add(key(), Lane.USER)
    queue.schedule(key(), 1005.0)

    queue.forget(key())
    queue.done(key())

    await asyncio.sleep(10)
    assert await take_now(queue) is None
    assert 0 == len(queue)


@virtual_time
async def test_key_forgotten_and_created_anew_while_out_waits_for_the_old_work() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key(), Lane.USER)
    await queue.take()
    queue.forget(key())
    queue.add(key(), Lane.USER)

    assert await take_now(queue) is None
    queue.done(key())
    assert Claim(key(), Lane.USER, 1000.0) == await take_now(queue)


@virtual_time
async def test_key_forgotten_and_created_anew_while_it_waits_is_handed_out_once() -> None:
    queue = WorkQueue(most_out=8)
    for _ in range(3):
        queue.add(key(), Lane.USER)
        queue.forget(key())
    queue.add(key(), Lane.USER)

    await queue.take()
    queue.done(key())

    assert await take_now(queue) is None
    assert 0 == queue.depth(Lane.USER)


@virtual_time
async def test_waiting_worker_gets_a_key_as_soon_as_it_is_added() -> None:
    queue = WorkQueue(most_out=8)
    worker = asyncio.create_task(queue.take())
    await settle()

    queue.add(key(), Lane.EVENT)

    assert key() == (await worker).key
    assert 1000.0 == queue.now()


@virtual_time
async def test_cancelled_worker_loses_no_key() -> None:
    """Cancelled at the very moment at which a key was given to it."""
    queue = WorkQueue(most_out=8)
    worker = asyncio.create_task(queue.take())
    await settle()
    queue.add(key(), Lane.EVENT, fresh_from=990.0)
    worker.cancel()
    await asyncio.wait([worker])

    assert worker.cancelled()
    assert Claim(key(), Lane.EVENT, 990.0) == await take_now(queue)
    assert 1 == queue.out


@virtual_time
async def test_key_goes_past_a_cancelled_worker_to_the_next() -> None:
    queue = WorkQueue(most_out=8)
    cancelled, waiting = asyncio.create_task(queue.take()), asyncio.create_task(queue.take())
    await settle()
    cancelled.cancel()

    queue.add(key(), Lane.EVENT)

    assert key() == (await waiting).key


@virtual_time
async def test_workers_that_give_up_leave_nothing_behind() -> None:
    """White box: a waiting line that only grows would be a leak."""
    queue = WorkQueue(most_out=8)

    for _ in range(100):
        assert await take_now(queue) is None

    assert 0 == len(queue._idle)


@virtual_time
async def test_close_releases_all_workers() -> None:
    queue = WorkQueue(most_out=8)
    workers = [asyncio.create_task(queue.take()) for _ in range(5)]
    await settle()

    queue.close()

    ended = await asyncio.gather(*workers, return_exceptions=True)
    assert [QueueClosed] * 5 == [type(one) for one in ended]


@virtual_time
async def test_closed_queue_hands_out_nothing_more() -> None:
    queue = WorkQueue(most_out=8)
    queue.add(key("out"), Lane.USER)
    await queue.take()
    queue.schedule(key("later"), 1005.0)
    queue.close()

    queue.add(key("new"), Lane.USER)
    queue.schedule(key("soon"), 1001.0)
    queue.done(key("out"))
    await asyncio.sleep(10)

    with pytest.raises(QueueClosed):
        await queue.take()
    assert 0 == queue.out
