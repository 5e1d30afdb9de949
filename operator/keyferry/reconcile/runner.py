"""Runs reconcilers: a task for each key that the queue hands out. The queue says how many are out."""

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
    """

    def __init__(self, engine: Engine, reconcilers: Mapping[str, Reconcile]) -> None:
        self._engine = engine
        self._reconcilers = reconcilers
        self._taking: asyncio.Task[None] | None = None
        self._working: set[asyncio.Task[None]] = set()
        self._ending = False

    def start(self) -> None:
        """Start to take keys."""
        self._taking = asyncio.get_running_loop().create_task(self._take(), name="take keys")

    async def _take(self) -> None:
        loop, queue = asyncio.get_running_loop(), self._engine.queue
        while True:
            try:
                claim = await queue.take()
            except QueueClosed:
                return
            task = loop.create_task(self._work(claim), name="work")
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    async def _work(self, claim: Claim) -> None:
        try:
            await self._one(claim)
        finally:
            self._engine.queue.done(claim.key)
            if self._engine.queue.idle:
                self._engine.planner.forget_answers()

    async def _one(self, claim: Claim) -> None:
        key = claim.key
        with bound(kind=key.kind, namespace=key.namespace, name=key.name):
            started = time.perf_counter()  # the loop's own time is a millisecond coarse
            try:
                await self._reconcilers[key.kind](self._engine, claim)
            except asyncio.CancelledError:
                # kopf ends tasks that are not its own, a task that several wait for may end under them:
                # nobody else would bring the key back.
                if not self._ending:
                    self._engine.queue.schedule(key, self._engine.queue.now() + BUG_RETRY_S, Lane.RETRY)
                raise
            except Exception:
                # Reconcilers tell their own failures; what comes here is a bug in telling them.
                log.exception("a bug in Keyferry")
                self._engine.queue.schedule(key, self._engine.queue.now() + BUG_RETRY_S, Lane.RETRY)
            duration = time.perf_counter() - started
        books = self._engine.books
        record = (
            books.external_secrets.get(key)
            or books.stores.get(key)
            or books.cluster_external_secrets.get(key)
            or books.policies.records.get(key)
        )
        if record is not None:
            record.duration_s = duration

    async def stop(self, within_s: float) -> None:
        """Hand out nothing more and let what is under way end, for at most so many seconds."""
        self._ending = True
        self._engine.queue.close()
        if self._taking is None:
            return
        await self._taking
        working = list(self._working)
        if working:
            _, late = await asyncio.wait(working, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
