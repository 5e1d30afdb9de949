"""A key that waits for something slow holds back nobody: it is set aside and does not count as out."""

from __future__ import annotations

import asyncio

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import _ASIDE_FACTOR, Lane, WorkQueue
from keyferry.testing.looptime import settle, virtual_time


def key(name: object) -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-a", str(name))


async def full_queue(most_out: int = 2) -> WorkQueue:
    """A queue whose slots are taken by keys 0, 1, …; one more key waits."""
    queue = WorkQueue(most_out)
    for number in range(most_out):
        queue.add(key(number), Lane.USER)
        await queue.take()
    queue.add(key("other"), Lane.USER)
    return queue


@virtual_time
async def test_slots_of_keys_set_aside_go_to_others() -> None:
    queue = await full_queue()
    waiting = asyncio.create_task(queue.take())
    await settle()
    assert not waiting.done()

    for number in range(2):
        queue.set_aside(key(number))

    assert key("other") == (await waiting).key
    assert 1 == queue.out


@virtual_time
async def test_key_set_aside_is_still_worked_on_by_one_alone() -> None:
    queue = await full_queue(most_out=4)
    queue.set_aside(key(0))
    queue.set_aside(key(1))  # half of them: now it hands out again
    queue.add(key(0), Lane.USER)

    assert key("other") == (await queue.take()).key
    again = asyncio.create_task(queue.take())
    await settle()
    assert not again.done()

    queue.done(key(0))
    assert key(0) == (await again).key


@virtual_time
async def test_key_taken_back_counts_again_and_can_be_done() -> None:
    queue = await full_queue()
    queue.set_aside(key(0))
    queue.take_back(key(0))
    queue.take_back(key(0))
    queue.take_back(key("never aside"))
    assert 2 == queue.out

    for number in range(2):
        queue.done(key(number))

    assert 0 == queue.out
    assert not queue.idle  # one waits


@pytest.mark.parametrize("aside", [False, True], ids=["counted", "set aside"])
@virtual_time
async def test_end_of_the_work_frees_what_it_held(aside: bool) -> None:
    queue = WorkQueue(most_out=2)
    queue.add(key(0), Lane.USER)
    await queue.take()
    if aside:
        queue.set_aside(key(0))
        queue.set_aside(key(0))
    assert not queue.idle

    queue.done(key(0))

    assert (0, True) == (queue.out, queue.idle)


@virtual_time
async def test_key_forgotten_while_set_aside_leaves_nothing_behind() -> None:
    queue = WorkQueue(most_out=2)
    queue.add(key(0), Lane.USER)
    await queue.take()
    queue.set_aside(key(0))

    queue.forget(key(0))
    queue.done(key(0))

    assert (0, 0, True) == (len(queue), queue.out, queue.idle)


@virtual_time
async def test_number_of_keys_set_aside_is_bounded() -> None:
    """Each holds a task: a store that hangs for ten thousand objects must not cost memory without end."""
    queue = WorkQueue(most_out=1)
    taken = 0
    for number in range(_ASIDE_FACTOR + 5):
        queue.add(key(number), Lane.USER)
    for _ in range(_ASIDE_FACTOR + 1):
        claim = await queue.take()
        queue.set_aside(claim.key)
        taken += 1
    waiting = asyncio.create_task(queue.take())
    await settle()

    assert not waiting.done()
    assert (1, _ASIDE_FACTOR + 1) == (queue.out, taken)
    waiting.cancel()
