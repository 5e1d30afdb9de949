"""Waiting for a condition instead of sleeping: for tests on a cluster, where things happen in their own time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keyferry.errors import KubeError

T = TypeVar("T")

TIMEOUT_S = 30.0
EVERY_S = 0.05

NOT_YET = (AssertionError, KubeError, LookupError, ConnectionError)
"""Failures of a condition that count as "not yet": what is looked at is not there, or not as expected."""


def eventually(condition: Callable[[], T], *, timeout_s: float = TIMEOUT_S, every_s: float = EVERY_S) -> T:
    """Call the condition until its result is true, and return that.

    The condition may also assert, look up what is not there yet, or ask an API server that does not
    answer yet: that is tried again too.

    Args:
        condition: asks for the state now.
        timeout_s: for all calls together.
        every_s: pause between two calls.

    Raises:
        AssertionError: it does not become true; tells the last result or failure.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last, result = _attempt(condition)
        if result:
            return result
        if time.monotonic() >= deadline:
            raise AssertionError(f"not true after {timeout_s:g} s; at last: {last}")
        time.sleep(every_s)


async def eventually_async(
    condition: Callable[[], Awaitable[T]], *, timeout_s: float = TIMEOUT_S, every_s: float = EVERY_S
) -> T:
    """The same for an asynchronous condition, with the event loop free meanwhile."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            result = await condition()
            last = repr(result)
        except NOT_YET as error:
            last = f"{type(error).__name__}: {error}"
        else:
            if result:
                return result
        if time.monotonic() >= deadline:
            raise AssertionError(f"not true after {timeout_s:g} s; at last: {last}")
        await asyncio.sleep(every_s)


def _attempt(condition: Callable[[], T]) -> tuple[str, T | None]:
    try:
        result = condition()
    except NOT_YET as error:
        return f"{type(error).__name__}: {error}", None
    return repr(result), result
