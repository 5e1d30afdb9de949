"""A key whose work waits for somebody slow does not count as worked on: those that wait for others go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from keyferry.ports import ObjectKey
from keyferry.reconcile.engine import Engine

SLOW_S: Final = 0.5
"""A store or generator that takes longer holds nobody else back."""


@contextlib.contextmanager
def aside_if_slow(engine: Engine, key: ObjectKey) -> Iterator[None]:
    """Around calls to stores and generators."""
    timer = asyncio.get_running_loop().call_later(SLOW_S, engine.queue.set_aside, key)
    try:
        yield
    finally:
        timer.cancel()
        engine.queue.take_back(key)
