"""What the tests here stand on: a loop whose time jumps, and a clock that stands still."""

from __future__ import annotations

import asyncio
import gc
import time
from datetime import UTC, datetime, timedelta

import pytest

from keyferry.testing.clock import START, FakeClock
from keyferry.testing.looptime import START_S, StuckError, run_virtual, settle, virtual_time


def test_days_pass_in_no_time() -> None:
    began = time.monotonic()

    async def sleep() -> float:
        await asyncio.gather(*(asyncio.sleep(hours * 3600) for hours in range(100)))
        return asyncio.get_running_loop().time()

    assert START_S + 99 * 3600 == run_virtual(sleep())
    assert time.monotonic() - began < 5


@virtual_time
async def test_timers_ring_in_their_order_and_at_their_times() -> None:
    loop, rung = asyncio.get_running_loop(), []
    for delay in (3, 1, 2):
        loop.call_later(delay, lambda: rung.append(loop.time()))

    await asyncio.sleep(10)

    assert [START_S + 1, START_S + 2, START_S + 3] == rung


@virtual_time
async def test_timeouts_strike() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await asyncio.Event().wait()

    assert START_S + 7 == asyncio.get_running_loop().time()


@virtual_time
async def test_time_stands_still_while_anything_can_run() -> None:
    await settle(1000)

    assert START_S == asyncio.get_running_loop().time()


def test_lost_wake_up_is_told_with_those_who_wait() -> None:
    async def wait() -> None:
        await asyncio.gather(asyncio.create_task(asyncio.Event().wait(), name="the sleeper"))

    with pytest.raises(StuckError, match="the sleeper"):
        run_virtual(wait())


def test_failing_callback_fails_the_test() -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_soon(lambda: {}["lost"])
        await asyncio.sleep(1)

    with pytest.raises(AssertionError, match="KeyError"):
        run_virtual(work())


def test_failure_that_nobody_looked_at_fails_the_test() -> None:
    async def fail() -> None:
        raise KeyError("lost")

    async def work() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task
        gc.collect()

    with pytest.raises(AssertionError, match="never retrieved"):
        run_virtual(work())


def test_both_clocks_advance_together() -> None:
    clock = FakeClock()
    clock.advance(90)

    assert (START + timedelta(seconds=90), 1090.0) == (clock.now(), clock.monotonic())


def test_time_of_day_can_be_corrected_and_the_monotonic_clock_cannot() -> None:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC), 5.0)
    clock.set_back(3600)

    assert (datetime(2025, 12, 31, 23, tzinfo=UTC), 5.0) == (clock.now(), clock.monotonic())
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
