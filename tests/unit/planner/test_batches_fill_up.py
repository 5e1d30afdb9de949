from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.planner.cache import AnswerCache, Freshness
from keyferry.planner.lanes import LINGER_S
from keyferry.planner.session import StoreSession
from keyferry.ports import Read, RemoteValue
from keyferry.testing.looptime import run_virtual, settle, virtual_time
from keyferry.testing.storeclient import ScriptedStoreClient

ANY_AGE = Freshness(float("-inf"), float("-inf"))


@virtual_time
async def test_full_batch_goes_at_once(open_desk) -> None:
    desk = open_desk(batch_size=20)
    readers = [asyncio.create_task(desk.ask(f"k{n}")) for n in range(20)]
    await settle()

    assert [(1000.0, 20)] == [(call.at, len(call.reads)) for call in desk.client.calls]
    await asyncio.gather(*readers)


@virtual_time
async def test_lonely_question_waits_no_longer_than_the_linger(open_desk) -> None:
    desk = open_desk(batch_size=20)

    await desk.ask("db")

    assert [pytest.approx(1000.0 + LINGER_S)] == [call.at for call in desk.client.calls]


@virtual_time
async def test_linger_counts_from_the_first_question(open_desk) -> None:
    """A trickle must not put the call off for ever."""
    desk = open_desk(batch_size=20)
    readers = []
    for number in range(10):
        readers.append(asyncio.create_task(desk.ask(f"k{number}")))
        await asyncio.sleep(LINGER_S * 0.4)
    await asyncio.gather(*readers)

    assert pytest.approx(1000.0 + LINGER_S) == desk.client.calls[0].at
    assert 3 == len(desk.client.calls[0].reads)


@virtual_time
async def test_questions_fill_batches_while_all_slots_are_taken(open_desk) -> None:
    desk = open_desk(batch_size=20, max_concurrency=2, latency_s=1.0)
    readers = []
    for number in range(100):
        readers.append(asyncio.create_task(desk.ask(f"k{number}")))
        await asyncio.sleep(0.02)
    await asyncio.gather(*readers)

    sizes = [len(call.reads) for call in desk.client.calls]
    assert 100 == sum(sizes)
    assert [20, 20] == sizes[2:4]
    assert [] == desk.client.broken_promises


@virtual_time
async def test_rest_of_a_full_batch_goes_too(open_desk) -> None:
    desk = open_desk(batch_size=20, max_concurrency=1, latency_s=1.0)

    async with asyncio.timeout(10):
        await asyncio.gather(*(desk.ask(f"k{n}") for n in range(45)))

    assert [20, 20, 5] == [len(call.reads) for call in desk.client.calls]


@virtual_time
async def test_read_that_may_not_be_batched_goes_alone_and_at_once(open_desk) -> None:
    desk = open_desk(batch_size=20)

    await asyncio.gather(desk.ask("a"), desk.ask("b"), desk.ask("c", version="7"))

    assert [(1000.0, ("c",)), (pytest.approx(1000.0 + LINGER_S), ("a", "b"))] == [
        (call.at, call.keys) for call in desk.client.calls
    ]


@virtual_time
async def test_no_batches_while_the_store_refuses_them(open_desk) -> None:
    desk = open_desk(batch_size=20, max_concurrency=4)
    desk.client.batches = False

    await asyncio.gather(*(desk.ask(f"k{n}") for n in range(10)))

    assert [1] * 10 == [len(call.reads) for call in desk.client.calls]
    assert (4, []) == (desk.client.most_at_once, desk.client.broken_promises)


@pytest.mark.parametrize(("flood", "lonely"), [("7", ""), ("", "7")], ids=["single reads", "batches"])
@virtual_time
async def test_lasting_flood_of_one_kind_does_not_starve_the_other(
    open_desk, flood: str, lonely: str
) -> None:
    desk = open_desk(batch_size=2, max_concurrency=1, latency_s=0.1)

    async def keep_asking() -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while True:  # twice as many as it can answer
                for _ in range(4):
                    number += 1
                    group.create_task(desk.ask(f"flood {number}", version=flood))
                await asyncio.sleep(0.1)

    flooding = asyncio.create_task(keep_asking())
    await asyncio.sleep(5)
    async with asyncio.timeout(1):
        assert "value of lonely" in await desk.ask("lonely", version=lonely)
    flooding.cancel()


arrivals = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.02]),
        st.sampled_from([f"k{n}" for n in range(12)]),
        st.sampled_from(["", "", "2"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=80, derandomize=True, database=None)
@given(arrivals, st.integers(1, 5), st.integers(1, 3))
def test_every_reader_gets_its_own_answer_within_the_limits(steps, batch_size: int, at_once: int) -> None:
    """Any pattern of arrivals, any limits, readers that give up: no promise to the client is broken."""
    client = ScriptedStoreClient(batch_size, at_once, latency_s=0.01)

    async def run() -> None:
        session = StoreSession("fp", client, AnswerCache(max_age_s=0.005), lambda: None)
        readers = []
        for pause, key, version, gives_up in steps:
            await asyncio.sleep(pause)
            reader = asyncio.create_task(session.read(Read(key, version), ANY_AGE))
            readers.append((key, version, reader))
            if gives_up:
                asyncio.get_running_loop().call_later(0.002, reader.cancel)
        async with asyncio.timeout(30):
            await asyncio.gather(*(reader for _, _, reader in readers), return_exceptions=True)
        for key, version, reader in readers:
            if not reader.cancelled():
                answer = reader.result()
                assert isinstance(answer, RemoteValue)
                assert f"value of {key}{version and '@'}{version}" == answer.value.reveal().decode()
        await asyncio.sleep(1)
        assert session.idle

    run_virtual(run())
    assert [] == client.broken_promises
