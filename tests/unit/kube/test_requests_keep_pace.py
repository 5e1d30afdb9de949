from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.kube.pace import Pace
from keyferry.testing.looptime import run_virtual, virtual_time


def pace(limit: int = 32, qps: float = 0.0, burst: int = 0) -> Pace:
    return Pace(limit, qps, burst, clock=asyncio.get_running_loop().time)


class Crowd:
    """Requests through one pace: when each began, and how many there were at once."""

    def __init__(self, gate: Pace) -> None:
        self.gate = gate
        self.began: list[float] = []
        self.at_once = 0
        self.most_at_once = 0

    async def request(self, seconds: float = 0.1) -> None:
        async with self.gate:
            self.began.append(asyncio.get_running_loop().time())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.at_once -= 1

    async def requests(self, count: int, seconds: float = 0.1) -> None:
        await asyncio.gather(*(self.request(seconds) for _ in range(count)))


@virtual_time
async def test_no_more_at_once_than_the_limit() -> None:
    crowd = Crowd(pace(limit=5))

    await crowd.requests(50, seconds=1.0)

    assert 5 == crowd.most_at_once
    assert 1010.0 == asyncio.get_running_loop().time()


@virtual_time
async def test_what_ends_work_goes_before_what_begins_it() -> None:
    gate, order = pace(limit=1), []

    async def request(name: str, line: Any) -> None:
        async with line:
            order.append(name)
            await asyncio.sleep(0.1)

    begins = [request(f"create {number}", gate) for number in range(3)]
    ends = [request(f"status {number}", gate.ahead) for number in range(3)]
    await asyncio.gather(*begins, *ends)

    assert ["create 0", "status 0", "status 1", "status 2", "create 1", "create 2"] == order


@virtual_time
async def test_who_gives_up_in_the_first_line_leaves_the_turn_to_the_next() -> None:
    gate, order = pace(limit=1), []

    async def request(name: str, line: Any) -> None:
        async with line:
            order.append(name)
            await asyncio.sleep(0.1)

    first = asyncio.create_task(request("first", gate))
    await asyncio.sleep(0)
    gone = asyncio.create_task(request("gone", gate.ahead))
    later = asyncio.create_task(request("later", gate))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(first, gone, later, return_exceptions=True)

    assert ["first", "later"] == order


@virtual_time
async def test_requests_go_in_the_order_in_which_they_came() -> None:
    gate, order = pace(limit=2), []

    async def request(number: int) -> None:
        async with gate:
            order.append(number)
            await asyncio.sleep(0.1)

    await asyncio.gather(*(request(number) for number in range(20)))

    assert list(range(20)) == order


@virtual_time
async def test_complaint_halves_the_limit_and_success_lets_it_grow_back() -> None:
    gate = pace(limit=32)
    gate.slow_down(1.0)
    assert 16 == gate.allowed

    await Crowd(gate).requests(16)
    assert 16 <= gate.allowed <= 17
    await Crowd(gate).requests(1000)

    assert 32 == gate.allowed


@virtual_time
async def test_requests_refused_together_halve_the_limit_once() -> None:
    gate = pace(limit=32)

    for _ in range(32):
        gate.slow_down(1.0)

    assert 16 == gate.allowed
    await asyncio.sleep(1.0)
    gate.slow_down(1.0)
    assert 8 == gate.allowed


@pytest.mark.parametrize(("limit", "least"), [(32, 2), (2, 2), (1, 1)])
@virtual_time
async def test_limit_never_falls_to_nothing_nor_rises_by_a_complaint(limit: int, least: int) -> None:
    gate = pace(limit)
    for _ in range(20):
        gate.slow_down(0.0)
        await asyncio.sleep(1)

    assert least == gate.allowed
    crowd = Crowd(gate)
    await crowd.requests(50)
    assert crowd.most_at_once <= limit


@virtual_time
async def test_nobody_asks_until_the_servers_word_has_passed() -> None:
    gate = pace(limit=4)
    crowd = Crowd(gate)
    early = asyncio.create_task(crowd.requests(10, seconds=1.0))
    await asyncio.sleep(0.5)
    gate.slow_down(10.0)
    complained_at = asyncio.get_running_loop().time()

    await early

    assert complained_at + 10.0 <= crowd.began[4]


@virtual_time
async def test_complaint_holds_for_those_who_wait_already() -> None:
    gate = pace(limit=8)
    crowd = Crowd(gate)
    gate.slow_down(1.0)
    waiting = asyncio.create_task(crowd.requests(3))
    await asyncio.sleep(0.5)

    gate.slow_down(10.0)

    await waiting
    assert 1010.5 <= min(crowd.began)


@pytest.mark.parametrize(("qps", "burst"), [(10.0, 1), (10.0, 5), (50.0, 20), (5.0, 0)])
@virtual_time
async def test_requests_a_second_and_burst(qps: float, burst: int) -> None:
    crowd = Crowd(pace(limit=1000, qps=qps, burst=burst))

    await crowd.requests(100, seconds=0.0)

    at_once = max(burst, 1)
    expected = [1000.0] * at_once + [1000.0 + n / qps for n in range(1, 101 - at_once)]
    assert expected == pytest.approx(crowd.began)


@virtual_time
async def test_burst_fills_up_again_in_quiet_times_and_no_further() -> None:
    crowd = Crowd(pace(limit=1000, qps=10.0, burst=5))
    await crowd.requests(5, seconds=0.0)
    await asyncio.sleep(3600)
    crowd.began.clear()

    await crowd.requests(7, seconds=0.0)

    assert 5 == sum(began < crowd.began[0] + 0.01 for began in crowd.began)


@virtual_time
async def test_slots_of_those_who_give_up_are_for_the_next() -> None:
    """A thousand requests that hit their deadline must not use up minutes of the rate."""
    crowd = Crowd(pace(limit=4, qps=1.0, burst=1))
    await crowd.request(0.0)
    quitters = [asyncio.create_task(crowd.request()) for _ in range(1000)]
    await asyncio.sleep(0.5)
    for quitter in quitters:
        quitter.cancel()
    await asyncio.wait(quitters)

    await crowd.request()

    assert [1000.0, 1001.0] == pytest.approx(crowd.began)


@virtual_time
async def test_who_gives_up_in_the_line_is_not_waited_for() -> None:
    crowd = Crowd(pace(limit=1))
    first = asyncio.create_task(crowd.request(10.0))
    await asyncio.sleep(0)
    quitters = [asyncio.create_task(crowd.request(10.0)) for _ in range(100)]
    await asyncio.sleep(1)
    for quitter in quitters:
        quitter.cancel()
    last = asyncio.create_task(crowd.request(10.0))

    await asyncio.gather(first, last)

    assert 1020.0 == asyncio.get_running_loop().time()


@virtual_time
async def test_failed_request_gives_its_place_back_and_lets_nothing_grow() -> None:
    gate = pace(limit=2)
    gate.slow_down(0.0)
    before = gate._allowed
    for _ in range(10):
        with pytest.raises(ValueError, match="broken"):
            async with gate:
                raise ValueError("broken")

    assert before == gate._allowed
    async with asyncio.timeout(5):
        await Crowd(gate).requests(10)


steps = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "cancel", "complain", "wait"]),
        st.integers(0, 40),
        st.sampled_from([0.0, 0.05, 0.3]),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=120, derandomize=True, database=None)
@given(steps, st.integers(1, 6), st.sampled_from([0.0, 20.0]), st.integers(0, 4))
def test_no_place_is_ever_lost_or_doubled(script, limit: int, qps: float, burst: int) -> None:
    """Requests, cancellations at any moment, complaints: limit, rate and silence hold, and all get through."""

    async def run() -> None:
        gate = pace(limit, qps, burst)
        crowd, tasks = Crowd(gate), []
        silences: list[tuple[float, float]] = []
        for what, number, seconds in script:
            if what == "ask":
                tasks.append(asyncio.create_task(crowd.request(seconds)))
            elif what == "cancel" and tasks:
                tasks[number % len(tasks)].cancel()
            elif what == "complain":
                gate.slow_down(seconds)
                now = asyncio.get_running_loop().time()
                silences.append((now, now + max(seconds, 0.1)))
            elif what == "wait":
                await asyncio.sleep(seconds)
        async with asyncio.timeout(600):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert crowd.most_at_once <= limit
        assert not [b for b in crowd.began for start, end in silences if start < b < end - 1e-9]
        if qps:
            room = max(burst, 1)
            windows = zip(crowd.began, itertools.islice(crowd.began, room, None), strict=False)
            assert all(later - earlier >= 1 / qps - 1e-9 for earlier, later in windows)
        assert (0, 0) == (gate._under_way, len(gate._waiting))
        async with asyncio.timeout(600):
            await crowd.requests(limit * 2)

    run_virtual(run())
