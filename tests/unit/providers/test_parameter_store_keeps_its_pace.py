"""Parameter Store takes forty calls a second of an account in a region: never more go out, from the first one on."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.errors import RateLimited, RetryKind
from keyferry.providers.aws.pace import BURST, LONGEST_WAIT_S, QUOTA_PER_S, RATE, Pace, Paces
from keyferry.testing.looptime import virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def most_in_a_second(times: list[float]) -> int:
    return max(sum(1 for other in times if at <= other < at + 1) for at in times)


async def gone(pace: Pace) -> float:
    await pace.turn()
    return now()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 80)), min_size=1, max_size=8))
def test_no_second_sees_more_calls_than_the_quota(arrivals: list[tuple[float, int]]) -> None:
    @virtual_time
    async def run() -> None:
        pace, calls = Pace(), []
        for pause, count in arrivals:
            await asyncio.sleep(pause)
            calls += [asyncio.create_task(gone(pace)) for _ in range(count)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        times = [one for one in ended if isinstance(one, float)]

        assert most_in_a_second(times) <= BURST + RATE < QUOTA_PER_S
        assert all(isinstance(one, float | RateLimited) for one in ended)

    run()


@virtual_time
async def test_few_calls_do_not_wait() -> None:
    pace = Pace()
    began = now()

    times = [await gone(pace) for _ in range(BURST)]

    assert [began] * BURST == times
    assert pace.room(now()) == pytest.approx(1 / RATE)


@virtual_time
async def test_all_of_the_quota_is_used_when_it_is_wanted() -> None:
    pace = Pace()
    began = now()

    await asyncio.gather(*(pace.turn() for _ in range(200)))

    assert now() - began == pytest.approx((200 - BURST) / RATE)


@virtual_time
async def test_room_says_how_long_a_call_would_wait_and_takes_no_turn() -> None:
    pace = Pace()
    waiting = [asyncio.create_task(pace.turn()) for _ in range(BURST + RATE)]
    await asyncio.sleep(0)

    rooms = [pace.room(now()) for _ in range(3)]
    began = now()
    await pace.turn()

    assert [pytest.approx(1 + 1 / RATE)] * 3 == rooms
    assert now() - began == pytest.approx(rooms[0])
    await asyncio.gather(*waiting)


@virtual_time
async def test_who_would_wait_for_long_is_sent_back() -> None:
    """A call must not run into its time limit before it has begun."""
    pace = Pace()
    most = int(LONGEST_WAIT_S * RATE) + BURST
    waiting = [asyncio.create_task(pace.turn()) for _ in range(most)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited) as failure:
        await pace.turn()

    assert (RetryKind.AFTER, True) == (failure.value.retry.kind, failure.value.retry.seconds > LONGEST_WAIT_S)
    assert f"quota of {QUOTA_PER_S} calls a second" in failure.value.message
    await asyncio.gather(*waiting)


def test_one_account_in_one_region_has_one_pace() -> None:
    paces = Paces()
    one = paces.of("123456789012", "eu-central-1")

    assert one is paces.of("123456789012", "eu-central-1")
    assert one is not paces.of("123456789012", "eu-west-1")
    assert one is not paces.of("999999999999", "eu-central-1")


def test_paces_that_nobody_uses_are_forgotten() -> None:
    paces = Paces()
    kept = paces.of("kept", "eu-central-1")
    for number in range(100):
        paces.of(str(number), "eu-central-1")
    gc.collect()

    assert [kept] == list(paces._paces.values())
