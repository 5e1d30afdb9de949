"""One store identity's session: the questions under way, their batches, and the calls that carry them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Final, overload

from keyferry.aio import TaskBag
from keyferry.errors import (
    AuthFailed,
    CredentialsExpired,
    KeyferryError,
    Malformed,
    ProviderError,
    RateLimited,
    SpecError,
    TimedOut,
    Unavailable,
)
from keyferry.planner.cache import Answer, AnswerCache, Findings, Freshness, Question
from keyferry.planner.health import FIRST_PROBE_S, Breaker, Deferred, Pacer, deferred, own_copy
from keyferry.planner.lanes import Flight, Lanes
from keyferry.planner.search import FoundValues, LetIn, chosen, search
from keyferry.planner.turns import Turns
from keyferry.ports import Find, Read, RemoteValue, StoreClient

log = logging.getLogger(__name__)

INLINE_WAIT_S: Final = 0.5
"""A pace that leaves a call waiting longer than this sends its readers back to the queue instead."""
DEFAULT_RETRIES: Final = (0.1, 0.4)
"""Pauses before a call that failed at the store's side is tried again at once, in seconds."""
CALL_DEADLINE_S: Final = 40.0
"""Above every timeout of the SDKs, so that theirs strike first."""
SEARCH_DEADLINE_S: Final = 60.0
"""The same for a search, which may be many calls of the SDK one after the other."""
OPINION_DEADLINE_S: Final = 5.0
_MOST_ALONE: Final = 1024
_MOST_PROBES: Final = 16


class StoreSession:
    """See the module's docstring. Made by the planner, one per fingerprint.

    Args:
        fingerprint: the identity's.
        client: its connection.
        cache: the planner's.
        recovered: called when an outage has ended, to wake those who failed by it.
        troubled: called when an outage begins.
    """

    def __init__(
        self,
        fingerprint: str,
        client: StoreClient,
        cache: AnswerCache,
        recovered: Callable[[], None],
        troubled: Callable[[], None] = lambda: None,
    ) -> None:
        self.fingerprint = fingerprint
        self.client = client
        self.users: set[object] = set()
        """The bindings that share this session; it is closed when the last has gone."""
        self.calls = 0
        self.saved = 0
        self._cache = cache
        self._recovered = recovered
        self._troubled = troubled
        self._flights: dict[Question, Flight] = {}
        self._searches = 0
        self._lanes = Lanes(client, self._pump)
        self._free_slots = client.max_concurrency
        self._finding = 0
        self._tasks = TaskBag()
        self._breaker = Breaker()
        self._judging = asyncio.Lock()
        self._good_at = -math.inf
        self._witness: Read | None = None
        """The question that was answered last: it tells an outage from a question that fails alone."""
        self._alone: dict[Question, None] = {}
        """Questions that failed while others were answered: asked one by one, and no sign of an outage."""
        self._suspects: dict[Question, None] = {}
        """Questions that failed since the outage began."""
        self._probes: deque[Question] = deque()
        self._probing: asyncio.Task[None] | None = None
        self._pacer = Pacer()
        self._turns = Turns(client)
        self._renewal = asyncio.Lock()
        self._renewed_at = -math.inf
        self._closed = False

    async def read(self, read: Read, need: Freshness, retries: tuple[float, ...] = DEFAULT_RETRIES) -> Answer:
        """The answer to one question: a value, or the failure that stands for it (returned, not raised).

        Args:
            need: how old an answer may be.
            retries: pauses before further tries when the store fails; empty for none.

        Raises:
            KeyferryError: the store could not be asked for a reason that is not the store's, for example
                because the API server gave no token.
        """
        return await self._ask(read, need, retries)

    async def find(
        self,
        find: Find,
        need: Freshness,
        retries: tuple[float, ...] = DEFAULT_RETRIES,
        let_in: LetIn | None = None,
    ) -> FoundValues | ProviderError | SpecError:
        """Name and value of all that a search finds, in a stable order, or why there is no answer (returned).

        The search is one question, its values are reads: both are shared, kept and bounded like all others.
        A remote secret that is gone before it is read is left out; any other failure fails the search.
        Raises as `read`.

        Args:
            find, need, retries: as `read`.
            let_in: whether the caller may have one of those found: the others are neither read nor handed on.
        """
        self._searches += 1
        try:
            return await self._search(find, need, retries, let_in)
        except SpecError as error:
            return own_copy(error)
        finally:
            self._searches -= 1

    async def _search(
        self, find: Find, need: Freshness, retries: tuple[float, ...], let_in: LetIn | None
    ) -> FoundValues | ProviderError:
        found = await self._ask(find, need, retries)
        if isinstance(found, ProviderError):
            return found
        if let_in is not None:
            found = await chosen(found, let_in)
        # Whether one exists was told by the search: a "not found" of before does not count.
        entries = Freshness(need.values_from, need.values_from)
        values = await search(found, lambda read: self.read(read, entries, retries), self._most_at_once)
        # In an outage it is not the remote secret that failed.
        return (self.failure if isinstance(values, Unavailable) else None) or values

    def _most_at_once(self) -> int:
        """How many values a search asks for at once: all slots' worth, or one call's where pace is limited."""
        limited = self._pacer.rate or self._turns.limited
        return self.client.batch_size * (1 if limited else self.client.max_concurrency)

    def _away_s(self, question: Question, now: float) -> float:
        """For how long who asks this is sent away, by the store's complaints or the client's own pace; 0 for not."""
        if (wait_s := self._pacer.room(now)) > INLINE_WAIT_S:
            return wait_s
        if not self._turns.limited:
            return 0.0
        at_once = self.client.batch_size if self._lanes.may_share(question) else 1
        return self._turns.away_s(now, self._lanes.calls, at_once)

    @overload
    async def _ask(self, question: Read, need: Freshness, retries: tuple[float, ...]) -> Answer: ...
    @overload
    async def _ask(
        self, question: Find, need: Freshness, retries: tuple[float, ...]
    ) -> Findings | ProviderError: ...
    async def _ask(
        self, question: Question, need: Freshness, retries: tuple[float, ...]
    ) -> Answer | Findings:
        """The answer to a question: kept, under way, or asked for."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._closed:
            return _replaced()
        kept = self._cache.get(self.fingerprint, question, need, now)
        if kept is not None:
            self.saved += 1
            return own_copy(kept)
        if self._breaker.failure is not None:
            self._offer_probe(question)
            return own_copy(self._breaker.failure)
        flight = self._flights.get(question)
        if flight is not None and (flight.asked_at is None or flight.asked_at >= need.values_from):
            self.saved += 1
        elif (wait_s := self._away_s(question, now)) > 0:
            return deferred(wait_s)
        else:
            flight = self._flights[question] = Flight(question, loop.create_future(), retries)
            self._accept(flight)
        return own_copy(await asyncio.shield(flight.answer))

    # -- batching

    def _accept(self, flight: Flight) -> None:
        if self._lanes.add(flight, alone=flight.question in self._alone):
            self._pump()

    def _pump(self) -> None:
        """Send what is ready while there are free slots; the rest waits and fills up meanwhile."""
        while self._free_slots > 0 and (flights := self._lanes.next(self._finding)):
            self._send(flights)

    def _send_away(self) -> None:
        """Those who seemed to have room, and have none: at the client's pace there are others now."""
        now = asyncio.get_running_loop().time()
        while self._turns.too_many(self._lanes.calls) and (flight := self._lanes.last()) is not None:
            self._settle(flight, deferred(self._away_s(flight.question, now)))

    def _send(self, flights: list[Flight]) -> None:
        self._free_slots -= 1
        self._finding += isinstance(flights[0].question, Find)
        task = self._tasks.spawn(self._carry(flights), name=f"read {self.fingerprint[:8]}")
        # Not a `finally` in the task: one that is cancelled before its first step would never reach it.
        task.add_done_callback(lambda _: self._landed(flights))

    def _landed(self, flights: list[Flight]) -> None:
        """A call has ended, in whatever way: nobody is left waiting, and the next may go."""
        self._free_slots += 1
        self._finding -= isinstance(flights[0].question, Find)
        for flight in flights:
            if not flight.answer.done():
                self._settle(flight, Unavailable("the call to the store was cancelled"))
        if not self._closed:
            self._send_away()
            self._pump()

    async def _carry(self, flights: list[Flight]) -> None:
        """One call, and its answers to those who wait."""
        answers: list[Answer | Findings]
        try:
            answers = await self._call(flights)
        except ProviderError as error:
            answers = [error] * len(flights)
        except TimeoutError:
            answers = [await self._too_late(flights)] * len(flights)
        except Exception as error:  # noqa: BLE001 - not the store's: its readers get it as it is
            for flight in flights:
                self._fail(flight, error)
            return
        for flight, answer in zip(flights, answers, strict=True):
            self._settle(flight, own_copy(answer))

    async def _too_late(self, flights: list[Flight]) -> TimedOut:
        """The failure of a call that did not end in time."""
        if isinstance(flights[0].question, Find):
            # It was long and not silent: a call in it that hangs is ended before by the SDK.
            self._note_alone(flights[0].question)
            return TimedOut(
                f"the search did not end within {SEARCH_DEADLINE_S:.0f} s",
                hint="Narrow it: a path, tags, or a regular expression that begins with ^ and the beginning of the names",
            )
        late = TimedOut(f"the store did not answer within {CALL_DEADLINE_S:.0f} s")
        await self._judge(late, flights)
        return late

    def _settle(self, flight: Flight, answer: Answer | Findings) -> None:
        if flight.answer.done():
            return
        self._take_down(flight)
        keep = not isinstance(answer, Unavailable | RateLimited | AuthFailed | Malformed)
        keep = keep or (isinstance(answer, Unavailable) and flight.question in self._alone)
        if keep and flight.asked_at is not None and not self._closed:
            self._cache.put(self.fingerprint, flight.question, answer, flight.asked_at)
        flight.answer.set_result(answer)

    def _fail(self, flight: Flight, error: Exception) -> None:
        if not flight.answer.done():
            self._take_down(flight)
            flight.answer.set_exception(error)
            flight.answer.exception()  # all who waited may have gone: nothing to complain about then

    def _take_down(self, flight: Flight) -> None:
        if self._flights.get(flight.question) is flight:
            del self._flights[flight.question]

    # -- calling

    async def _call(self, flights: list[Flight]) -> list[Answer | Findings]:
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
                    self._open_breaker(error, flights)
                    raise
                renewed = True
                await self._renew(flights[0])
            except Deferred:
                raise
            except RateLimited as error:
                self._slow_down(error, flights[0])
                raise
            except AuthFailed as error:
                self._open_breaker(error, flights)
                raise
            except Unavailable as error:
                if not pauses or isinstance(error, TimedOut):
                    await self._judge(error, flights)
                    raise
                await asyncio.sleep(pauses.pop(0))

    def _slow_down(self, error: RateLimited, flight: Flight) -> None:
        now = asyncio.get_running_loop().time()
        asked_at = now if flight.asked_at is None else flight.asked_at
        pause = self._pacer.throttled(error, now, asked_at)
        log.info("a store asks for fewer calls: none for %.1f s, then %.1f/s", pause, self._pacer.rate)

    async def _renew(self, flight: Flight) -> None:
        """New credentials, once for all calls that were refused with the same old ones."""
        async with self._renewal:
            stale = flight.asked_at is None or flight.asked_at > self._renewed_at
            if self._breaker.is_open or not stale:
                return
            try:
                async with asyncio.timeout(CALL_DEADLINE_S):
                    await self.client.renew()
            except RateLimited as error:
                self._slow_down(error, flight)
                raise
            except (Unavailable, AuthFailed) as error:
                self._open_breaker(error, [flight])
                raise
            self._renewed_at = asyncio.get_running_loop().time()

    async def _once(self, flights: list[Flight]) -> list[Answer | Findings]:
        loop = asyncio.get_running_loop()
        await self._turns.line_up()
        if (wait_s := self._pacer.room(loop.time())) > 2 * INLINE_WAIT_S:
            raise deferred(wait_s)
        if (wait_s := self._pacer.slot(loop.time())) > 0:
            await asyncio.sleep(wait_s)
            if (wait_s := self._pacer.silence(loop.time())) > 0:
                raise deferred(wait_s)  # the store has complained meanwhile
        if self._breaker.failure is not None:
            return [self._breaker.failure] * len(flights)
        now = loop.time()
        for flight in flights:
            flight.asked_at = now
        answers = await self._put([flight.question for flight in flights])
        if len(answers) != len(flights):
            raise Malformed("the store's client gave another number of answers than questions")
        limited = next((answer for answer in answers if isinstance(answer, RateLimited)), None)
        if limited is not None:
            self._slow_down(limited, flights[0])
        else:
            self._pacer.succeeded(loop.time())
        self._learn(flights, answers)
        self._end_outage()
        return answers

    async def _put(self, questions: list[Question]) -> list[Answer | Findings]:
        """Put questions to the store in one call: reads, or one search. Raises as `_call`."""
        self.calls += 1
        if isinstance(find := questions[0], Find):
            async with asyncio.timeout(SEARCH_DEADLINE_S):
                return [tuple(await self.client.find(find))]
        reads = [question for question in questions if isinstance(question, Read)]
        async with asyncio.timeout(CALL_DEADLINE_S):
            return list(await self.client.read(reads))

    def _learn(self, flights: list[Flight], answers: list[Answer | Findings]) -> None:
        """What the answers of a call tell about the questions in it."""
        for flight, answer in zip(flights, answers, strict=True):
            if isinstance(answer, Unavailable):
                self._note_alone(flight.question)
            elif not isinstance(answer, RateLimited | AuthFailed | Malformed):
                self._alone.pop(flight.question, None)
                self._suspects.pop(flight.question, None)
            if isinstance(answer, RemoteValue) and isinstance(flight.question, Read):
                self._witness = flight.question  # never a search, which may cost many calls
        self._good_at = asyncio.get_running_loop().time()

    def _note_alone(self, question: Question) -> None:
        self._alone.pop(question, None)
        self._alone[question] = None
        if len(self._alone) > _MOST_ALONE:
            del self._alone[next(iter(self._alone))]

    # -- outages

    async def _judge(self, error: ProviderError, flights: list[Flight]) -> None:
        """A call failed at the store's side: an outage, or these questions alone? A witness may tell."""
        async with self._judging:
            if self._closed or self._breaker.is_open:
                return
            asked_at = max(flight.asked_at or -math.inf for flight in flights)
            known = all(flight.question in self._alone for flight in flights)
            if known or self._good_at >= asked_at or await self._answers_otherwise(error, flights):
                for flight in flights:
                    self._note_alone(flight.question)
            else:
                self._open_breaker(error, flights)

    async def _answers_otherwise(self, error: ProviderError, flights: list[Flight]) -> bool:
        """Whether the store answers the question that it answered last. Who did not answer in time is not asked."""
        now, witness = asyncio.get_running_loop().time(), self._witness
        if witness is None or any(flight.question == witness for flight in flights):
            return False
        if isinstance(error, TimedOut) or self._pacer.room(now) > 0:
            return False
        try:
            async with asyncio.timeout(OPINION_DEADLINE_S):
                failure = await self._ask_again(witness)
        except TimeoutError:
            return False
        if failure is None:
            self._good_at = asyncio.get_running_loop().time()
        return failure is None

    def _open_breaker(self, error: ProviderError, flights: list[Flight]) -> None:
        """Ask no more: neither those who come, nor those who wait for their call."""
        if self._closed or self._breaker.is_open:
            return  # calls that were under way together fail together: that is one failure
        self._suspects = {flight.question: None for flight in flights}
        self._probes.clear()
        if self._witness is not None:
            self._offer_probe(self._witness)
        self._offer_probe(flights[0].question)
        self._start_probe(self._breaker.failed(error))
        self._troubled()
        for flight in self._lanes.clear():
            self._settle(flight, own_copy(error))

    def _end_outage(self) -> None:
        """The store answers, whether it was probed or not."""
        if self._breaker.succeeded():
            probing, self._probing = self._probing, None
            if probing is not None and probing is not asyncio.current_task():
                probing.cancel()
            # Those that failed may do so alone: if they fail again, it is no outage.
            for question in self._suspects:
                self._note_alone(question)
            self._suspects.clear()
            self._recovered()

    def _offer_probe(self, question: Question) -> None:
        """One more question that may tell whether the store answers again."""
        if len(self._probes) < _MOST_PROBES and question not in self._probes:
            self._probes.append(question)

    def _start_probe(self, delay: float) -> None:
        self._probing = task = self._tasks.spawn(self._probe(delay), name=f"probe {self.fingerprint[:8]}")
        task.add_done_callback(self._probe_ended)

    def _probe_ended(self, task: asyncio.Task[None]) -> None:
        # kopf cancels at its end, and it may be started anew, all tasks that are younger than itself.
        if task is self._probing and self._breaker.is_open and not self._closed:
            self._start_probe(FIRST_PROBE_S)

    async def _probe(self, delay: float) -> None:
        """Ask until the store answers, whatever the answer is: in turns what readers want to know.

        One question alone would not do: it may be the one that fails while all others are answered.
        """
        while True:
            await asyncio.sleep(delay)
            question = self._probes[0]
            self._probes.rotate(-1)
            self._free_slots -= 1
            try:
                failure = await self._ask_again(question)
            finally:
                self._free_slots += 1
            if failure is None:
                self._suspects.pop(question, None)
                self._end_outage()
                return
            self._suspects[question] = None
            delay = self._breaker.failed(failure)

    async def _ask_again(self, question: Question) -> ProviderError | None:
        """Why the store still does not answer; None if it does."""
        asked_at = asyncio.get_running_loop().time()
        try:
            if isinstance(self._breaker.failure, CredentialsExpired):
                async with asyncio.timeout(CALL_DEADLINE_S):
                    await self.client.renew()
            answers = await self._put([question])
        except RateLimited as error:
            # It is there again and has a wish, which holds for those who are woken now.
            self._pacer.throttled(error, asyncio.get_running_loop().time(), asked_at)
            return None
        except (Unavailable, AuthFailed) as error:
            return error
        except TimeoutError:
            return TimedOut("the store does not answer in time")
        except ProviderError:
            return None  # an answer all the same: what it means is for the readers to find out
        except KeyferryError as error:
            return Unavailable(error.message, hint=error.hint)
        except Exception as error:
            log.exception("a bug in Keyferry")
            return Unavailable(f"internal error ({type(error).__name__})")
        return next((one for one in answers if isinstance(one, Unavailable | AuthFailed)), None)

    # -- the end

    @property
    def failure(self) -> ProviderError | None:
        """Why the store is not asked at the moment, if so."""
        return own_copy(self._breaker.failure)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for an answer and no call is under way."""
        at_rest = self._free_slots == self.client.max_concurrency
        return at_rest and not self._flights and not self._searches

    async def close(self) -> None:
        """Stop calls, answer those who wait with a failure, end the connection."""
        self._closed = True
        self._lanes.clear()
        await self._tasks.close()
        for flight in list(self._flights.values()):
            self._settle(flight, _replaced())
        self._cache.forget(self.fingerprint)
        await self.client.close()

    def __repr__(self) -> str:
        state = "open breaker" if self._breaker.is_open else "ready"
        return f"<StoreSession {self.fingerprint[:8]} {state}, {len(self._flights)} under way>"


def _replaced() -> Unavailable:
    return Unavailable("the store's connection is being replaced")
