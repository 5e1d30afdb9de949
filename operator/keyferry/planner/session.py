"""One store identity's session: the questions under way, their batches, and the calls that carry them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from keyferry.aio import TaskBag
from keyferry.errors import (
    AuthFailed,
    CredentialsExpired,
    ProviderError,
    RateLimited,
    TimedOut,
    Unavailable,
)
from keyferry.planner.cache import Answer, AnswerCache, Freshness
from keyferry.planner.health import Breaker, Deferred, Pacer, deferred
from keyferry.ports import Read, StoreClient

log = logging.getLogger(__name__)

LINGER_S: Final = 0.003
"""How long a question waits for others to share its call."""
INLINE_WAIT_S: Final = 0.5
"""A pace that leaves a call waiting longer than this sends its readers back to the queue instead."""
DEFAULT_RETRIES: Final = (0.1, 0.4)
"""Pauses before a call that failed at the store's side is tried again at once, in seconds."""
CALL_DEADLINE_S: Final = 40.0
"""Above every timeout of the SDKs, so that theirs strike first."""


@dataclass(slots=True)
class _Flight:
    """A question under way."""

    read: Read
    answer: asyncio.Future[Answer]
    retries: tuple[float, ...]
    asked_at: float | None = None


@dataclass(slots=True)
class _Desk:
    """Questions that may share a call, waiting for one."""

    waiting: list[_Flight] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    ripe: bool = False


class StoreSession:
    """See the module's docstring. Made by the planner, one per fingerprint.

    Args:
        fingerprint: the identity's.
        client: its connection.
        cache: the planner's.
        recovered: called when an outage has ended, to wake those who failed by it.
    """

    def __init__(
        self, fingerprint: str, client: StoreClient, cache: AnswerCache, recovered: Callable[[], None]
    ) -> None:
        self.fingerprint = fingerprint
        self.client = client
        self.users: set[object] = set()
        """The bindings that share this session; it is closed when the last has gone."""
        self.calls = 0
        self.saved = 0
        self._cache = cache
        self._recovered = recovered
        self._flights: dict[Read, _Flight] = {}
        self._desk = _Desk()
        self._free_slots = client.max_concurrency
        self._singles: list[_Flight] = []
        self._tasks = TaskBag()
        self._breaker = Breaker()
        self._pacer = Pacer()
        self._closed = False

    async def read(self, read: Read, need: Freshness, retries: tuple[float, ...] = DEFAULT_RETRIES) -> Answer:
        """The answer to one question: a value, or the failure that stands for it (returned, not raised).

        Args:
            need: how old an answer may be.
            retries: pauses before further tries when the store fails; empty for none.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        kept = self._cache.get(self.fingerprint, read, need, now)
        if kept is not None:
            self.saved += 1
            return kept
        if self._breaker.failure is not None:
            return self._breaker.failure
        flight = self._flights.get(read)
        if flight is not None and (flight.asked_at is None or flight.asked_at >= need.values_from):
            self.saved += 1
            return await asyncio.shield(flight.answer)
        if (wait_s := self._pacer.room(now)) > INLINE_WAIT_S:
            return deferred(wait_s)
        flight = _Flight(read, loop.create_future(), retries)
        self._flights[read] = flight
        self._accept(flight)
        return await asyncio.shield(flight.answer)

    # -- batching

    def _accept(self, flight: _Flight) -> None:
        if not self.client.may_batch(flight.read):
            self._singles.append(flight)
            self._pump()
            return
        desk = self._desk
        desk.waiting.append(flight)
        if len(desk.waiting) >= self.client.batch_size:
            self._pump()
        elif desk.timer is None and not desk.ripe:
            desk.timer = asyncio.get_running_loop().call_later(LINGER_S, self._ripen)

    def _ripen(self) -> None:
        self._desk.timer = None
        self._desk.ripe = True
        self._pump()

    def _pump(self) -> None:
        """Send what is ready while there are free slots; the rest waits and fills up meanwhile."""
        desk, size = self._desk, self.client.batch_size
        while self._free_slots > 0 and self._singles:
            self._send([self._singles.pop(0)])
        while self._free_slots > 0 and desk.waiting and (desk.ripe or len(desk.waiting) >= size):
            batch, desk.waiting = desk.waiting[:size], desk.waiting[size:]
            if not desk.waiting:
                desk.ripe = False
                if desk.timer is not None:
                    desk.timer.cancel()
                    desk.timer = None
            self._send(batch)

    def _send(self, flights: list[_Flight]) -> None:
        self._free_slots -= 1
        self._tasks.spawn(self._carry(flights), name=f"read {self.fingerprint[:8]}")

    async def _carry(self, flights: list[_Flight]) -> None:
        """One call, and its answers to those who wait. Whatever happens, nobody is left waiting."""
        answers: list[Answer] | None = None
        failure: ProviderError = Unavailable("the call to the store was cancelled")
        try:
            answers = await self._call(flights)
        except ProviderError as error:
            failure = error
        except TimeoutError:
            failure = TimedOut(f"the store did not answer within {CALL_DEADLINE_S:.0f} s")
            self._open_breaker(failure, flights[0].read)
        finally:
            self._free_slots += 1
            for position, flight in enumerate(flights):
                self._settle(flight, answers[position] if answers is not None else failure)
            if not self._closed:
                self._pump()

    def _settle(self, flight: _Flight, answer: Answer) -> None:
        if self._flights.get(flight.read) is flight:
            del self._flights[flight.read]
        keep = not isinstance(answer, Unavailable | RateLimited)
        if keep and flight.asked_at is not None and not self._closed:
            self._cache.put(self.fingerprint, flight.read, answer, flight.asked_at)
        if not flight.answer.done():
            flight.answer.set_result(answer)

    # -- calling

    async def _call(self, flights: list[_Flight]) -> list[Answer]:
        """The call with its retries.

        Raises:
            ProviderError: it failed as a whole.
            TimeoutError: the deadline passed.
        """
        pauses = list(flights[0].retries)
        renewed = False
        while True:
            try:
                return await self._once(flights)
            except CredentialsExpired as error:
                if renewed:
                    self._open_breaker(error, flights[0].read)
                    raise
                renewed = True
                await self._renew(flights[0].read)
            except Deferred:
                raise
            except RateLimited as error:
                pause = self._pacer.throttled(error, asyncio.get_running_loop().time())
                log.info(
                    "a store asks for fewer calls: none for %.1f s, then %.1f/s", pause, self._pacer.rate
                )
                raise
            except (TimedOut, AuthFailed) as error:
                self._open_breaker(error, flights[0].read)
                raise
            except Unavailable as error:
                if not pauses:
                    self._open_breaker(error, flights[0].read)
                    raise
                await asyncio.sleep(pauses.pop(0))

    async def _renew(self, probe: Read) -> None:
        try:
            await self.client.renew()
        except (Unavailable, AuthFailed) as error:
            self._open_breaker(error, probe)
            raise

    async def _once(self, flights: list[_Flight]) -> list[Answer]:
        loop = asyncio.get_running_loop()
        if (wait_s := self._pacer.slot(loop.time())) > 0:
            if wait_s > 2 * INLINE_WAIT_S:
                raise deferred(wait_s)
            await asyncio.sleep(wait_s)
        now = loop.time()
        for flight in flights:
            flight.asked_at = now
        self.calls += 1
        async with asyncio.timeout(CALL_DEADLINE_S):
            answers = list(await self.client.read([flight.read for flight in flights]))
        self._pacer.succeeded(loop.time())
        if self._breaker.succeeded():
            self._recovered()
        return answers

    def _open_breaker(self, error: ProviderError, probe: Read) -> None:
        already = self._breaker.is_open
        delay = self._breaker.failed(error)
        if not already and not self._closed:
            self._tasks.spawn(self._probe(probe, delay), name=f"probe {self.fingerprint[:8]}")

    async def _probe(self, read: Read, delay: float) -> None:
        """Ask one question again and again until the store answers, whatever the answer is."""
        while True:
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(CALL_DEADLINE_S):
                    self.calls += 1
                    if isinstance(self._breaker.failure, CredentialsExpired):
                        await self.client.renew()
                    await self.client.read([read])
            except (Unavailable, RateLimited, AuthFailed) as error:
                delay = self._breaker.failed(error)
                continue
            except TimeoutError:
                delay = self._breaker.failed(TimedOut("the store does not answer in time"))
                continue
            except ProviderError:
                pass  # an answer all the same: what it means is for the readers to find out
            if self._breaker.succeeded():
                self._recovered()
            return

    # -- the end

    @property
    def failure(self) -> ProviderError | None:
        """Why the store is not asked at the moment, if so."""
        return self._breaker.failure

    async def close(self) -> None:
        """Stop calls, answer those who wait with a failure, end the connection."""
        self._closed = True
        if self._desk.timer is not None:
            self._desk.timer.cancel()
        await self._tasks.close()
        for flight in list(self._flights.values()):
            self._settle(flight, Unavailable("the store's connection is being replaced"))
        self._cache.forget(self.fingerprint)
        await self.client.close()

    def __repr__(self) -> str:
        state = "open breaker" if self._breaker.is_open else "ready"
        return f"<StoreSession {self.fingerprint[:8]} {state}, {len(self._flights)} under way>"
