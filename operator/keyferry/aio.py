"""Small asyncio pieces: the door to threads for blocking SDKs, and tasks that are not lost.

No bare `create_task` anywhere else: a task whose failure nobody reads is a silent failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)

TURN_S: Final = 0.0005
"""So long a thread that computes keeps the interpreter while others wait for it."""


LONGEST_WAIT_S: Final = 30.0
"""So long a call waits for its turn, then it comes back later: twice as long is within a reconcile's deadline."""


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


class FairDoor:
    """Threads that are handed out to namespaces in turn.

    Args:
        name: prefix of the threads' names.
        slots: how many there are; a namespace has all but one of them at most.
    """

    def __init__(self, name: str, slots: int) -> None:
        self._door = ThreadDoor(name, slots)
        self._free = slots
        self._most = max(1, slots - 1)
        self._busy: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, namespace: str, work: Callable[[], T]) -> T:
        """The result of the work, done in a thread when the namespace's turn has come.

        Raises:
            TimeoutError: its turn has not come for long.
            Exception: whatever the work raises.
        """
        await self._enter(namespace)
        loop = asyncio.get_running_loop()

        def left() -> None:
            self._free += 1
            self._busy[namespace] -= 1
            self._busy += Counter()  # those who have none are not counted
            self._hand_out()

        def in_thread() -> T:
            try:
                return work()
            finally:
                # In the thread: who waits for it may be gone, and the thread is busy all the same.
                with contextlib.suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(left)

        # Shielded: where the caller is cancelled before the thread begins, it begins all the same, and ends.
        return await asyncio.shield(self._door.run(in_thread))

    async def _enter(self, namespace: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(turn)
        self._hand_out()
        try:
            async with asyncio.timeout(LONGEST_WAIT_S):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._free += 1
                self._busy[namespace] -= 1
            turn.cancel()
            self._hand_out()
            raise

    def _hand_out(self) -> None:
        """Give the free threads to those who wait, a namespace after the other."""
        for namespace in self._in_turn():
            turn = self._waiting[namespace].popleft()
            if not self._waiting[namespace]:
                del self._waiting[namespace]
            if turn.done():
                continue  # it has given up
            self._free -= 1
            self._busy[namespace] += 1
            turn.set_result(None)

    def _in_turn(self) -> Iterator[str]:
        """Namespaces whose turn it is, while there are threads; each goes behind the others then."""
        while self._free:
            may = (one for one in self._waiting if self._busy[one] < self._most)
            namespace = next(may, None)
            if namespace is None:
                return
            self._waiting.move_to_end(namespace)
            yield namespace

    def close(self) -> None:
        """Let go of the threads without waiting for them."""
        self._door.close()


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
