"""A question that fails at the store's side while others are answered is no outage: nobody else notices."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from keyferry.errors import TimedOut, Unavailable
from keyferry.planner.session import _MOST_ALONE
from keyferry.testing.looptime import virtual_time
from keyferry.testing.storeclient import ScriptedStoreClient

OUT = Unavailable("this one is out")


class Poisoned(ScriptedStoreClient):
    """A store that fails every call which asks for one of `bad`."""

    def __init__(self, *bad: str, **arguments) -> None:
        super().__init__(**arguments)
        self.bad: dict[str, BaseException] = dict.fromkeys(bad, OUT)

    async def read(self, reads):
        answers = await super().read(reads)
        for one in reads:
            if one.key in self.bad:
                raise self.bad[one.key]
        return answers


def asked(desk) -> list[tuple[str, ...]]:
    return [call.keys for call in desk.client.calls]


@virtual_time
async def test_others_never_notice_a_key_that_fails_for_good(open_desk) -> None:
    desk = open_desk(client=Poisoned("bad"))
    await desk.ask("good")

    for n in range(20):
        assert "this one is out" == (await desk.ask("bad", retries=())).message
        assert f"value of k{n}" == await desk.ask(f"k{n}")
        await asyncio.sleep(10)

    assert (0, 0, None) == (desk.troubles, desk.recoveries, desk.session.failure)


@virtual_time
async def test_witness_is_asked_once_and_not_at_each_failure(open_desk) -> None:
    desk = open_desk(client=Poisoned("bad"))
    await desk.ask("good")
    await asyncio.sleep(60)

    for _ in range(3):
        await desk.ask("bad", retries=())
        await asyncio.sleep(100)

    assert [("good",), ("bad",), ("good",), ("bad",), ("bad",)] == asked(desk)


@virtual_time
async def test_failure_of_the_very_first_key_does_not_shut_the_store_for_others(open_desk) -> None:
    """Nothing has been answered yet, so it looks like an outage: what others want to know finds out."""
    desk = open_desk(client=Poisoned("bad"))
    await desk.ask("bad", retries=())
    assert "this one is out" == (await desk.ask("good")).message

    await asyncio.sleep(4)

    assert (1, 1, None) == (desk.troubles, desk.recoveries, desk.session.failure)
    assert "value of good" == await desk.ask("good")
    assert "this one is out" == (await desk.ask("bad", retries=())).message
    assert (1, None) == (desk.troubles, desk.session.failure)


@virtual_time
async def test_key_that_hangs_shuts_the_store_once_and_for_a_second_only(open_desk) -> None:
    """Nobody is asked for a second opinion then: if all hang, that would take as long again."""
    desk = open_desk(client=Poisoned("bad"))
    desk.client.bad["bad"] = TimedOut("too late")
    await desk.ask("good")
    await asyncio.sleep(60)

    await desk.ask("bad")
    await asyncio.sleep(1.1)
    assert (1, 1, None) == (desk.troubles, desk.recoveries, desk.session.failure)
    await asyncio.sleep(60)
    await desk.ask("bad")

    assert 1 == desk.troubles
    assert [("good",), ("bad",), ("good",), ("bad",)] == asked(desk)


@virtual_time
async def test_batch_that_fails_is_taken_apart_and_the_rest_is_answered(open_desk) -> None:
    desk = open_desk(client=Poisoned("bad"))
    await desk.ask("good")
    await asyncio.sleep(60)
    keys = ["bad", *(f"k{n}" for n in range(5))]
    await asyncio.gather(*(desk.ask(key, retries=()) for key in keys))
    await asyncio.sleep(60)

    answers = await asyncio.gather(*(desk.ask(key, retries=()) for key in keys))

    assert [f"value of k{n}" for n in range(5)] == answers[1:]
    assert "this one is out" == answers[0].message
    assert 0 == desk.troubles


@virtual_time
async def test_key_that_is_answered_again_shares_calls_again(open_desk) -> None:
    desk = open_desk(client=Poisoned("bad"))
    await desk.ask("good")
    await desk.ask("bad", retries=())
    desk.client.bad.clear()
    await asyncio.sleep(100)
    assert "value of bad" == await desk.ask("bad")
    await asyncio.sleep(100)
    before = len(desk.client.calls)

    await asyncio.gather(desk.ask("bad"), desk.ask("good"))

    assert [{"bad", "good"}] == [set(keys) for keys in asked(desk)[before:]]


@virtual_time
async def test_outage_is_found_out_with_one_witness_and_probed_with_it(open_desk) -> None:
    desk = open_desk(latency_s=0.0, batch_size=1)
    await desk.ask("good")
    await asyncio.sleep(60)
    desk.client.outage = Unavailable("down")

    await asyncio.gather(*(desk.ask(f"k{n}", retries=()) for n in range(8)))
    calls = len(desk.client.calls)
    await asyncio.sleep(16)

    assert 1 + 8 + 1 == calls
    assert 1 == desk.troubles
    times = [call.at for call in desk.client.calls[calls - 1 :]]
    assert [1, 2, 4, 8] == pytest.approx([later - earlier for earlier, later in itertools.pairwise(times)])
    assert {("good",)} < set(asked(desk)[calls:])


@virtual_time
async def test_what_is_known_of_failing_keys_stays_bounded(open_desk) -> None:
    keys = [f"bad-{n}" for n in range(_MOST_ALONE + 50)]
    desk = open_desk(client=Poisoned(*keys, batch_size=1, latency_s=0.0))
    await desk.ask("good")

    for key in keys:
        await desk.ask(key, retries=())

    assert _MOST_ALONE == len(desk.session._alone)
    assert 0 == desk.troubles
