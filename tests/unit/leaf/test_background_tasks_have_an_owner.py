"""Background tasks are kept alive, their failures are told, and they end with their owner; deadlines."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from keyferry.aio import TaskBag, unless, within


async def _forever(began: asyncio.Event | None = None):
    if began is not None:
        began.set()
    await asyncio.Event().wait()


async def _ended(*tasks):
    """Until the tasks have ended, and everybody was told."""
    await asyncio.wait(tasks)
    await asyncio.sleep(0)


async def test_task_runs_under_its_name_and_leaves_when_done():
    bag = TaskBag()

    async def work():
        return asyncio.current_task().get_name()

    task = bag.spawn(work(), name="a name")
    assert len(bag) == 1

    await _ended(task)

    assert task.result() == "a name"
    assert len(bag) == 0


async def test_task_is_kept_though_nobody_else_holds_it():
    """The event loop holds tasks weakly."""
    bag, done, wake = TaskBag(), asyncio.Event(), asyncio.Event()

    async def work():
        await wake.wait()
        done.set()

    bag.spawn(work(), name="kept")
    await asyncio.sleep(0)
    gc.collect()
    wake.set()

    await asyncio.wait_for(done.wait(), 30)


async def test_failure_that_nobody_awaits_is_told_by_type(caplog):
    bag = TaskBag()

    async def fail():
        raise ValueError("hunter2")

    with caplog.at_level(logging.ERROR):
        await _ended(bag.spawn(fail(), name="failing"))

    (record,) = caplog.records
    assert record.getMessage() == "background task failing failed: ValueError"
    assert record.exc_info[0] is ValueError


async def test_end_and_cancellation_are_not_told(caplog):
    bag = TaskBag()
    tasks = [bag.spawn(asyncio.sleep(0), name="ends"), bag.spawn(_forever(), name="cancelled")]
    tasks[1].cancel()

    await _ended(*tasks)

    assert len(bag) == 0
    assert caplog.records == []


async def test_closing_cancels_and_waits_for_the_end():
    bag, began, ended = TaskBag(), asyncio.Event(), []

    async def slow_to_end():
        try:
            await _forever(began)
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    task = bag.spawn(slow_to_end(), name="slow")
    await began.wait()

    await bag.close()

    assert ended == [1]
    assert task.cancelled()
    assert len(bag) == 0


async def test_failure_during_the_end_is_told_and_stops_nothing(caplog):
    bag, began = TaskBag(), asyncio.Event()

    async def fails_to_end():
        try:
            await _forever(began)
        finally:
            raise ValueError("hunter2")

    bag.spawn(fails_to_end(), name="failing")
    other = bag.spawn(_forever(), name="other")
    await began.wait()

    await bag.close()

    assert other.cancelled()
    assert [record.getMessage() for record in caplog.records] == [
        "background task failing failed: ValueError"
    ]


async def test_task_that_a_task_starts_while_ending_ends_too():
    bag, began, late = TaskBag(), asyncio.Event(), []

    async def starts_another():
        try:
            await _forever(began)
        finally:
            late.append(bag.spawn(_forever(), name="late"))

    bag.spawn(starts_another(), name="first")
    await began.wait()

    await bag.close()

    assert late[0].cancelled()
    assert len(bag) == 0


async def test_bag_may_be_closed_by_one_of_its_tasks():
    bag, closed = TaskBag(), asyncio.Event()

    async def close():
        await bag.close()
        closed.set()

    other = bag.spawn(_forever(), name="other")
    bag.spawn(close(), name="closing")

    await asyncio.wait_for(closed.wait(), 30)
    assert other.cancelled()


async def test_closing_an_empty_bag_is_fine():
    await TaskBag().close()


# -- deadlines


async def test_work_within_its_time_gives_its_result():
    assert await within(30, asyncio.sleep(0, "done")) == "done"


async def test_work_beyond_its_time_is_cancelled():
    task = asyncio.ensure_future(_forever())

    with pytest.raises(TimeoutError):
        await within(0, task)

    assert task.cancelled()


async def test_failure_of_the_work_is_its_own():
    async def fail():
        raise LookupError

    with pytest.raises(LookupError):
        await within(30, fail())


async def test_cancelled_from_outside_is_cancelled_and_not_late():
    waiting = asyncio.create_task(within(30, _forever()))
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_work_goes_on_to_its_end_unless_stopped():
    done = []

    async def work():
        await asyncio.sleep(0)
        done.append(True)

    await unless(asyncio.Event(), work())

    assert [True] == done


async def test_stop_cancels_the_work_and_leaves_no_task():
    before, stop, began = asyncio.all_tasks(), asyncio.Event(), asyncio.Event()
    waiting = asyncio.create_task(unless(stop, _forever(began)))
    await began.wait()

    stop.set()
    await waiting

    assert before == asyncio.all_tasks()


async def test_failure_of_the_work_is_raised_and_leaves_no_task():
    before = asyncio.all_tasks()

    async def work():
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        await unless(asyncio.Event(), work())

    assert before == asyncio.all_tasks()


async def test_cancelled_waiter_takes_the_work_along():
    before, began = asyncio.all_tasks(), asyncio.Event()
    waiting = asyncio.create_task(unless(asyncio.Event(), _forever(began)))
    await began.wait()

    waiting.cancel()
    await _ended(waiting)

    assert waiting.cancelled()
    assert before == asyncio.all_tasks()
