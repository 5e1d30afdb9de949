from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyferry.errors import BACKOFF, RateLimited, after
from keyferry.planner.health import Deferred, Pacer
from keyferry.testing.looptime import virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("word_s", [2.0, 30.0, 3600.0])
@virtual_time
async def test_nobody_asks_before_the_stores_own_word_has_passed(open_desk, word_s: float) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.next_calls.append(RateLimited("slowly", retry=after(word_s)))
    await desk.ask("first")
    throttled_at = now()

    async def keep_asking(name: str) -> None:
        for number in range(200):
            answer = await desk.ask(f"{name}{number}", version="1" if number % 2 else "")
            if isinstance(answer, Deferred):
                assert answer.retry.seconds <= word_s + 1e-6
            await asyncio.sleep(word_s / 100)

    await asyncio.gather(*(keep_asking(name) for name in "abcd"))
    asked = [call.at for call in desk.client.calls[1:]]
    assert throttled_at + word_s <= min(asked)


@virtual_time
async def test_without_a_word_the_pause_is_a_second_and_grows(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    pauses = []
    for _ in range(8):
        desk.client.next_calls.append(RateLimited("slowly", retry=BACKOFF))
        assert RateLimited is type(await desk.ask("db"))
        pauses.append((await desk.ask("db")).retry.seconds)
        await asyncio.sleep(pauses[-1])

    assert [1, 2, 4, 8, 16, 32, 60, 60] == pytest.approx(pauses)


@virtual_time
async def test_deferred_read_is_no_failure_of_the_store_and_no_call(open_desk) -> None:
    desk = open_desk()
    desk.client.next_calls.append(RateLimited("slowly", retry=after(30)))
    await desk.ask("db")

    answer = await desk.ask("db")

    assert Deferred is type(answer)
    assert (1, None, 0) == (len(desk.client.calls), desk.session.failure, desk.recoveries)


@virtual_time
async def test_those_who_wait_for_a_call_are_sent_back_when_the_store_complains(open_desk) -> None:
    desk = open_desk(batch_size=1, max_concurrency=2, latency_s=0.1)
    desk.client.next_calls.append(RateLimited("slowly", retry=after(30)))
    desk.client.next_calls.append(RateLimited("slowly", retry=after(30)))

    answers = await asyncio.gather(*(desk.ask(f"k{n}") for n in range(50)))

    assert [RateLimited] * 2 + [Deferred] * 48 == [type(one) for one in answers]
    assert 2 == len(desk.client.calls)


@virtual_time
async def test_reads_sent_back_do_not_use_up_the_calls_to_come(open_desk) -> None:
    """A thousand who were told to wait must not push the next free call into the far future."""
    desk = open_desk(batch_size=1, max_concurrency=2, latency_s=0.0)
    desk.client.next_calls.append(RateLimited("slowly", retry=after(10)))
    await asyncio.gather(*(desk.ask(f"k{n}") for n in range(1000)))

    await asyncio.sleep(10.001)

    assert "value of db" == await desk.ask("db")


@virtual_time
async def test_call_that_waits_for_its_slot_does_not_go_after_a_new_complaint(open_desk) -> None:
    desk = open_desk(batch_size=1, max_concurrency=4, latency_s=0.0)
    desk.client.next_calls.append(RateLimited("slowly", retry=after(1)))
    await desk.ask("first")  # from now on one call a second
    await asyncio.sleep(1.2)
    slow = asyncio.Event()

    async def complain() -> None:
        await slow.wait()
        raise RateLimited("slowly", retry=after(60))

    desk.client.next_calls.append(complain)
    complaining = asyncio.create_task(desk.ask("second"))
    await asyncio.sleep(0.55)
    waiting = asyncio.create_task(desk.ask("third"))
    await asyncio.sleep(0.1)
    assert 2 == len(desk.client.calls)
    slow.set()

    assert [RateLimited, Deferred] == [type(one) for one in await asyncio.gather(complaining, waiting)]
    await asyncio.sleep(0.5)
    assert 2 == len(desk.client.calls)


@virtual_time
async def test_complaint_about_one_item_slows_down_too(open_desk) -> None:
    """A client that reads the items of a batch one by one may be throttled at some of them."""
    desk = open_desk()
    desk.client.values["bad"] = RateLimited("slowly", retry=after(30))

    answers = await asyncio.gather(desk.ask("good"), desk.ask("bad"))

    assert "value of good" == answers[0]
    assert RateLimited is type(answers[1])
    assert Deferred is type(await desk.ask("more"))


@pytest.mark.parametrize("at_once", [1, 8])
@virtual_time
async def test_calls_throttled_together_are_one_incident(open_desk, at_once: int) -> None:
    """Also where their complaints come seconds apart."""
    desk = open_desk(batch_size=1, max_concurrency=at_once, latency_s=0.0)
    for number in range(at_once):

        async def complain(delay: float = number * 1.5) -> None:
            await asyncio.sleep(delay)
            raise RateLimited("slowly")

        desk.client.next_calls.append(complain)
    await asyncio.gather(*(desk.ask(f"k{n}") for n in range(at_once)))

    assert max(1.0, at_once / 2) == desk.session._pacer.rate
    await asyncio.sleep(1.001)
    assert "value of db" == await desk.ask("db")


@virtual_time
async def test_rate_is_kept_until_it_is_lifted_after_a_calm_minute(open_desk) -> None:
    desk = open_desk(batch_size=1, max_concurrency=1, latency_s=0.0)
    desk.client.next_calls.append(RateLimited("slowly", retry=after(1)))
    await desk.ask("first")
    throttled_at = now()
    number = 0
    while now() < throttled_at + 70:
        number += 1
        await desk.ask(f"k{number}")
        await asyncio.sleep(0.01)

    first_seconds = [call.at for call in desk.client.calls if throttled_at < call.at < throttled_at + 5]
    assert len(first_seconds) <= 6
    assert 0.0 == desk.session._pacer.rate


class TestPacer:
    """The pacer alone; times are arguments."""

    def test_half_of_what_was_too_much(self) -> None:
        pacer = Pacer()
        for number in range(40):
            assert 0.0 == pacer.slot(100.0 + number / 20)

        pacer.throttled(RateLimited("slowly"), 102.0, 101.9)

        assert pytest.approx(10, rel=0.1) == pacer.rate

    def test_halved_once_an_incident_and_again_at_the_next(self) -> None:
        pacer = Pacer()
        for _ in range(32):
            pacer.slot(100.0)
        for heard_at in (101.0, 101.2, 105.0):
            pacer.throttled(RateLimited("slowly"), heard_at, asked_at=100.0)
        assert 16.0 == pacer.rate

        pacer.throttled(RateLimited("slowly"), 110.0, asked_at=109.0)

        assert 8.0 == pacer.rate

    def test_never_less_than_one_call_a_second(self) -> None:
        pacer = Pacer()
        for number in range(20):
            pacer.throttled(RateLimited("slowly"), 100.0 + number, asked_at=99.5 + number)

        assert 1.0 == pacer.rate

    def test_longest_word_of_an_incident_holds(self) -> None:
        pacer = Pacer()
        pacer.throttled(RateLimited("slowly", retry=after(50)), 100.0, 99.0)
        pacer.throttled(RateLimited("slowly", retry=after(2)), 100.0, 99.0)

        assert (50.0, 50.0) == (pacer.silence(100.0), pacer.room(100.0))

    def test_success_lets_the_rate_grow(self) -> None:
        pacer = Pacer()
        pacer.throttled(RateLimited("slowly"), 100.0, 99.0)
        before = pacer.rate
        pacer.succeeded(102.0)
        assert before < pacer.rate

        pacer.succeeded(161.0)

        assert 0.0 == pacer.rate

    def test_success_of_a_call_made_before_does_not_lift_the_silence(self) -> None:
        pacer = Pacer()
        pacer.throttled(RateLimited("slowly", retry=after(3600)), 100.0, 99.0)
        pacer.succeeded(161.0)

        assert 3539.0 == pacer.room(161.0)

    @settings(deadline=None, max_examples=150, derandomize=True, database=None)
    @given(
        st.lists(st.tuples(st.sampled_from(["slot", "throttled", "succeeded"]), st.floats(0, 3)), max_size=80)
    )
    def test_slots_never_come_faster_than_the_rate_nor_in_the_silence(self, steps) -> None:
        pacer = Pacer()
        now_, last_start, silent_until = 100.0, -math.inf, -math.inf
        for what, pause in steps:
            now_ += pause
            if what == "slot":
                rate, start = pacer.rate, now_ + pacer.slot(now_)
                if rate:
                    assert start >= silent_until - 1e-9
                    assert start - last_start >= min(1 / rate, start - now_) - 1e-9
                last_start = start
            elif what == "throttled":
                pacer.throttled(RateLimited("slowly", retry=after(pause)), now_, now_ - 0.01)
                silent_until = max(silent_until, now_ + pause)
            else:
                pacer.succeeded(now_)
            assert pacer.silence(now_) <= max(0.0, silent_until - now_) + 1e-9
