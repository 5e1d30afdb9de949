"""A client that waits for its turn by itself says how long that takes; whoever would wait long comes back later."""

from __future__ import annotations

import asyncio
import math

import pytest

from keyferry.planner.cache import Freshness
from keyferry.planner.health import Deferred
from keyferry.planner.turns import LINE_S, LONGEST_AWAY_S, LONGEST_HERE_S
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
    client.room_s = LINE_S

    assert "value of db" == await desk.ask("db")


@virtual_time
async def test_reader_comes_back_when_there_is_room_and_the_client_is_not_asked(paced) -> None:
    client, desk = paced()
    client.room_s = LONGEST_HERE_S + 3

    answer = await desk.ask("db")

    assert Deferred is type(answer)
    assert LONGEST_HERE_S + 3 <= answer.retry.seconds <= LONGEST_AWAY_S
    assert [] == client.calls
    assert (None, 0) == (desk.session.failure, desk.troubles)


@virtual_time
async def test_calls_that_wait_for_a_slot_look_again_before_they_go(paced) -> None:
    """Others may have taken the room meanwhile."""
    client, desk = paced(batch_size=1, max_concurrency=1, latency_s=1.0)

    async def taken() -> None:
        client.room_s = LINE_S + 1

    client.next_calls.append(taken)
    answers = await asyncio.gather(*(desk.ask(f"k{number}") for number in range(3)))

    assert ["value of k0", Deferred, Deferred] == [
        one if isinstance(one, str) else type(one) for one in answers
    ]
    assert 1 == len(client.calls)


@virtual_time
async def test_call_waits_with_us_while_it_would_wait_long_at_the_client(paced) -> None:
    """There its time limit runs."""
    client, desk = paced(latency_s=0.0)
    client.room_s = LINE_S + 1
    began = asyncio.get_running_loop().time()
    asyncio.get_running_loop().call_later(10, setattr, client, "room_s", 0.0)

    assert "value of db" == await desk.ask("db")
    assert 10 <= asyncio.get_running_loop().time() - began <= 11
    assert 1 == len(client.calls)


@virtual_time
async def test_those_without_room_come_back_each_at_its_own_time(paced) -> None:
    """If all came back at once, each would do so as often as there are places in the line."""
    client, desk = paced(batch_size=1, max_concurrency=1, latency_s=1.0)
    client.each_s = 1.0
    asked = [asyncio.create_task(desk.ask(f"k{number}")) for number in range(40)]
    await asyncio.sleep(0)
    away = [one.result().retry.seconds for one in asked if one.done()]

    assert 40 - len(away) == pytest.approx(LONGEST_HERE_S, abs=2)
    assert LONGEST_HERE_S < away[0] < LONGEST_HERE_S + 3
    assert away == sorted(away)
    assert 5 <= len(set(away))
    assert LONGEST_AWAY_S == away[-1]
    await asyncio.gather(*asked)


@virtual_time
async def test_those_who_seemed_to_have_room_are_sent_away_when_others_come(paced) -> None:
    """Who asks at the same moment does not know of each other; the last ones go, and the first ones stay."""
    client, desk = paced(batch_size=1, max_concurrency=1, latency_s=1.0)
    asked = [asyncio.create_task(desk.ask(f"k{number}")) for number in range(40)]
    await asyncio.sleep(0.5)
    assert not any(one.done() for one in asked)
    client.each_s = 3.0

    await asyncio.sleep(1)

    sent_away = [one.done() and isinstance(one.result(), Deferred) for one in asked]
    assert [False] * 10 == sent_away[:10]
    assert [True] * 20 == sent_away[-20:]
    client.each_s = 0.0
    rest = await asyncio.gather(*asked)
    assert [f"value of k{number}" for number in range(10)] == rest[:10]


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
