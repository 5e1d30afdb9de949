from __future__ import annotations

import asyncio
import itertools

import pytest

from keyferry.errors import (
    AuthFailed,
    KubeUnavailable,
    ProviderError,
    RateLimited,
    TimedOut,
    Unavailable,
    after,
)
from keyferry.planner.health import Breaker
from keyferry.planner.session import CALL_DEADLINE_S
from keyferry.testing.looptime import settle, virtual_time

OUTAGES = [Unavailable("down"), TimedOut("too late"), AuthFailed("who are you")]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.reason)
@virtual_time
async def test_after_a_failed_call_nobody_asks_and_everybody_fails_at_once(open_desk, outage) -> None:
    desk = open_desk()
    desk.client.outage = outage
    await desk.ask("a", retries=())
    asked = len(desk.client.calls)

    began = asyncio.get_running_loop().time()
    answers = await asyncio.gather(*(desk.ask(f"k{n}") for n in range(100)))

    assert {type(outage)} == {type(one) for one in answers}
    assert (began, asked) == (asyncio.get_running_loop().time(), len(desk.client.calls))
    assert outage.message == desk.session.failure.message


@virtual_time
async def test_hiccup_is_tried_again_and_nobody_notices(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.next_calls.extend([Unavailable("hiccup"), Unavailable("hiccup")])

    assert "value of db" == await desk.ask("db", retries=(0.1, 0.4))
    assert [1000.003, 1000.103, 1000.503] == pytest.approx([call.at for call in desk.client.calls])
    assert (None, 0) == (desk.session.failure, desk.recoveries)


@pytest.mark.parametrize("outage", [TimedOut("too late"), AuthFailed("no")], ids=lambda outage: outage.reason)
@virtual_time
async def test_what_a_second_try_cannot_help_is_not_tried_again(open_desk, outage) -> None:
    desk = open_desk()
    desk.client.outage = outage

    await desk.ask("db", retries=(0.1, 0.4))

    assert 1 == len(desk.client.calls)


@virtual_time
async def test_probes_come_with_growing_pauses_up_to_a_minute(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.outage = Unavailable("down")
    await desk.ask("db", retries=())
    await asyncio.sleep(400)

    times = [call.at for call in desk.client.calls]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert [1, 2, 4, 8, 16, 32, 60, 60, 60, 60] == pytest.approx(pauses[:10])


@virtual_time
async def test_refused_credentials_are_probed_more_rarely_still(open_desk) -> None:
    """Asking too often with wrong ones locks accounts."""
    desk = open_desk(latency_s=0.0)
    desk.client.outage = AuthFailed("who are you")
    await desk.ask("db")
    await asyncio.sleep(2000)

    times = [call.at for call in desk.client.calls]
    assert 300 == pytest.approx(times[-1] - times[-2])


@pytest.mark.parametrize("at_once", [1, 8])
@virtual_time
async def test_calls_that_fail_together_are_one_failure(open_desk, at_once: int) -> None:
    """Else a store with many calls under way would be probed a minute later, not a second."""
    desk = open_desk(batch_size=1, max_concurrency=at_once, latency_s=0.5)
    desk.client.outage = Unavailable("down")
    await asyncio.gather(*(desk.ask(f"k{n}", retries=()) for n in range(at_once)))
    failed_at = asyncio.get_running_loop().time()
    await asyncio.sleep(20)

    probes = [call.at - failed_at for call in desk.client.calls[at_once:]]
    assert [1, 3.5, 8, 16.5] == pytest.approx(probes)


@virtual_time
async def test_those_who_wait_for_a_call_fail_with_it(open_desk) -> None:
    """A thousand calls to a store that does not answer would take hours."""
    desk = open_desk(batch_size=4, max_concurrency=2, latency_s=30.0)
    desk.client.outage = TimedOut("too late")
    readers = [desk.ask(f"k{n}", version="7" if n % 2 else "") for n in range(1000)]

    answers = await asyncio.gather(*readers)

    assert {TimedOut} == {type(one) for one in answers}
    assert len(desk.client.calls) <= 2
    assert asyncio.get_running_loop().time() < 1031


@virtual_time
async def test_first_answer_ends_the_outage_and_tells_it_once(open_desk) -> None:
    desk = open_desk()
    desk.client.outage = Unavailable("down")
    await desk.ask("db", retries=())
    await asyncio.sleep(30)
    assert 0 == desk.recoveries
    desk.client.outage = None

    await asyncio.sleep(60)

    assert (1, None) == (desk.recoveries, desk.session.failure)
    probes = len(desk.client.calls)
    await asyncio.sleep(600)
    assert (1, probes) == (desk.recoveries, len(desk.client.calls))
    assert "value of db" == await desk.ask("db")


@virtual_time
async def test_answer_of_an_older_call_ends_the_outage_and_its_probe(open_desk) -> None:
    """A second outage right after it must not be probed twice."""
    desk = open_desk(batch_size=1, latency_s=0.0)
    slow = asyncio.Event()
    desk.client.next_calls.extend([slow.wait, Unavailable("down")])
    old = asyncio.create_task(desk.ask("slow"))
    await settle()
    await desk.ask("db", retries=())
    assert desk.session.failure is not None

    slow.set()
    assert "value of slow" == await old
    assert (None, 1) == (desk.session.failure, desk.recoveries)
    await asyncio.sleep(1)
    desk.client.outage = Unavailable("down again")
    await desk.ask("other", retries=())
    asked = len(desk.client.calls)
    await asyncio.sleep(16)

    assert [1, 2, 4, 8] == pytest.approx(_pauses(desk, asked - 1))


def _pauses(desk, first: int) -> list[float]:
    times = [call.at for call in desk.client.calls[first:]]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@virtual_time
async def test_never_two_probes_at_once(open_desk) -> None:
    desk = open_desk(batch_size=1, max_concurrency=8, latency_s=0.0)
    await asyncio.sleep(0)
    desk.client.outage = Unavailable("down")
    for _ in range(5):
        await asyncio.gather(*(desk.ask(f"k{n}", retries=()) for n in range(8)))
        desk.client.most_at_once = 0
        await asyncio.sleep(100)
        assert 1 == desk.client.most_at_once


@pytest.mark.parametrize(
    "answer",
    [ProviderError("strange"), RateLimited("slowly", retry=after(5)), None],
    ids=["a failure of the key alone", "a wish to slow down", "a value"],
)
@virtual_time
async def test_any_answer_ends_the_outage(open_desk, answer) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.next_calls.extend([Unavailable("down"), answer])
    await desk.ask("db", retries=())

    await asyncio.sleep(1.5)

    assert (1, None) == (desk.recoveries, desk.session.failure)


@virtual_time
async def test_wish_to_slow_down_heard_by_a_probe_holds(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.next_calls.extend([Unavailable("down"), RateLimited("slowly", retry=after(30))])
    await desk.ask("db", retries=())
    await asyncio.sleep(1.5)

    deferred = await desk.ask("db")

    assert pytest.approx(29.5, abs=0.1) == deferred.retry.seconds
    assert 2 == len(desk.client.calls)


@pytest.mark.parametrize(
    "trouble", [KubeUnavailable("no token"), KeyError("a bug")], ids=["no token", "a bug"]
)
@virtual_time
async def test_probe_survives_failures_that_are_not_the_stores(open_desk, trouble, caplog) -> None:
    """A probe that dies would leave the store shut for ever."""
    desk = open_desk(latency_s=0.0)
    desk.client.next_calls.extend([Unavailable("down"), trouble])
    await desk.ask("db", retries=())
    await asyncio.sleep(2)
    assert desk.session.failure is not None

    await asyncio.sleep(10)

    assert (1, None) == (desk.recoveries, desk.session.failure)
    assert (["a bug in Keyferry"] if isinstance(trouble, KeyError) else []) == caplog.messages


@virtual_time
async def test_probe_that_somebody_else_cancels_goes_on(open_desk) -> None:
    """Kopf cancels at its end all tasks that are younger than itself, and is started anew."""
    desk = open_desk()
    before = asyncio.all_tasks()
    desk.client.outage = Unavailable("down")
    await desk.ask("db", retries=())
    for _ in range(3):
        for task in asyncio.all_tasks() - before:
            task.cancel()
        await settle()
    desk.client.outage = None

    await asyncio.sleep(5)

    assert (1, None) == (desk.recoveries, desk.session.failure)
    assert before == asyncio.all_tasks()


@virtual_time
async def test_call_that_never_ends_is_given_up(open_desk) -> None:
    desk = open_desk(latency_s=10_000.0)

    answer = await desk.ask("db")

    assert TimedOut is type(answer)
    assert "the store did not answer within 40 s" == answer.message
    assert pytest.approx(1000.0 + CALL_DEADLINE_S, abs=0.1) == asyncio.get_running_loop().time()


@virtual_time
async def test_probe_that_never_ends_is_given_up(open_desk) -> None:
    desk = open_desk(latency_s=0.0)
    desk.client.next_calls.extend([Unavailable("down"), asyncio.Event().wait])
    await desk.ask("db", retries=())

    await asyncio.sleep(1 + CALL_DEADLINE_S + 2.5)

    assert (1, None) == (desk.recoveries, desk.session.failure)


@virtual_time
async def test_probe_keeps_within_the_calls_allowed_at_once(open_desk) -> None:
    """While old calls still hang, the probe takes the place of the one that failed."""
    desk = open_desk(batch_size=1, max_concurrency=3, latency_s=0.0)
    hang = asyncio.Event()
    desk.client.next_calls.extend([hang.wait, hang.wait, Unavailable("down")])
    readers = [asyncio.create_task(desk.ask(f"k{n}", retries=())) for n in range(3)]
    await asyncio.sleep(5)
    hang.set()
    await asyncio.gather(*readers)

    assert [] == desk.client.broken_promises
    assert 3 == desk.client.most_at_once


@virtual_time
async def test_retry_pause_does_not_outlive_the_outage_of_others(open_desk) -> None:
    """One call waits to try again when another one finds the store shut: it must not ask any more."""
    desk = open_desk(batch_size=1, latency_s=0.0)
    desk.client.next_calls.extend([Unavailable("hiccup"), TimedOut("too late")])
    waiting = asyncio.create_task(desk.ask("a", retries=(0.5,)))
    await asyncio.sleep(0.1)
    await desk.ask("b", retries=())

    answer = await waiting

    assert "too late" == answer.message
    assert 2 == len(desk.client.calls)


@virtual_time
async def test_failure_that_is_kept_holds_no_frames(open_desk) -> None:
    """Frames hold values: those of other reads, and credentials."""
    desk = open_desk()

    async def fail() -> None:
        password = "hunter2"  # noqa: F841 - what a frame would hold
        raise Unavailable("down") from ValueError("with a traceback of its own")

    desk.client.next_calls.append(fail)
    await desk.ask("db", retries=())

    for failure in (desk.session.failure, desk.session._breaker.failure, await desk.ask("db")):
        assert (None, None) == (failure.__traceback__, failure.__cause__)


def test_pauses_start_anew_after_an_answer() -> None:
    breaker = Breaker()
    first = [breaker.failed(Unavailable("down")) for _ in range(3)]
    assert breaker.succeeded()
    assert not breaker.succeeded()

    assert ([1, 2, 4], 1) == (first, breaker.failed(Unavailable("down")))


@virtual_time
async def test_beginning_of_an_outage_is_told_once(open_desk) -> None:
    desk = open_desk(batch_size=1, latency_s=0.0)
    desk.client.outage = Unavailable("down")

    await asyncio.gather(*(desk.ask(f"k{n}", retries=()) for n in range(8)))
    await asyncio.sleep(100)
    assert 1 == desk.troubles

    desk.client.outage = None
    await asyncio.sleep(100)
    desk.client.outage = Unavailable("down")
    await desk.ask("db", retries=())
    assert (2, 1) == (desk.troubles, desk.recoveries)
