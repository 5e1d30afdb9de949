"""The door to threads."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading

import pytest

from keyferry.aio import ThreadDoor, keep_turns_short

AHEAD_S = 30.0


@pytest.fixture
def door():
    door = ThreadDoor("test-door", 2)
    yield door
    door.close()


async def test_result_comes_back_from_a_thread_of_the_doors_name(door):
    name, doubled = await door.run(lambda x, *, y: (threading.current_thread().name, x * y), 3, y=2)

    assert name.startswith("test-door")
    assert doubled == 6


async def test_failure_comes_back_as_itself(door):
    error = LookupError("x")

    def fail():
        raise error

    with pytest.raises(LookupError) as caught:
        await door.run(fail)

    assert caught.value is error


@pytest.mark.parametrize("stop", [StopIteration("x"), StopAsyncIteration("x")])
async def test_iteration_that_stops_in_a_thread_leaves_nobody_waiting(door, stop):
    """A future takes no StopIteration: without care the caller would wait for ever."""

    def fail():
        raise stop

    with pytest.raises((RuntimeError, StopAsyncIteration)):
        await asyncio.wait_for(door.run(fail), AHEAD_S)


async def test_context_variables_travel_there_and_not_back(door):
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("outside")

    def work():
        seen = variable.get()
        variable.set("inside")
        return seen

    assert await door.run(work) == "outside"
    assert variable.get() == "outside"
    assert await door.run(variable.get) == "outside"


async def test_no_more_calls_run_at_once_than_the_door_is_wide(door):
    lock, release = threading.Lock(), threading.Event()
    running, most = 0, 0
    both = threading.Barrier(3)

    def work(*, wait):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if wait:
            both.wait(AHEAD_S)
            release.wait(AHEAD_S)
        with lock:
            running -= 1

    calls = [asyncio.create_task(door.run(work, wait=number < 2)) for number in range(6)]
    await asyncio.to_thread(both.wait, AHEAD_S)
    release.set()
    await asyncio.gather(*calls)

    assert most == 2


async def test_loop_goes_on_while_a_call_blocks(door):
    release = threading.Event()
    call = asyncio.create_task(door.run(release.wait, AHEAD_S))
    await asyncio.sleep(0)
    release.set()

    assert await call is True


async def test_cancelled_caller_is_let_go_at_once_and_a_call_in_line_never_runs():
    door = ThreadDoor("narrow", 1)
    started, release, ran = threading.Event(), threading.Event(), []

    def block():
        started.set()
        return release.wait(AHEAD_S)

    first = asyncio.create_task(door.run(block))
    second = asyncio.create_task(door.run(ran.append, 1))
    await asyncio.to_thread(started.wait, AHEAD_S)
    for task in (first, second):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    release.set()
    await door.run(ran.append, 2)
    door.close()

    assert ran == [2]


async def test_closing_does_not_wait_and_ends_those_in_line():
    door = ThreadDoor("narrow", 1)
    started, release, ran = threading.Event(), threading.Event(), []

    def block():
        started.set()
        return release.wait(AHEAD_S)

    under_way = asyncio.create_task(door.run(block))
    in_line = asyncio.create_task(door.run(ran.append, 1))
    await asyncio.to_thread(started.wait, AHEAD_S)

    door.close()

    with pytest.raises(asyncio.CancelledError):
        await in_line
    release.set()
    assert await under_way is True
    assert ran == []


async def test_closed_door_refuses(door):
    door.close()
    door.close()

    with pytest.raises(RuntimeError):
        await door.run(print)


def test_threads_that_compute_keep_the_interpreter_for_short_turns_only():
    """Python's own 5 ms, a few dozen times in each sync, would be what others wait for."""
    usual = sys.getswitchinterval()
    try:
        keep_turns_short()

        assert sys.getswitchinterval() <= 0.001
    finally:
        sys.setswitchinterval(usual)
