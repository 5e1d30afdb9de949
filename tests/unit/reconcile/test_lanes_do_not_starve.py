from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import HEAD_START_S, Lane, WorkQueue
from keyferry.testing.looptime import virtual_time


def key(name: object) -> ObjectKey:
    return ObjectKey("ExternalSecret", "team-a", str(name))


async def drain(queue: WorkQueue) -> list[str]:
    """The names of all that wait, in the order in which they are handed out."""
    names = []
    while not queue.idle:
        claim = await queue.take()
        names.append(claim.key.name)
        queue.done(claim.key)
    return names


async def serve(queue: WorkQueue, seconds_each: float, note: Callable[[str, float], None]) -> None:
    """One worker that needs so long for each key."""
    while True:
        claim = await queue.take()
        note(claim.key.name, queue.now())
        await asyncio.sleep(seconds_each)
        queue.done(claim.key)


@virtual_time
async def test_more_urgent_lanes_go_first() -> None:
    queue = WorkQueue(most_out=1)
    for lane in reversed(Lane):
        queue.add(key(lane.name), lane)

    assert ["STORE", "USER", "EVENT", "RETRY", "PERIODIC"] == await drain(queue)


@virtual_time
async def test_keys_of_a_lane_go_in_the_order_of_their_arrival() -> None:
    queue = WorkQueue(most_out=1)
    names = [f"{n:03}" for n in range(200)]
    for name in names:
        queue.add(key(name), Lane.EVENT)

    assert names == await drain(queue)


@pytest.mark.parametrize("lane", [lane for lane in Lane if lane > Lane.USER])
@virtual_time
async def test_key_that_has_waited_longer_than_the_head_start_goes_before_new_ones(lane: Lane) -> None:
    queue = WorkQueue(most_out=1)
    queue.add(key("patient"), lane)
    await asyncio.sleep(HEAD_START_S[lane] - HEAD_START_S[Lane.USER] - 0.1)
    queue.add(key("just before"), Lane.USER)
    await asyncio.sleep(0.2)
    queue.add(key("just after"), Lane.USER)

    assert ["just before", "patient", "just after"] == await drain(queue)


@virtual_time
async def test_periodic_key_gets_its_turn_under_a_flood_of_user_keys() -> None:
    """User keys come faster than they are served: what came 59 s after the periodic key goes behind it."""
    arrivals_per_s, service_s = 20, 0.1
    queue = WorkQueue(most_out=1)
    served: dict[str, float] = {}
    worker = asyncio.create_task(serve(queue, service_s, served.setdefault))
    queue.add(key("periodic"), Lane.PERIODIC)
    lead_s = HEAD_START_S[Lane.PERIODIC] - HEAD_START_S[Lane.USER]
    ahead = round(lead_s * arrivals_per_s)

    for number in range(3 * ahead):
        queue.add(key(number), Lane.USER)
        await asyncio.sleep(1 / arrivals_per_s)

    worker.cancel()
    waited = served["periodic"] - 1000.0
    assert ahead * service_s == pytest.approx(waited, abs=2 * service_s)


@virtual_time
async def test_lasting_flood_of_all_lanes_costs_each_lane_no_more_than_its_head_start() -> None:
    queue = WorkQueue(most_out=1)
    turns: dict[str, int] = dict.fromkeys((lane.name for lane in Lane), 0)

    def note(name: str, _: float) -> None:
        turns[name.split(maxsplit=1)[0]] += 1

    worker = asyncio.create_task(serve(queue, 0.1, note))
    for number in range(3000):
        for lane in Lane:  # 10 of each a second, and 10 turns a second for all of them
            queue.add(key(f"{lane.name} {number}"), lane)
        await asyncio.sleep(0.1)

    worker.cancel()
    behind = {lane: turns[Lane.STORE.name] - turns[lane.name] for lane in Lane}
    assert {lane: pytest.approx(10 * HEAD_START_S[lane], abs=2) for lane in Lane} == behind


@virtual_time
async def test_key_that_moves_up_takes_its_waiting_time_along() -> None:
    """It must not go to the end of the better lane: there it would wait anew, behind the whole flood."""
    queue = WorkQueue(most_out=1)
    queue.add(key("patient"), Lane.PERIODIC)
    await asyncio.sleep(70)
    for number in range(100):
        queue.add(key(number), Lane.USER)

    queue.add(key("patient"), Lane.USER)

    assert "patient" == (await drain(queue))[0]


@virtual_time
async def test_key_that_changed_while_out_takes_its_waiting_time_along() -> None:
    queue = WorkQueue(most_out=1)
    queue.add(key("slow"), Lane.USER)
    await queue.take()
    queue.add(key("slow"), Lane.USER)
    await asyncio.sleep(30)  # its work takes long
    for number in range(100):
        queue.add(key(number), Lane.USER)

    queue.done(key("slow"))

    assert "slow" == (await drain(queue))[0]


@virtual_time
async def test_less_urgent_reason_does_not_hold_a_key_back() -> None:
    queue = WorkQueue(most_out=1)
    queue.add(key("first"), Lane.USER)
    queue.add(key("second"), Lane.USER)

    queue.add(key("first"), Lane.PERIODIC)

    assert ["first", "second"] == await drain(queue)
    assert 0 == queue.depth(Lane.PERIODIC)


@virtual_time
async def test_restricted_queue_hands_out_only_the_first_lanes() -> None:
    queue = WorkQueue(most_out=4)
    queue.restrict(Lane.STORE)
    queue.add(key("object"), Lane.USER)
    queue.add(key("store"), Lane.STORE)
    workers = [asyncio.create_task(queue.take()) for _ in range(2)]
    done, waiting = await asyncio.wait(workers, timeout=3600)

    assert ["store"] == [task.result().key.name for task in done]
    assert 1 == len(waiting)


@virtual_time
async def test_lifting_the_restriction_wakes_those_who_wait() -> None:
    queue = WorkQueue(most_out=4)
    queue.restrict(Lane.STORE)
    workers = [asyncio.create_task(queue.take()) for _ in range(2)]
    queue.add(key("user"), Lane.USER)
    queue.add(key("periodic"), Lane.PERIODIC)
    await asyncio.sleep(1)

    queue.restrict(max(Lane))

    claims = await asyncio.gather(*workers)
    assert ["user", "periodic"] == [claim.key.name for claim in claims]


@virtual_time
async def test_oldest_wait_counts_beyond_the_head_start() -> None:
    queue = WorkQueue(most_out=4)
    assert 0.0 == queue.oldest_wait_s()
    queue.add(key("periodic"), Lane.PERIODIC)
    await asyncio.sleep(10)
    assert 0.0 == queue.oldest_wait_s()
    await asyncio.sleep(60)

    assert 10.0 == queue.oldest_wait_s()
    await queue.take()
    assert 0.0 == queue.oldest_wait_s()
