"""Small asyncio pieces: the door to threads for blocking SDKs, and tasks that are not lost.

No bare `create_task` anywhere else: a task whose failure nobody reads is a silent failure.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

TURN_S: Final = 0.0005
"""So long a thread that computes keeps the interpreter while others wait for it."""


def keep_turns_short() -> None:
    """Let the event loop have the interpreter soon when threads compute.

    A reconcile gives it away dozens of times. With Python's own turns of 5 ms each of them waits that long for
    every thread that renders a template, and a sync takes ten times as long as usual.
    """
    sys.setswitchinterval(TURN_S)


class ThreadDoor:
    """The one way from the event loop into blocking code: a bounded pool of threads.

    A thread cannot be cancelled, and the process does not end before it does, so callers set timeouts
    inside the blocking call, below their own deadline. Context variables travel with the call.

    Args:
        name: prefix of the threads' names.
        size: most threads at work at once; further calls wait in line.
    """

    def __init__(self, name: str, size: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result, computed in a thread; its exceptions propagate.

        Raises:
            RuntimeError: the door is closed, or the function let a StopIteration out.
        """
        context = contextvars.copy_context()
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, _run, call)

    def close(self) -> None:
        """Let go of the threads without waiting for calls under way; calls in line are cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _run(call: Callable[[], T]) -> T:
    try:
        return call()
    except StopIteration as error:
        # A future cannot hold one: whoever awaits the call would wait for ever.
        raise RuntimeError("a call in a thread raised StopIteration") from error


class TaskBag:
    """Background tasks with an owner: kept alive, logged when they fail, cancelled together."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Start a task that the bag owns."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task %s failed: %s", task.get_name(), type(error).__name__, exc_info=error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end; tasks that tasks start meanwhile are cancelled too."""
        while tasks := self._tasks - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def within(seconds: float, work: Awaitable[T]) -> T:
    """The awaitable's result.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    async with asyncio.timeout(seconds):
        return await work


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Wait for the work's end or for `stop`, which cancels it.

    Raises:
        Exception: whatever the work raised.
    """
    loop = asyncio.get_running_loop()
    working, stopping = loop.create_task(work, name="work"), loop.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait((working, stopping))
    if not working.cancelled():
        working.result()
