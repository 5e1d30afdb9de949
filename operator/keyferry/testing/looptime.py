"""An event loop whose time jumps: tests of pauses, timeouts and schedules take no time and always end alike.

When nothing is ready to run, the loop's time moves to the next timer at once. Nothing else is different:
it is asyncio's own loop over another selector. It knows nothing of work in threads and beyond sockets, so
tests with real servers run on a real loop.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

START_S: Final = 1000.0
"""Where the loop's time begins: not at 0, which code may take for "never"."""
_PATIENCE_S: Final = 1.0
"""Real seconds for which a loop without timers waits for a socket or a thread."""


class StuckError(Exception):
    """Everybody waits, and nothing is scheduled that could end it: a lost wake-up."""


class _JumpingSelector(selectors.DefaultSelector):
    """Tells what is ready now; lets time pass instead of waiting."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is not None:
            self._jump(timeout)
            return []
        ready = super().select(_PATIENCE_S)
        if not ready:
            raise StuckError
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See the module's docstring. What its callbacks and lost tasks complain about is kept in `complaints`."""

    def __init__(self) -> None:
        self._now = START_S
        self.complaints: list[dict[str, Any]] = []
        super().__init__(_JumpingSelector(self._pass))
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        """The virtual time, seconds."""
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, run on a virtual-time loop of its own.

    Raises:
        StuckError: it waits for something that nobody will do; the text names the tasks.
        AssertionError: a callback failed, or a failure was never looked at.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        try:
            result = runner.run(work)
        except StuckError:
            waiting = sorted(task.get_name() for task in asyncio.all_tasks(loop))
            raise StuckError(f"nothing is scheduled; waiting: {', '.join(waiting)}") from None
        assert isinstance(loop, VirtualTimeLoop)
        if loop.complaints:
            told = [f"{context['message']}: {context.get('exception')!r}" for context in loop.complaints]
            raise AssertionError("; ".join(told))
        return result


def virtual_time(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run an asynchronous test on a virtual-time loop; it becomes a plain function for the test runner."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_virtual(test(*args, **kwargs))

    return run


async def settle(steps: int = 20) -> None:
    """Let everything run that can run without time passing."""
    for _ in range(steps):
        await asyncio.sleep(0)
