from __future__ import annotations

import asyncio
import random

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import Lane, WorkQueue
from keyferry.testing.looptime import settle, virtual_time


def key(name: object) -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-a", str(name))


async def fill(queue: WorkQueue, count: int) -> list[ObjectKey]:
    """Take so many keys out."""
    for number in range(count):
        queue.add(key(number), Lane.USER)
    return [(await queue.take()).key for _ in range(count)]


@virtual_time
async def test_full_queue_hands_out_nothing_until_half_of_the_keys_are_done() -> None:
    queue = WorkQueue(most_out=10)
    out = await fill(queue, 10)
    workers = [asyncio.create_task(queue.take()) for _ in range(10)]
    for number in range(20):
        queue.add(key(f"next {number}"), Lane.USER)
    for one in out[:4]:
        queue.done(one)
    await settle()

    assert (6, 0) == (queue.out, sum(task.done() for task in workers))
    queue.done(out[4])
    await settle()
    assert (10, 5) == (queue.out, sum(task.done() for task in workers))


@virtual_time
async def test_queue_that_is_not_full_hands_out_at_once() -> None:
    queue = WorkQueue(most_out=10)
    await fill(queue, 9)

    queue.add(key("urgent"), Lane.USER)

    assert "urgent" == (await queue.take()).key.name


@pytest.mark.parametrize("most_out", [1, 2, 3, 7])
@virtual_time
async def test_all_keys_are_worked_off_whatever_the_limit(most_out: int) -> None:
    queue = WorkQueue(most_out)
    finished = 0
    most_seen = 0

    async def work() -> None:
        nonlocal finished, most_seen
        while True:
            claim = await queue.take()
            most_seen = max(most_seen, queue.out)
            await asyncio.sleep(0.01)
            queue.done(claim.key)
            finished += 1

    for number in range(100):
        queue.add(key(number), Lane.USER)
    workers = [asyncio.create_task(work()) for _ in range(most_out)]
    await asyncio.sleep(60)

    for worker in workers:
        worker.cancel()
    assert (100, most_out) == (finished, most_seen)


@virtual_time
async def test_no_key_is_lost_among_workers_that_are_cancelled_at_any_moment() -> None:
    """Workers die and are replaced all the time; every key is worked on to its end all the same."""
    chance = random.Random(7)
    queue = WorkQueue(most_out=6)
    finished: set[ObjectKey] = set()

    async def work() -> None:
        while True:
            claim = await queue.take()
            try:
                await asyncio.sleep(0.01)
                finished.add(claim.key)
            except asyncio.CancelledError:
                queue.add(claim.key, claim.lane)
                raise
            finally:
                queue.done(claim.key)

    workers = [asyncio.create_task(work()) for _ in range(6)]
    keys = [key(number) for number in range(300)]
    for number, one in enumerate(keys):
        queue.add(one, chance.choice(list(Lane)))
        victim = chance.randrange(6)
        if number % 2:
            workers[victim].cancel()  # perhaps waiting, perhaps just given a key, perhaps at work
            workers[victim] = asyncio.create_task(work())
        if number % 5 == 0:
            await asyncio.sleep(chance.choice([0, 0, 0.003]))
    await asyncio.sleep(60)

    for worker in workers:
        worker.cancel()
    assert set(keys) == finished
    assert 0 == queue.out
