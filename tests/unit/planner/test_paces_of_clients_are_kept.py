"""A client that waits for its turn by itself says how long that takes; whoever would wait long comes back later."""

from __future__ import annotations

import asyncio
import math

import pytest

from keyferry.planner.cache import Freshness
from keyferry.planner.health import Deferred
from keyferry.planner.session import INLINE_WAIT_S
from keyferry.ports import Find, Found, Read
from keyferry.testing.looptime import virtual_time
from keyferry.testing.storeclient import PacedStoreClient, ScriptedStoreClient


@pytest.fixture
def paced(open_desk):
    def make(**of_client):
        client = PacedStoreClient(**of_client)
        return client, open_desk(client=client)

    return make


@virtual_time
async def test_client_with_room_is_asked(paced) -> None:
    client, desk = paced()
    client.room_s = INLINE_WAIT_S

    assert "value of db" == await desk.ask("db")


@virtual_time
async def test_reader_comes_back_when_there_is_room_and_the_client_is_not_asked(paced) -> None:
    client, desk = paced()
    client.room_s = 3.0

    answer = await desk.ask("db")

    assert Deferred is type(answer)
    assert (3.0, []) == (answer.retry.seconds, client.calls)
    assert (None, 0) == (desk.session.failure, desk.troubles)


@virtual_time
async def test_calls_that_wait_for_a_slot_look_again_before_they_go(paced) -> None:
    """Others may have taken the room meanwhile."""
    client, desk = paced(batch_size=1, max_concurrency=1, latency_s=1.0)

    async def taken() -> None:
        client.room_s = 5.0

    client.next_calls.append(taken)
    answers = await asyncio.gather(*(desk.ask(f"k{number}") for number in range(3)))

    assert ["value of k0", Deferred, Deferred] == [
        one if isinstance(one, str) else type(one) for one in answers
    ]
    assert 1 == len(client.calls)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        pytest.param(PacedStoreClient(batch_size=2, max_concurrency=3), 1, id="paced"),
        pytest.param(ScriptedStoreClient(batch_size=2, max_concurrency=3), 3, id="not-paced"),
    ],
)
@virtual_time
async def test_search_takes_its_turns_one_by_one(open_desk, client, expected) -> None:
    """And leaves the other slots to those who want one value."""
    desk = open_desk(client=client)
    find = Find(path="/")
    client.found[find] = [Found(f"n{number}", Read(f"n{number}")) for number in range(12)]

    found = await desk.session.find(find, Freshness(-math.inf, -math.inf))

    assert 12 == len(found)
    assert expected == client.most_at_once
