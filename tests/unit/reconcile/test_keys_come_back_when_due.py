from __future__ import annotations

import asyncio
import sys

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import Claim, Lane, WorkQueue
from keyferry.testing.looptime import virtual_time


def key(name: object = "db") -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-a", str(name))


@virtual_time
async def test_scheduled_key_comes_at_its_time_in_its_lane() -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 1060.0, Lane.RETRY)

    claim = await queue.take()

    assert Claim(key(), Lane.RETRY, 1060.0) == claim
    assert 1060.0 == queue.now()
    assert queue.due_at(key()) is None


@pytest.mark.parametrize("at", [1000.0, 999.0, 0.0, -1.0])
@virtual_time
async def test_key_scheduled_for_now_or_the_past_comes_at_once(at: float) -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), at)

    claim = await queue.take()

    assert key() == claim.key
    assert 1000.0 == queue.now()


@pytest.mark.parametrize("second", [1010.0, 1100.0], ids=["sooner", "later"])
@virtual_time
async def test_second_schedule_replaces_the_first(second: float) -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 1050.0, Lane.PERIODIC)
    queue.schedule(key(), second, Lane.RETRY)

    claim = await queue.take()

    assert (Lane.RETRY, second) == (claim.lane, queue.now())
    queue.done(key())
    await asyncio.sleep(200)
    assert (0, True) == (len(queue), queue.idle)


@virtual_time
async def test_schedule_for_the_same_time_takes_the_new_lane() -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 1050.0, Lane.PERIODIC)
    queue.schedule(key(), 1050.0, Lane.RETRY)

    assert Lane.RETRY == (await queue.take()).lane


@virtual_time
async def test_unscheduled_key_does_not_come() -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 1050.0)

    queue.unschedule(key())

    assert queue.due_at(key()) is None
    await asyncio.sleep(100)
    assert queue.idle


@virtual_time
async def test_nothing_is_kept_of_an_unscheduled_key() -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 1050.0)

    queue.unschedule(key())

    assert 0 == len(queue)


@virtual_time
async def test_change_does_not_cancel_the_schedule() -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 1050.0)
    queue.add(key(), Lane.USER)
    await queue.take()
    queue.done(key())

    assert 1050.0 == queue.due_at(key())
    await queue.take()
    assert 1050.0 == queue.now()


@virtual_time
async def test_key_that_falls_due_while_out_gets_one_more_turn() -> None:
    queue = WorkQueue(most_out=4)
    queue.add(key(), Lane.USER)
    await queue.take()
    queue.schedule(key(), 1010.0)
    await asyncio.sleep(20)
    assert 1 == queue.depth(Lane.PERIODIC)

    queue.done(key())

    assert Claim(key(), Lane.PERIODIC, 1010.0) == await queue.take()


@virtual_time
async def test_many_keys_come_in_the_order_of_their_times() -> None:
    queue = WorkQueue(most_out=1)
    for number in range(100):
        queue.schedule(key(number), 1000.0 + (number * 37) % 100)
    times = []
    for _ in range(100):
        claim = await queue.take()
        times.append(queue.now())
        queue.done(claim.key)

    assert [1000.0 + number for number in range(100)] == times


@virtual_time
async def test_heap_stays_small_under_a_million_reschedules() -> None:
    """White box: the heap is where a leak would be, since replaced schedules stay in it for a while."""
    queue = WorkQueue(most_out=4)
    keys = [key(number) for number in range(100)]
    largest = 0

    for number in range(1_000_000):
        queue.schedule(keys[number % 100], 2000.0 + number % 977)
        largest = max(largest, len(queue._heap))

    assert largest <= 2 * 100 + 64 + 1
    assert 100 == len(queue)


@pytest.mark.parametrize("times", [(2000.0,), (2000.0, 3000.0)], ids=["the same time", "two times in turn"])
@virtual_time
async def test_heap_stays_small_when_the_same_times_come_back(times: tuple[float, ...]) -> None:
    """White box, as above. Items must not count as good because their time happens to be the right one."""
    queue = WorkQueue(most_out=4)

    for number in range(10_000):
        queue.unschedule(key())
        queue.schedule(key(), times[number % len(times)])

    assert len(queue._heap) <= 2 + 64 + 1


@virtual_time
async def test_lanes_stay_small_when_keys_come_and_go_while_nothing_is_handed_out() -> None:
    """White box. All workers hang, for example in an outage, and objects are created and deleted."""
    queue = WorkQueue(most_out=4)
    queue.restrict(Lane.STORE)

    for number in range(100_000):
        queue.add(key(number), Lane.USER)
        queue.forget(key(number))

    assert 0 == len(queue)
    assert sum(map(len, queue._lanes.values())) <= 64 + 1


@virtual_time
async def test_timer_of_the_loop_is_one() -> None:
    queue = WorkQueue(most_out=4)
    loop = asyncio.get_running_loop()
    for number in range(1000):
        queue.schedule(key(number), 5000.0 - number)  # each is the first to come

    pending = [handle for handle in loop._scheduled if not handle.cancelled()]
    assert 1 == len(pending)


@virtual_time
async def test_entry_of_a_known_key_is_small() -> None:
    queue = WorkQueue(most_out=4)
    queue.schedule(key(), 2000.0)
    entry = queue._entries[key()]

    assert sys.getsizeof(entry) <= 96


@virtual_time
async def test_queue_tells_its_state() -> None:
    queue = WorkQueue(most_out=4)
    queue.add(key("a"), Lane.USER)
    queue.add(key("b"), Lane.USER)
    queue.schedule(key("c"), 2000.0)
    await queue.take()

    assert "<WorkQueue store 0, user 1, event 0, retry 0, periodic 0; out 1; aside 0; known 3>" == repr(queue)
