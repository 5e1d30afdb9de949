"""A double that let everything pass would prove nothing."""

from __future__ import annotations

import asyncio

import pytest

from keyferry.errors import Unavailable
from keyferry.ports import Find, Found, Read
from keyferry.testing.looptime import virtual_time
from keyferry.testing.storeclient import ScriptedStoreClient


@virtual_time
async def test_calls_beyond_the_limit_are_noticed() -> None:
    client = ScriptedStoreClient(max_concurrency=2)

    await asyncio.gather(*(client.read([Read("a")]) for _ in range(3)))

    assert (["3 calls at once"], 3) == (client.broken_promises, client.most_at_once)


@virtual_time
async def test_wrong_batches_are_noticed() -> None:
    client = ScriptedStoreClient(batch_size=2)

    await client.read([Read("a"), Read("b"), Read("c")])
    await client.read([Read("a"), Read("b", "7")])
    await client.read([])

    assert [
        "3 reads in a call",
        "a batch with a read that may not be in one",
        "0 reads in a call",
    ] == client.broken_promises


@virtual_time
async def test_call_after_the_end_is_noticed() -> None:
    client = ScriptedStoreClient()
    await client.close()

    await client.read([Read("a")])

    assert ["a call after close"] == client.broken_promises


@virtual_time
async def test_script_goes_before_the_outage_and_the_outage_lasts() -> None:
    client = ScriptedStoreClient()
    client.next_calls.append(None)
    client.outage = Unavailable("down")

    assert 1 == len(await client.read([Read("a")]))
    for _ in range(3):
        with pytest.raises(Unavailable):
            await client.read([Read("a")])


@virtual_time
async def test_searches_are_watched_and_scripted_like_reads() -> None:
    client = ScriptedStoreClient(max_concurrency=1)
    client.found[Find(path="a")] = [Found("a", Read("a"))]
    client.next_calls.append(Unavailable("down"))

    with pytest.raises(Unavailable):
        await client.find(Find(path="a"))
    both = await asyncio.gather(client.find(Find(path="a")), client.find(Find(path="b")))
    await client.close()
    await client.find(Find(path="a"))

    assert [1, 0] == [len(found) for found in both]
    assert ["2 calls at once", "a call after close"] == client.broken_promises
