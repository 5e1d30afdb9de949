"""The workers: as many tasks as keys may be out, each taking one key after the other."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from keyferry.logs import bound
from keyferry.reconcile.engine import Engine
from keyferry.reconcile.queue import Claim, Lane, QueueClosed

log = logging.getLogger(__name__)

Reconcile = Callable[[Engine, Claim], Awaitable[None]]
AHEAD: Final = 8
"""Keys that may be out per concurrent write: most of them wait for their store's answer or for a free
connection, and the more wait, the better the planner's batches are filled."""
BUG_RETRY_S: Final = 30.0


class Runner:
    """Runs reconcilers on the queue's keys.

    Args:
        engine: shared by all.
        reconcilers: by kind.
        workers: how many keys may be out.
    """

    def __init__(self, engine: Engine, reconcilers: Mapping[str, Reconcile], workers: int) -> None:
        self._engine = engine
        self._reconcilers = reconcilers
        self._count = workers
        self._tasks: list[asyncio.Task[None]] = []
        self.last_end = 0.0
        """Loop time at which a worker last finished a key."""

    def start(self) -> None:
        """Start the workers. Before kopf: at its end it cancels tasks younger than itself."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._work(), name=f"worker {n}") for n in range(self._count)]

    async def _work(self) -> None:
        while True:
            try:
                claim = await self._engine.queue.take()
            except QueueClosed:
                return
            try:
                await self._one(claim)
            finally:
                self._engine.queue.done(claim.key)
                self.last_end = self._engine.queue.now()
                if self._engine.queue.idle:
                    self._engine.planner.forget_answers()

    async def _one(self, claim: Claim) -> None:
        key = claim.key
        with bound(kind=key.kind, namespace=key.namespace, name=key.name):
            started = time.perf_counter()  # the loop's own time is a millisecond coarse
            try:
                await self._reconcilers[key.kind](self._engine, claim)
            except Exception:
                # Reconcilers tell their own failures; what comes here is a bug in telling them.
                log.exception("a bug in Keyferry")
                self._engine.queue.schedule(key, self._engine.queue.now() + BUG_RETRY_S, Lane.RETRY)
            duration = time.perf_counter() - started
        books = self._engine.books
        record = books.external_secrets.get(key) or books.stores.get(key)
        if record is not None:
            record.duration_s = duration

    async def stop(self, within_s: float) -> None:
        """Hand out nothing more and let what is under way end, for at most so many seconds."""
        self._engine.queue.close()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
