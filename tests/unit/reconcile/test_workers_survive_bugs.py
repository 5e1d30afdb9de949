"""The workers: a bug costs one try of one key, and the end waits for what is under way, but not for ever."""

from __future__ import annotations

import asyncio

import pytest

from keyferry.ports import ObjectKey
from keyferry.reconcile.queue import Lane
from keyferry.reconcile.runner import BUG_RETRY_S, Runner


class Work:
    """Reconciles by what a test tells it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.bad = ""
        self.hold = asyncio.Event()
        self.hold.set()
        self.cancelled: list[str] = []

    async def __call__(self, engine, claim) -> None:
        self.seen.append(claim.key.name)
        if claim.key.name == self.bad:
            raise KeyError("a bug")
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.append(claim.key.name)
            raise


@pytest.fixture
async def work():
    return Work()


@pytest.fixture
async def runner(bench, work):
    made = Runner(bench.engine, {"ExternalSecret": work})
    made.start()
    yield made
    await made.stop(0)


def key(name):
    return ObjectKey("ExternalSecret", "team-0", name)


async def test_bug_is_logged_with_its_place_and_its_key_comes_back(bench, runner, work, play, caplog) -> None:
    work.bad = "bad"
    bench.engine.queue.add(key("bad"), Lane.USER)
    bench.engine.queue.add(key("good"), Lane.USER)

    await play.until(lambda: bench.engine.queue.idle)

    assert ["bad", "good"] == work.seen
    assert BUG_RETRY_S == bench.due_in(key("bad"))
    (logged,) = [record for record in caplog.records if record.getMessage() == "a bug in Keyferry"]
    assert KeyError is logged.exc_info[0]


async def test_key_whose_work_somebody_else_ended_comes_back(bench, runner, work, play) -> None:
    """kopf ends tasks that are not its own, and a task that several wait for may end under them."""
    work.hold.clear()
    bench.engine.queue.add(key("a"), Lane.USER)
    await play.until(lambda: work.seen == ["a"])
    for task in asyncio.all_tasks():
        if task.get_name() == "work":
            task.cancel()
    await play.until(lambda: bench.engine.queue.idle)

    assert work.cancelled == ["a"]
    assert bench.due_in(key("a")) == BUG_RETRY_S


async def test_end_waits_for_what_is_under_way_and_begins_nothing_new(bench, runner, work, play) -> None:
    work.hold.clear()
    for name in "ab":
        bench.engine.queue.add(key(name), Lane.USER)
    await play.until(lambda: len(work.seen) == 2)

    ending = asyncio.create_task(runner.stop(10))
    await asyncio.sleep(0)
    bench.engine.queue.add(key("c"), Lane.USER)
    work.hold.set()
    await ending

    assert (["a", "b"], [], 0) == (work.seen, work.cancelled, bench.engine.queue.out)


async def test_end_cancels_what_does_not_come_to_its_own(bench, runner, work, play) -> None:
    work.hold.clear()
    bench.engine.queue.add(key("a"), Lane.USER)
    await play.until(lambda: work.seen)

    await runner.stop(0.01)

    assert (["a"], 0) == (work.cancelled, bench.engine.queue.out)


async def test_duration_is_noted_on_the_object(bench, runner, work, play) -> None:
    bench.engine.queue.add(bench.key, Lane.USER)

    await play.until(lambda: bench.record.duration_s > 0)


async def test_stopping_what_never_started_is_nothing(bench) -> None:
    await Runner(bench.engine, {}).stop(1)
