"""What was asked of a double: one record a call, with counts and waits for tests.

No record holds a secret value, a secret key or a token. The double's front writes, its control API reads.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Generic, Protocol, TypeVar

import msgspec


class Record(msgspec.Struct, kw_only=True):
    """One call, as far as all doubles have the same to tell.

    Args:
        number: position in the log, from 1.
        started: when it came, seconds since the epoch.
        user_agent: the client's.
        status: of the answer; 0 while it is under way or if the connection was cut.
        error: the error's code.
        seconds: how long it took.
        faults: kinds of the faults that hit the call as a whole.
        done: whether it has its answer, or will never get one.
    """

    number: int
    started: float
    user_agent: str = ""
    status: int = 0
    error: str = ""
    seconds: float = 0.0
    faults: list[str] = []
    done: bool = False


R = TypeVar("R", bound=Record)


class Filter(Protocol):
    """Which calls are meant."""

    def matches(self, record: Any) -> bool:
        """Whether a call is."""
        ...


class CallLog(Generic[R]):
    """The calls since the last reset. Lives in the event loop's thread."""

    def __init__(self) -> None:
        self.records: list[R] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self._changed = asyncio.Condition()

    async def begin(self, record: R) -> None:
        """Note a call that has come."""
        self.records.append(record)
        record.number = len(self.records)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await self._notify()

    async def finish(self, record: R) -> None:
        """Note that a call has its answer, or will never get one."""
        record.seconds = time.time() - record.started
        record.done = True
        self.in_flight -= 1
        await self._notify()

    def select(self, wanted: Filter) -> list[R]:
        """The calls that are meant, in the order in which they came."""
        return [record for record in self.records if wanted.matches(record)]

    def reset(self) -> None:
        """Forget all calls and peaks."""
        self.records = []
        self.max_in_flight = self.in_flight

    async def wait(self, wanted: Filter, *, count: int, done: bool, timeout_s: float) -> bool:
        """Wait for so many calls to be done (or, if not `done`, to be under way at once); whether it came so."""

        def reached() -> bool:
            return sum(1 for record in self.select(wanted) if record.done is done) >= count

        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(reached)
        except TimeoutError:
            return False
        return True

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
