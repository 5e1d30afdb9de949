"""What was asked of the double: one record a request, with counts and waits for tests.

No record holds a value, a client secret, an assertion or a token.
"""

from __future__ import annotations

import asyncio
import fnmatch
import time

import msgspec


class CallRecord(msgspec.Struct, kw_only=True):
    """One request.

    Args:
        number: position in the log, from 1.
        started: when it came, seconds since the epoch.
        service: `entra`, `vault`, `registry` or `machine`.
        host, method, path: what was asked, without the query.
        oid: who asked, as far as that was proven; of token requests, who got a token.
        client_id: of token requests, as the client wrote it.
        subject: of the federated token that was verified.
        by_proxy: whether it came through the double's proxy.
        user_agent: the client's.
        status: of the answer; 0 while it is under way or if the connection was cut.
        error: the error's code.
        seconds: how long it took.
        faults: kinds of the faults that hit it.
    """

    number: int
    started: float
    service: str
    host: str
    method: str
    path: str
    oid: str = ""
    client_id: str = ""
    subject: str = ""
    by_proxy: bool = False
    user_agent: str = ""
    status: int = 0
    error: str = ""
    seconds: float = 0.0
    faults: list[str] = []
    done: bool = False


class CallFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests are meant: globs; empty means all."""

    service: str = ""
    host: str = ""
    method: str = ""
    path: str = ""
    oid: str = ""
    status: int = 0

    def matches(self, record: CallRecord) -> bool:
        """Whether a request is meant."""
        pairs = (
            (self.service, record.service),
            (self.host, record.host),
            (self.method, record.method),
            (self.path, record.path),
            (self.oid, record.oid),
        )
        return self.status in (0, record.status) and all(
            not pattern or fnmatch.fnmatchcase(value, pattern) for pattern, value in pairs
        )


class CallLog:
    """The requests since the last reset."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self._changed = asyncio.Condition()

    async def begin(self, record: CallRecord) -> None:
        """Note a request that has come."""
        self.records.append(record)
        record.number = len(self.records)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        await self._notify()

    async def finish(self, record: CallRecord) -> None:
        """Note that a request has its answer, or will never get one."""
        record.seconds = time.time() - record.started
        record.done = True
        self.in_flight -= 1
        await self._notify()

    def select(self, wanted: CallFilter) -> list[CallRecord]:
        """The requests that are meant, in the order in which they came."""
        return [record for record in self.records if wanted.matches(record)]

    def reset(self) -> None:
        """Forget all requests and peaks."""
        self.records = []
        self.max_in_flight = self.in_flight

    async def wait(self, wanted: CallFilter, *, count: int, done: bool, timeout_s: float) -> bool:
        """Wait for so many to be done (or, if not `done`, to be under way at once); whether it came so."""

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
